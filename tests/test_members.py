"""Members train like separate networks, and out-of-fold predictions do not leak targets."""

import pickle
from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest
from scipy import sparse
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score
from sklearn.utils.fixes import parse_version

from sknn_adam import MLPClassifier, MLPRegressor
from sknn_adam._estimator import setup
from sknn_adam._nn.network import build
from sknn_adam._training import splits
from sknn_adam._training.batches import Data, Rows
from sknn_adam._training.loop import Plan, Run, train
from sknn_adam._training.members import Members, OutOfFold, leave_one_out_scores
from sknn_adam._training.splits import fold_numbers
from sknn_adam._training.validation import LossScore
from sknn_adam.activations import Tanh
from sknn_adam.averaging import EMA
from sknn_adam.callbacks import Checkpoint
from sknn_adam.clipping import ClipByLayerNorm, ClipByNorm
from sknn_adam.initializers import GlorotNormal, Zeros
from sknn_adam.losses import LogLoss, SquaredError
from sknn_adam.normalization import BatchNorm, LayerNorm
from sknn_adam.optimizers import OPTIMIZERS, SGD, Adam, AdamW
from sknn_adam.schedules import Constant, Cosine

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
CODES = np.digitize(X @ [1.0, 2.0, 0.0, -1.0, 0.5], [-1, 1])
LABELS = np.array(["a", "b", "c"])[CODES]
NUMBERS = 100 * np.sin(X[:, 0]) + 30 * X[:, 1] ** 2 + 1000
MATRIX = (X[:, :3] + RNG.normal(size=(60, 3)) > 0).astype(int)

BOTH = pytest.mark.parametrize(
    ("estimator", "y"), [(MLPClassifier, LABELS), (MLPRegressor, NUMBERS)], ids=["clf", "reg"]
)
ALL = pytest.mark.parametrize(
    ("estimator", "y"),
    [
        (MLPClassifier, CODES > 0),
        (MLPClassifier, LABELS),
        (MLPClassifier, MATRIX),
        (MLPClassifier, np.c_[LABELS, np.array(["u", "v"])[MATRIX[:, 0]]]),
        (MLPRegressor, NUMBERS),
        (MLPRegressor, np.c_[NUMBERS, -NUMBERS + X[:, 2]]),
    ],
    ids=["two", "three", "labels", "columns", "number", "numbers"],
)


def small(estimator, **params):
    defaults = {"hidden_layer_sizes": (6,), "max_iter": 8, "random_state": 0, "n_members": 3}
    return estimator(**defaults | {"optimizer": Adam(0.02)} | params)


def cross_fitted(estimator, **params):
    params = {"early_stopping": True, "max_iter": 15, "n_members": 1, "cv": 3} | params
    return small(estimator, **params)


def outputs(model, inputs=X):
    """Return predictions, with the outputs of a multioutput classifier side by side."""
    predicted = model.predict_proba(inputs) if hasattr(model, "classes_") else model.predict(inputs)
    return np.concatenate(predicted, axis=1) if isinstance(predicted, list) else predicted


# -- members train like separate networks --------------------------------------------------------

PLAN = Plan(SquaredError(), Adam(0.01), Constant(), batch_size=7, max_iter=20, shuffle=False)
PLANS = {
    "adam": {},
    "everything": {"averaging": EMA(0.9), "alpha": 0.01, "l1_ratio": 0.3, "schedule": Cosine()},
    "norm": {"clip": ClipByNorm(0.05), "optimizer": SGD(0.1, momentum=0.9)},
    "layer": {"clip": ClipByLayerNorm(0.05), "optimizer": AdamW(0.01, weight_decay=0.1)},
    "muon": {"optimizer": OPTIMIZERS.make("muon")},
    "prodigy": {"optimizer": OPTIMIZERS.make("prodigy").set_params(weight_decay=0.01)},
    "schedule_free": {"optimizer": OPTIMIZERS.make("schedule_free_adamw")},
    "nadam": {"optimizer": OPTIMIZERS.make("nadam")},
}


def network_of(members=None, normalization=None, seed=0):
    network = build(
        3, (5, 4), 1, [Tanh()] * 2, normalization=normalization, members=members, dtype=np.float64
    )
    network.initialize(GlorotNormal(), Zeros(), np.random.default_rng(seed))
    return network


def together_and_alone(plan, data, each, n_epochs=4, n_members=3, **options):
    """Train members together, and equal networks separately; return the run and the networks."""
    network = network_of(n_members, **options)
    singles = [network.member(m) for m in range(n_members)]
    run = Members(network, np.random.default_rng(1))
    run.begin(plan)
    train(run, plan, data, n_epochs)
    for m, single in enumerate(singles):
        alone = Run(single, np.random.default_rng(1))
        alone.begin(plan)
        train(alone, plan, each(m), n_epochs)
        singles[m] = single.at(alone.point(plan))
    return run, singles


def table(n_rows=40, seed=5):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, 3))
    return x, np.sin(x[:, :1]) + x[:, 1:2] * x[:, 2:]


@pytest.mark.parametrize("normalization", [None, BatchNorm(), LayerNorm()], ids=str)
@pytest.mark.parametrize("params", PLANS.values(), ids=PLANS)
def test_members_train_like_separate_networks(params, normalization):
    plan, (x, y) = replace(PLAN, **params), table()
    data = Data(x, y, None, plan.batch_size, np.float64)
    run, singles = together_and_alone(plan, data, lambda m: data, normalization=normalization)
    actual = run.network.at(run.point(plan))
    # Batch normalization cancels the bias before it, so the gradient of the bias is rounding noise.
    # Adam scales the noise up, and older OpenBLAS builds sum in another order for several members.
    old = parse_version(np.__version__) < parse_version("2")
    noise = 1e-9 if old and isinstance(normalization, BatchNorm) else 1e-12
    for m, single in enumerate(singles):
        np.testing.assert_allclose(actual.member(m).theta, single.theta, rtol=1e-9, atol=noise)
        np.testing.assert_allclose(actual.predict(x)[m], single.predict(x), rtol=1e-9, atol=noise)


@pytest.mark.parametrize("kernels", ["numpy", "fused"])
@pytest.mark.parametrize("params", PLANS.values(), ids=PLANS)
def test_members_out_of_patience_are_no_longer_trained(params, kernels, monkeypatch):
    """They equal separate networks, and enter no mean except that of the validation scores."""
    if kernels == "fused":
        pytest.importorskip("numba")
    monkeypatch.setenv("SKNN_ADAM_KERNELS", kernels)
    patience = {"early_stopping": True, "n_iter_no_change": 2, "tol": 5e-3, "max_iter": 300}
    plan = replace(PLAN, **patience, **params)
    x, y = table()
    data = Data(x, y, None, plan.batch_size, np.float64)
    held_x, held_y = table(seed=6)
    held_y += np.random.default_rng(0).normal(size=held_y.shape)
    score = LossScore(Rows(held_x, held_y, targets=held_y), plan)
    network = network_of(4)
    runs = [Run(network.member(m), np.random.default_rng(1)) for m in range(4)]
    runs.append(Members(network, np.random.default_rng(1)))
    for run in runs:
        run.begin(plan)
        train(run, plan, data, plan.max_iter, score)
    *separate, together = (run.history.columns for run in runs)
    lengths = [len(columns["loss"]) for columns in separate]
    assert len(set(lengths)) > 1
    assert len(together["loss"]) == max(lengths)
    expected = {"loss": [], "validation_score": [], "gradient_norm": []}
    for epoch in range(max(lengths)):
        trained = [columns for columns, n in zip(separate, lengths, strict=True) if epoch < n]
        values = {name: [columns[name][epoch] for columns in trained] for name in expected}
        values["validation_score"] += [
            run.best_score for run, n in zip(runs, lengths, strict=False) if epoch >= n
        ]
        expected["loss"].append(np.mean(values["loss"]))
        expected["validation_score"].append(np.mean(values["validation_score"]))
        expected["gradient_norm"].append(np.linalg.norm(values["gradient_norm"]))
    for name, values in expected.items():
        np.testing.assert_allclose(together[name], values, rtol=1e-6, err_msg=name)
    for m, run in enumerate(runs[:-1]):
        assert runs[-1].best_epoch[m] == run.best_epoch
        theta = runs[-1].network.member(m).theta
        np.testing.assert_allclose(theta, run.network.theta, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("normalization", [None, BatchNorm()], ids=str)
def test_held_out_samples_have_no_influence_on_a_member(normalization):
    """With all samples in one batch, a member equals a network trained on its samples only."""
    plan, (x, y), fold = replace(PLAN, batch_size=40), table(), np.arange(40) % 3
    kept = fold != np.arange(3)[:, None]
    run, singles = together_and_alone(
        plan,
        Data(x, y, 1.0 * kept, 40, np.float64, kept=kept),
        lambda m: Data(x[fold != m], y[fold != m], None, 40, np.float64),
        n_epochs=20,
        normalization=normalization,
    )
    for m, single in enumerate(singles):
        np.testing.assert_allclose(run.network.predict(x)[m], single.predict(x), rtol=1e-8)


def test_compiled_members_equal_numpy(monkeypatch):
    results = []
    for kernels in ("numpy", "fused"):
        monkeypatch.setenv("SKNN_ADAM_KERNELS", kernels)
        for y, loss in ((LABELS, "log_loss"), (MATRIX, "log_loss"), (NUMBERS, "squared_error")):
            estimator = MLPRegressor if loss == "squared_error" else MLPClassifier
            model = cross_fitted(estimator, batch_size=16, dropout=0.1, loss=loss).fit(X, y)
            results.append(outputs(model))
    for a, b in zip(results[:3], results[3:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_one_member_has_no_leading_axis():
    model = small(MLPClassifier, n_members=1).fit(X, LABELS)
    assert [W.shape for W in model.coefs_] == [(5, 6), (6, 3)]
    assert model._network.members is None
    assert model.member_predictions(X).shape == (1, 60, 3)
    np.testing.assert_array_equal(model.member_predictions(X)[0], model.predict_proba(X))


def test_members_have_different_predictions():
    model = small(MLPRegressor, n_members=4).fit(X, NUMBERS)
    assert [[W.shape for W in m.coefs_] for m in model.members_] == [[(5, 6), (6, 1)]] * 4
    assert (model.member_predictions(X).std(axis=0) > 0).all()
    masks = small(MLPRegressor, dropout=0.5, initializer="zeros", bias_initializer="zeros")
    spread = masks.set_params(initializer="he_normal").fit(X, NUMBERS).member_predictions(X)
    assert (spread.std(axis=0) > 0).any()


@pytest.mark.parametrize("n_features", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_smallest_members_train_like_separate_networks(n_features, batch_size):
    plan, (x, y) = replace(PLAN, batch_size=batch_size), table(9)
    network = build(n_features, (1,), 1, [Tanh()], members=2)
    network.initialize(GlorotNormal(), Zeros(), np.random.default_rng(0))
    singles = [network.member(m) for m in range(2)]
    data = Data(np.ascontiguousarray(x[:, :n_features]), y, None, batch_size, np.float64)
    for each, run_class in ((network, Members), *((single, Run) for single in singles)):
        run = run_class(each, np.random.default_rng(1))
        run.begin(plan)
        train(run, plan, data, 2)
    for m, single in enumerate(singles):
        np.testing.assert_allclose(network.member(m).theta, single.theta, rtol=1e-12)


# -- divergence ----------------------------------------------------------------------------------


@pytest.mark.parametrize("params", [{}, {"clip": ClipByNorm(1.0), "alpha": 0.1}], ids=str)
@pytest.mark.parametrize("bad", [nan, 1e200])
def test_diverged_member_does_not_affect_the_others(bad, params):
    plan, (x, y) = replace(PLAN, averaging=EMA(0.9), **params), table()
    data, thetas = Data(x, y, None, 7, np.float64), []
    for value in (None, bad):
        run = Members(network_of(3, normalization=BatchNorm()), np.random.default_rng(1))
        run.begin(plan)
        train(run, plan, data, 2)
        if value:
            run.network.dense()[-1].W[1] = value
        train(run, plan, data, 3)
        assert run.stop_reason is None
        thetas.append([run.network.at(run.point(plan)).member(m).theta for m in range(3)])
    assert run.lost.tolist() == [False, True, False]
    for m in (0, 2):
        np.testing.assert_array_equal(thetas[0][m], thetas[1][m])
    assert np.isfinite(thetas[1][1]).all()
    assert np.isfinite(run.history["loss"]).all()


def test_training_diverges_if_all_members_diverge():
    plan, (x, y) = replace(PLAN, optimizer=SGD(1e200)), table()
    run = Members(network_of(3), np.random.default_rng(1))
    start = run.network.theta.copy()
    run.begin(plan)
    train(run, plan, Data(x, y, None, 7, np.float64), 3)
    assert run.stop_reason == "diverged"
    np.testing.assert_array_equal(run.network.theta, start)


def test_estimator_reports_the_number_of_diverged_members(monkeypatch):
    class Spoiled(Members):
        def begin(self, plan):
            super().begin(plan)
            if self.clock.step == 0:
                self.network.dense()[0].W[0] = nan

    monkeypatch.setattr(setup, "Members", Spoiled)
    with pytest.warns(ConvergenceWarning, match="1 of 3 members diverged"):
        small(MLPRegressor).fit(X, NUMBERS)


# -- combined predictions ------------------------------------------------------------------------


@ALL
@pytest.mark.parametrize("make", [small, cross_fitted])
def test_predictions_are_means_over_members(estimator, y, make):
    model = make(estimator).fit(X, y)
    each = model.member_predictions(X)
    each = np.concatenate(each, axis=2) if isinstance(each, list) else each
    assert len(each) == 3
    np.testing.assert_allclose(outputs(model), each.mean(axis=0), rtol=1e-12)
    if estimator is MLPClassifier:
        actual = model.predict(X)
        assert actual.shape == y.shape
        assert model.score(X, y) == (actual == y).reshape(60, -1).all(axis=1).mean()


def test_decision_function_is_that_of_the_mean_probability():
    model = small(MLPClassifier).fit(X, LABELS)
    z, p = model.decision_function(X), model.predict_proba(X)
    np.testing.assert_allclose(softmax(z, axis=1), p, rtol=1e-12)
    np.testing.assert_array_equal(model.predict(X), model.classes_[p.argmax(axis=1)])
    model = small(MLPClassifier).fit(X, CODES > 0)
    p = model.predict_proba(X)
    np.testing.assert_allclose(expit(model.decision_function(X)), p[:, 1], rtol=1e-12)
    np.testing.assert_array_equal(model.predict(X), p[:, 1] > 0.5)


def test_decision_function_is_exact_where_probabilities_round():
    # The mean of 1 - e^-800 and 1 - e^-700.
    z = np.array([[[800.0]], [[700.0]]])
    np.testing.assert_allclose(LogLoss().combine(z), 700 + np.log(2))
    np.testing.assert_allclose(LogLoss().combine(-z, False), -700 - np.log(2))


@BOTH
@pytest.mark.parametrize("normalization", [None, "batch"])
def test_plain_forward_pass_gives_the_member_predictions(estimator, y, normalization):
    model = cross_fitted(estimator, normalization=normalization).fit(X, y)
    z = []
    for member in model.members_:
        (W, V), (b, c) = member.coefs_, member.intercepts_
        z.append(np.maximum(X @ W + b, 0) @ V + c)
    z = np.array(z)
    actual = softmax(z, axis=-1) if estimator is MLPClassifier else z[..., 0]
    np.testing.assert_allclose(actual, model.member_predictions(X), rtol=1e-9)


def test_standard_deviation_is_that_of_the_mixture():
    model = small(MLPRegressor, loss="gaussian").fit(X, NUMBERS)
    mean, std = model.predict(X, return_std=True)
    z = []
    for member in model.members_:
        (W, V), (b, c) = member.coefs_, member.intercepts_
        z.append(np.maximum(X @ W + b, 0) @ V + c)
    z = np.array(z)
    draws = np.random.default_rng(0).normal(size=(200_000, 1))
    member = np.arange(len(draws)) % 3
    # Draw a member, then a value from its distribution.
    for i in range(3):
        sample = z[member, i, :1] + np.exp(z[member, i, 1:] / 2) * draws
        assert mean[i] == pytest.approx(sample.mean(), rel=0.01)
        assert std[i] == pytest.approx(sample.std(), rel=0.02)


def test_quantiles_of_members_do_not_cross():
    loss = {"loss": "quantile", "loss__level": (0.1, 0.5, 0.9)}
    model = clone(small(MLPRegressor)).set_params(**loss).fit(X, NUMBERS)
    assert (np.diff(model.predict(X), axis=1) >= 0).all()
    assert model.member_predictions(X).shape == (3, 60, 3)


# -- held-out samples ----------------------------------------------------------------------------


def test_leave_one_out_scores_exclude_the_sample_itself(rng):
    loss, weight = rng.normal(size=9), rng.random(9) + 0.1
    actual = leave_one_out_scores(loss, weight)
    for i in range(9):
        others = np.arange(9) != i
        mean = np.average(loss[others], weights=weight[others])
        assert actual[i] == pytest.approx(-mean, rel=1e-12)
        changed = loss.copy()
        changed[i] = 1e300
        # Equal to the last bit.
        assert leave_one_out_scores(changed, weight)[i] == actual[i]


def test_out_of_fold_keeps_the_best_epoch_of_every_sample():
    state = OutOfFold(2)
    for epoch, scores in enumerate([[1, 1], [3, 0], [2, 0], [2, 9], [9, 9]]):
        state.see(np.full((2, 1), epoch), np.array(scores, float), tol=0.0, patience=1)
    # Patience ran out before the last, highest scores of both samples.
    assert state.z.ravel().tolist() == [1, 0]


def fixed_folds(monkeypatch):
    def folds(n_rows, n_folds, *options):
        return np.arange(n_rows) % n_folds

    monkeypatch.setattr(splits, "fold_numbers", folds)


@pytest.mark.parametrize("scoring", ["loss", "default"])
@pytest.mark.parametrize(
    ("estimator", "y"), [(MLPClassifier, CODES > 0), (MLPRegressor, (NUMBERS - 1000) / 50)]
)
def test_target_of_a_sample_does_not_affect_its_own_prediction(estimator, y, scoring, monkeypatch):
    fixed_folds(monkeypatch)
    params = {"n_iter_no_change": 4, "tol": 0.0, "max_iter": 60, "normalization": "batch"}
    # With this seed, training stops before `max_iter`.
    params |= {"batch_size": 16, "dropout": 0.2, "optimizer": Adam(0.03), "random_state": 2}
    if scoring != "loss":
        params["scoring"] = None
    model = cross_fitted(estimator, **params).fit(X, y)
    assert len(set(model.best_iter_)) > 1
    epochs = set()
    for i in range(0, 60, 3):
        changed = y.copy()
        changed[i] = not y[i] if estimator is MLPClassifier else y[i] + 100
        other = clone(model).fit(X, changed)
        epochs.add(other.n_iter_)
        np.testing.assert_array_equal(other.oof_prediction_[i], model.oof_prediction_[i])
        # Samples of other folds, whose members were trained on sample i.
        rest = np.arange(60) % 3 != i % 3
        assert (other.oof_prediction_[rest] != model.oof_prediction_[rest]).any()
    # The prediction stays the same although the length of training changes.
    assert len(epochs) > 1


def test_out_of_fold_score_of_noise_is_chance():
    rng, scores = np.random.default_rng(0), []
    for draw in range(50):
        noise, y = rng.normal(size=(60, 5)), rng.integers(2, size=60)
        model = cross_fitted(MLPClassifier, random_state=draw, batch_size=30, optimizer=Adam(0.01))
        scores.append(model.fit(noise, y).oof_score_)
    error = np.std(scores, ddof=1) / 50**0.5
    assert abs(np.mean(scores) - 0.5) < 2.5 * error < 0.05


@ALL
def test_out_of_fold_predictions_have_the_right_shape_and_score(estimator, y):
    model = cross_fitted(estimator, max_iter=60).fit(X, y)
    oof, predict_proba = (
        model.oof_prediction_,
        model.predict_proba if estimator is MLPClassifier else None,
    )
    shown = predict_proba(X) if predict_proba else model.predict(X)
    if isinstance(oof, list):
        assert [part.shape for part in oof] == [part.shape for part in shown]
        return
    assert oof.shape == shown.shape
    if estimator is MLPRegressor:
        assert model.oof_score_ == pytest.approx(r2_score(y, oof), rel=1e-12)
        assert 0.1 < model.oof_score_ < model.score(X, y)
    elif y.ndim == 1:
        predicted = model.classes_[oof.argmax(axis=1)]
        assert model.oof_score_ == pytest.approx(accuracy_score(y, predicted), rel=1e-12)
        assert 0.5 < model.oof_score_ < 1


def test_out_of_fold_score_is_that_of_the_scorer():
    model = cross_fitted(MLPClassifier, scoring="roc_auc").fit(X, CODES > 0)
    assert model.oof_score_ == roc_auc_score(CODES > 0, model.oof_prediction_[:, 1])


def test_each_member_keeps_its_best_epoch():
    params = {"n_iter_no_change": 3, "hidden_layer_sizes": (50,), "alpha": 0.0}
    model = cross_fitted(MLPRegressor, max_iter=300, **params).fit(X, NUMBERS)
    assert model.best_iter_.shape == (3,)
    assert model.stop_reason_ == "early_stopping"
    assert len(set(model.best_iter_)) == 3
    short = cross_fitted(MLPRegressor, max_iter=int(model.best_iter_[1]), **params).fit(X, NUMBERS)
    np.testing.assert_allclose(
        short.member_predictions(X)[1], model.member_predictions(X)[1], rtol=1e-12
    )


@BOTH
def test_given_validation_data_score_every_member(estimator, y):
    model = small(estimator, early_stopping=True, max_iter=30)
    model.fit(X[:40], y[:40], X_val=X[40:], y_val=y[40:])
    assert not hasattr(model, "oof_prediction_")
    score = {"scoring": None, "max_iter": 30, "early_stopping": True}
    scored = small(estimator, **score).fit(X[:40], y[:40], X_val=X[40:], y_val=y[40:])
    alone = [r2_score, accuracy_score][estimator is MLPClassifier]
    each = scored.member_predictions(X[40:])
    if estimator is MLPClassifier:
        each = scored.classes_[each.argmax(axis=2)]
    scores = [alone(y[40:], one) for one in each]
    assert scored.best_validation_score_ == pytest.approx(np.mean(scores), rel=1e-9)


def test_samples_of_weight_zero_are_predicted_but_do_not_count():
    weight = np.where(np.arange(60) % 4, 2.0, 0.0)
    folds = [(np.flatnonzero(np.arange(60) % 3 != m), np.arange(m, 60, 3)) for m in range(3)]
    model = cross_fitted(MLPRegressor, cv=folds).fit(X, NUMBERS, weight)
    used = np.flatnonzero(weight)
    without = [tuple(np.flatnonzero(np.isin(used, rows)) for rows in split) for split in folds]
    few = cross_fitted(MLPRegressor, cv=without).fit(X[used], NUMBERS[used])
    np.testing.assert_array_equal(model.oof_prediction_[used], few.oof_prediction_)
    assert model.oof_score_ == few.oof_score_
    for member, (_, held) in zip(model.members_, folds, strict=True):
        rest = held[weight[held] == 0]
        np.testing.assert_allclose(model.oof_prediction_[rest], member.predict(X[rest]), rtol=1e-12)


def test_sample_and_class_weights_matter():
    weight = RNG.random(60) + 0.1
    plain = outputs(cross_fitted(MLPClassifier).fit(X, LABELS))
    weighted = cross_fitted(MLPClassifier).fit(X, LABELS, weight)
    assert np.abs(outputs(weighted) - plain).max() > 1e-6
    scaled = cross_fitted(MLPClassifier).fit(X, LABELS, 8 * weight)
    np.testing.assert_allclose(outputs(scaled), outputs(weighted), rtol=1e-12)
    by_class = dict(zip("abc", [1.0, 2.0, 5.0], strict=True))
    one = cross_fitted(MLPClassifier, class_weight=by_class).fit(X, LABELS)
    assert np.abs(outputs(one) - plain).max() > 1e-6


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csr_array])
@BOTH
def test_sparse_equals_dense(estimator, y, container):
    with_zeros = np.where(np.abs(X) > 0.5, X, 0)
    one, other = (
        cross_fitted(estimator).fit(with_zeros, y),
        cross_fitted(estimator).fit(container(with_zeros), y),
    )
    np.testing.assert_allclose(outputs(one), outputs(other, container(X)), rtol=1e-9)
    np.testing.assert_allclose(one.oof_prediction_, other.oof_prediction_, rtol=1e-9)


def test_folds_are_stratified_and_keep_groups_together(rng):
    codes = np.repeat([0, 1, 2], [40, 20, 8])
    fold = fold_numbers(68, 4, codes, None, 0)
    for m in range(4):
        assert np.bincount(codes[fold == m]).tolist() == [10, 5, 2]
    groups = np.repeat(np.arange(17), 4)
    for given in (codes, None):
        fold = fold_numbers(68, 4, given, groups, 0)
        # Each group is in one fold.
        assert len(np.unique(np.c_[groups, fold], axis=0)) == 17
        assert sorted(set(fold)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "counts",
    [[40, 20, 3], [57, 4, 1, 1], [30, 30, 7], [5] * 6, [2] * 16, [1] * 20],
    ids=str,
)
def test_small_classes_are_spread_evenly_over_the_folds(counts):
    codes = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    with pytest.warns(UserWarning, match="fewer samples than the 8 folds") as caught:
        fold = fold_numbers(len(codes), 8, codes, None, 0)
    assert len(caught) == 1
    sizes = np.bincount(fold, minlength=8)
    assert len(sizes) == 8
    assert np.ptp(sizes) <= 1
    for code, count in enumerate(counts):
        held = np.bincount(fold[codes == code], minlength=8)
        assert held.max() == -(-count // 8)
        assert held.min() == count // 8


def test_groups_of_small_classes_stay_together():
    groups = np.arange(68) // 2
    for counts in ([40, 25, 3], [4] * 17):
        codes = np.repeat(np.arange(len(counts)), counts)
        with pytest.warns(UserWarning, match="fewer samples than the 5 folds"):
            fold = fold_numbers(68, 5, codes, groups, 0)
        # Each group is in one fold.
        assert len(np.unique(np.c_[groups, fold], axis=0)) == 34
        assert sorted(set(fold)) == list(range(5))


@pytest.mark.parametrize("n_rare", [1, 2, 4])
def test_rare_class_is_learned_and_predicted_out_of_fold(n_rare):
    y = np.where(CODES > 0, "a", "b")
    y[:n_rare] = "c"
    shifted = X + 6.0 * (y == "c")[:, None]
    model = cross_fitted(MLPClassifier, cv=5, max_iter=60, batch_size=len(X))
    with pytest.warns(UserWarning, match="fewer samples than the 5 folds"):
        model.fit(shifted, y)
    assert (model.predict(shifted[:n_rare]) == "c").all()
    np.testing.assert_allclose(model.oof_prediction_.sum(axis=1), 1, rtol=1e-6)
    out_of_fold = model.classes_[model.oof_prediction_[:n_rare].argmax(axis=1)]
    # The member that holds out the only sample of a class has never seen the class.
    assert (out_of_fold == "c").all() == (n_rare > 1)


@pytest.mark.parametrize("scoring", ["loss", "default"])
def test_class_unseen_by_a_member_does_not_stop_its_training(scoring):
    """The loss of the held-out sample only grows; it must not affect the member's weights."""
    y = np.repeat([0, 1, 2], [30, 29, 1])
    params = {"max_iter": 40, "n_iter_no_change": inf, "random_state": 1}
    if scoring != "loss":
        params["scoring"] = None
    models = []
    for far in (0.0, 2.0, 30.0):
        shifted = X.copy()
        shifted[:, 0] += 2 * y
        shifted[-1] += far
        model = cross_fitted(MLPClassifier, **params)
        with pytest.warns(UserWarning, match="trained without the class"):
            models.append(model.fit(shifted, y))
    unaffected = [
        all(np.array_equal(m.coefs_[0], models[0].members_[i].coefs_[0]) for m in same)
        for i, same in enumerate(zip(*(model.members_ for model in models), strict=True))
    ]
    assert sum(unaffected) == 1


def test_groups_prevent_leakage_of_targets():
    """Copies of a sample in another fold would leak its target."""
    rng = np.random.default_rng(3)
    rows, noise = rng.normal(size=(20, 5)), rng.normal(size=20)
    inputs, y, groups = np.repeat(rows, 4, axis=0), np.repeat(noise, 4), np.repeat(np.arange(20), 4)
    params = {"max_iter": 300, "hidden_layer_sizes": (50,), "cv": 4, "tol": 0.0}
    model = cross_fitted(MLPRegressor, **params)
    assert clone(model).fit(inputs, y).oof_score_ > 0.8
    assert clone(model).fit(inputs, y, groups=groups).oof_score_ < 0.2


# -- continued training --------------------------------------------------------------------------


@ALL
def test_pickled_estimator_predicts_and_continues_identically(estimator, y):
    model = cross_fitted(estimator, warm_start=True, dropout=0.1, normalization="batch").fit(X, y)
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(outputs(copied), outputs(model))
    for one in (model, copied):
        one.fit(X, y)
    np.testing.assert_array_equal(outputs(copied), outputs(model))
    np.testing.assert_equal(copied.oof_prediction_, model.oof_prediction_)


@BOTH
@pytest.mark.parametrize("optimizer", ["adam", "prodigy", "muon", "schedule_free_adamw"])
def test_partial_fit_equals_fit(estimator, y, optimizer):
    params = {"optimizer": optimizer, "dropout": 0.1, "batch_size": 16, "n_iter_no_change": inf}
    one_fit = small(estimator, max_iter=4, **params).fit(X, y)
    parts = small(estimator, max_iter=4, **params)
    for _ in range(4):
        parts = pickle.loads(pickle.dumps(parts.partial_fit(X, y)))
    np.testing.assert_array_equal(outputs(parts), outputs(one_fit))


@pytest.mark.skipif(
    not hasattr(MLPClassifier, "set_callbacks"), reason="scikit-learn before 1.9 has no callbacks"
)
@BOTH
def test_training_resumes_from_a_checkpoint_of_members(estimator, y, tmp_path):
    path = tmp_path / "run.checkpoint"
    params = {"max_iter": 30, "n_iter_no_change": 4, "batch_size": 16, "dropout": 0.1}
    uninterrupted = cross_fitted(estimator, **params).fit(X, y)
    model = cross_fitted(estimator, **params).set_callbacks(Checkpoint(path, every=7)).fit(X, y)
    assert model.n_iter_ > 7
    resumed = Checkpoint.load(path)
    assert resumed.n_iter_ % 7 == 0
    resumed.fit(X, y)
    for one in (model, resumed):
        np.testing.assert_array_equal(outputs(one), outputs(uninterrupted))
        np.testing.assert_array_equal(one.oof_prediction_, uninterrupted.oof_prediction_)
        assert one.history_["loss"] == uninterrupted.history_["loss"]


def test_clone_gives_the_same_result():
    model = cross_fitted(MLPClassifier).fit(X, LABELS)
    np.testing.assert_array_equal(outputs(clone(model).fit(X, LABELS)), outputs(model))


def test_layers_are_recorded_over_all_members():
    model = small(MLPClassifier, record="all").fit(X, LABELS)
    layers = model.history_.layers
    norms = [float(np.sqrt((W**2).sum())) for W in model._network.folded()[0]]
    assert layers["weight_norm"][-1] == pytest.approx(norms, rel=0.2)
    assert all(len(row["update_ratio"]) == 2 for row in layers)


# -- invalid input -------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, -1, 1.5, "8", None])
@BOTH
def test_invalid_number_of_members_raises(estimator, y, value):
    with pytest.raises(ValueError, match="'n_members' parameter of MLP"):
        small(estimator, n_members=value).fit(X, y)


FOUR = np.repeat(["a", "b"], [56, 4])


@pytest.mark.parametrize(
    ("estimator", "y", "params", "fit_params", "message"),
    [
        (MLPRegressor, NUMBERS, {"cv": 61}, {}, "cv=61 is too large: there are 60 samples"),
        (MLPRegressor, NUMBERS, {"cv": 31}, {}, "every fold needs at least 2"),
        (MLPClassifier, LABELS, {"optimizer": "lbfgs"}, {}, "LBFGS .* cv=None.* Got cv=3"),
        (MLPRegressor, NUMBERS, {}, {"groups": np.arange(60) % 2}, "there are 2 groups"),
        (MLPRegressor, NUMBERS, {}, {"groups": np.arange(59)}, "inconsistent numbers"),
        (
            MLPRegressor,
            NUMBERS,
            {"cv": 2},
            {"groups": np.arange(60) == 7},
            "fewer than 2 samples in a fold",
        ),
        (
            MLPClassifier,
            FOUR,
            {"cv": 2},
            {"groups": np.where(FOUR == "b", 1, np.arange(60) + 2)},
            "all samples of 1 classes are in one fold",
        ),
        (
            MLPRegressor,
            NUMBERS,
            {"cv": None},
            {"groups": np.arange(60) % 9},
            "groups is for cross-fitting only: set cv",
        ),
    ],
)
def test_invalid_input_raises_before_training(estimator, y, params, fit_params, message):
    model = cross_fitted(estimator, **params)
    before = dict(vars(model))
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, **fit_params)
    assert vars(model) == before


@BOTH
def test_partial_fit_does_not_support_cross_fitting(estimator, y):
    assert not hasattr(cross_fitted(estimator), "partial_fit")
    with pytest.raises(AttributeError) as error:
        cross_fitted(estimator).partial_fit(X, y)
    assert "partial_fit does not support cv" in str(error.value.__cause__)


def test_warm_start_with_another_number_of_members_raises():
    model = small(MLPRegressor, warm_start=True).fit(X, NUMBERS)
    with pytest.raises(ValueError, match="another n_members: it was 3 and is now 4"):
        model.set_params(n_members=4).fit(X, NUMBERS)
