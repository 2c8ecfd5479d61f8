"""Validation: samples, scores, the end of training, and the restored weights."""

import warnings

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    log_loss,
    make_scorer,
    r2_score,
    recall_score,
    top_k_accuracy_score,
)
from sklearn.model_selection import (
    GridSearchCV,
    cross_val_predict,
    cross_validate,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknn_adam import MLPClassifier, MLPRegressor
from sknn_adam._training.splits import hold_out
from sknn_adam.optimizers import ScheduleFreeAdamW

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
LABELS = np.array(["a", "b", "c"])[np.digitize(X @ [1.0, 2.0, 0.0, -1.0], [-1, 1])]
NUMBERS = 10 * np.sin(X[:, 0]) + 3 * X[:, 1] ** 2 + RNG.normal(size=90) + 100

BOTH = pytest.mark.parametrize(
    ("estimator", "y"), [(MLPClassifier, LABELS), (MLPRegressor, NUMBERS)], ids=["clf", "reg"]
)
NEEDS_CALLBACKS = pytest.mark.skipif(
    not hasattr(MLPClassifier, "set_callbacks"), reason="scikit-learn before 1.9 has no callbacks"
)


def small(estimator, **params):
    defaults = {"hidden_layer_sizes": (8,), "batch_size": 16, "max_iter": 60, "random_state": 0}
    defaults |= {"early_stopping": True, "n_iter_no_change": 3, "optimizer__learning_rate": 0.02}
    nested = {name: value for name, value in (defaults | params).items() if "__" in name}
    plain = {name: value for name, value in (defaults | params).items() if "__" not in name}
    if "optimizer" in plain:
        nested = {}
    return estimator(**plain).set_params(**nested)


def outputs(model, inputs=X):
    return model.decision_function(inputs) if hasattr(model, "classes_") else model.predict(inputs)


def unfitted(model):
    """Return whether the estimator has no attributes other than its parameters."""
    return vars(model).keys() == model.get_params(deep=False).keys()


class Scripted:
    """A scorer that returns the given scores in turn."""

    def __init__(self, scores):
        self.scores = iter(scores)

    def __call__(self, estimator, X, y, sample_weight=None):
        return next(self.scores)


class Snapshots:
    """A callback that keeps the network of every epoch."""

    def __init__(self):
        self.models = []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        if context.task_name == "epoch":
            self.models.append(fitted_estimator)


# -- restored weights ----------------------------------------------------------------------------


@NEEDS_CALLBACKS
@BOTH
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"normalization": "batch"},
        {"normalization": "batch", "averaging": "ema"},
        {"normalization": "batch", "optimizer": ScheduleFreeAdamW(learning_rate=0.03)},
        {"normalization": "batch", "optimizer": "lbfgs", "batch_size": "auto"},
    ],
    ids=["plain", "batch_norm", "ema", "schedule_free", "lbfgs"],
)
def test_network_of_the_best_epoch_is_restored(estimator, y, params):
    """Weights and statistics equal those that a callback received in that epoch."""
    scores = [0.1, 0.5, 0.3, 0.9, 0.2, 0.2, 0.2, 0.2, 1.0]
    snapshots = Snapshots()
    model = small(estimator, **params, scoring=Scripted(scores)).set_callbacks(snapshots)
    model.fit(X, y)
    assert (model.best_iter_, model.best_validation_score_) == (4, 0.9)
    assert (model.n_iter_, model.stop_reason_) == (8, "early_stopping")
    assert model.validation_scores_ == scores[:8]
    best, last = snapshots.models[3], snapshots.models[-1]
    np.testing.assert_array_equal(outputs(model), outputs(best))
    np.testing.assert_array_equal(model._network.statistics, best._network.statistics)
    assert np.abs(outputs(model) - outputs(last)).max() > 1e-3
    assert model.best_loss_ is None


@BOTH
def test_best_network_is_restored_after_max_iter(estimator, y):
    scores = [0.1, 0.5, 0.9, 0.2, 0.3]
    model = small(estimator, max_iter=5, scoring=Scripted(scores)).fit(X, y)
    assert (model.stop_reason_, model.best_iter_) == ("max_iter", 3)
    shorter = small(estimator, max_iter=3, scoring=Scripted([1, 2, 3])).fit(X, y)
    np.testing.assert_array_equal(outputs(model), outputs(shorter))


@BOTH
def test_restored_network_has_the_best_score(estimator, y):
    """Compare with the score of the fitted estimator on the validation samples."""
    train, held = train_test_split(np.arange(90), test_size=0.4, random_state=1)
    params = {"scoring": None, "normalization": "batch", "optimizer__learning_rate": 0.1}
    model = small(estimator, **params).fit(X[train], y[train], X_val=X[held], y_val=y[held])
    assert model.score(X[held], y[held]) == pytest.approx(max(model.validation_scores_))
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.best_iter_ == np.argmax(model.validation_scores_) + 1
    assert model.best_iter_ < model.n_iter_


# -- end of training -----------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("scores", "tol", "patience", "epochs", "best"),
    [
        ([1, 2, 3, 3, 3, 3, 9], 0.0, 2, None, 7),  # at tol=0, equal scores do not use up patience
        ([1, 2, 3, 2.9, 2.9, 2.9, 9], 0.0, 2, 6, 3),
        ([1, 2, 2.05, 2.09, 2.1, 9], 0.1, 2, 5, 5),  # rises by less than tol
        ([-9, -8, -7, -6.95, -6.94, 0], 0.1, 1, 5, 5),  # negative scores
        ([-9, -8.5, -8, -7.5, -7, -6.5], 0.1, 1, None, 6),
        ([-1, -2, -3, -4, -5, -6], 0.0, 2, 4, 1),
        ([-1e6, -1e6 + 1, -1e6 + 2, -1e6 + 3], 0.5, 1, None, 4),  # tol is absolute
        ([5, np.nan, np.nan, np.nan, 9], 0.0, 2, 4, 1),  # NaN is not an improvement
        ([-np.inf, -np.inf, -np.inf, -np.inf, 1], 0.0, 5, None, 5),
        ([5, 1, 1, 1, 1, 1, 1], 0.0, np.inf, None, 1),
    ],
)
def test_training_stops_when_patience_runs_out(estimator, y, scores, tol, patience, epochs, best):
    params = {"tol": tol, "n_iter_no_change": patience, "max_iter": len(scores)}
    model = small(estimator, **params, scoring=Scripted(scores)).fit(X, y)
    assert model.n_iter_ == (epochs or len(scores))
    assert model.stop_reason_ == ("early_stopping" if epochs else "max_iter")
    assert model.converged_ == bool(epochs)
    assert model.best_iter_ == best
    np.testing.assert_array_equal(model.validation_scores_, scores[: model.n_iter_])


@BOTH
def test_scores_that_are_all_nan_warn(estimator, y):
    model = small(estimator, scoring=Scripted([np.nan] * 9))
    with pytest.warns(ConvergenceWarning, match="was not finite in any epoch"):
        model.fit(X, y)
    assert (model.stop_reason_, model.n_iter_) == ("early_stopping", 4)
    assert not model.converged_
    assert np.isfinite(outputs(model)).all()


# -- scores --------------------------------------------------------------------------------------

HALF = np.arange(90) % 2 == 0


@pytest.mark.parametrize("weighted", [False, True])
def test_validation_loss_of_a_classifier_has_no_penalty(weighted):
    weight = np.linspace(0.1, 3, 45) if weighted else None
    model = small(MLPClassifier, alpha=10.0, max_iter=1)
    model.fit(X[HALF], LABELS[HALF], X_val=X[~HALF], y_val=LABELS[~HALF], sample_weight_val=weight)
    expected = log_loss(LABELS[~HALF], model.predict_proba(X[~HALF]), sample_weight=weight)
    assert model.validation_scores_ == [pytest.approx(-expected)]


@pytest.mark.parametrize("weighted", [False, True])
def test_validation_loss_of_a_regressor_has_no_penalty(weighted):
    weight = np.linspace(0.1, 3, 45) if weighted else None
    model = small(MLPRegressor, alpha=10.0, max_iter=1)
    model.fit(
        X[HALF], NUMBERS[HALF], X_val=X[~HALF], y_val=NUMBERS[~HALF], sample_weight_val=weight
    )
    errors = (model.predict(X[~HALF]) - NUMBERS[~HALF]) / NUMBERS[HALF].std()
    assert model.validation_scores_ == [pytest.approx(-np.average(errors**2, weights=weight) / 2)]


def accuracy(estimator, X, y, sample_weight=None):
    return accuracy_score(y, estimator.predict(X), sample_weight=sample_weight)


def r2(estimator, X, y, sample_weight=None):
    return r2_score(y, estimator.predict(X), sample_weight=sample_weight)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("estimator", "y", "scoring"),
    [
        (MLPClassifier, LABELS, None),
        (MLPClassifier, LABELS, "accuracy"),
        (MLPClassifier, LABELS, make_scorer(accuracy_score)),
        (MLPClassifier, LABELS, accuracy),
        (MLPRegressor, NUMBERS, None),
        (MLPRegressor, NUMBERS, "r2"),
        (MLPRegressor, NUMBERS, make_scorer(r2_score)),
        (MLPRegressor, NUMBERS, r2),
    ],
    ids=lambda value: getattr(value, "__name__", None) or str(value)[:12],
)
def test_scoring_accepts_names_scorers_and_functions(estimator, y, scoring, weighted):
    weight = np.linspace(0.1, 3, 45) if weighted else None
    model = small(estimator, scoring=scoring)
    model.fit(X[HALF], y[HALF], X_val=X[~HALF], y_val=y[~HALF], sample_weight_val=weight)
    assert len(set(model.validation_scores_)) > 1
    assert model.score(X[~HALF], y[~HALF], weight) == pytest.approx(model.best_validation_score_)


@pytest.mark.parametrize("scoring", ["neg_log_loss", "roc_auc_ovr", "balanced_accuracy"])
def test_scoring_accepts_names_of_scikit_learn(scoring):
    model = small(MLPClassifier, scoring=scoring).fit(X, LABELS)
    assert np.isfinite(model.validation_scores_).all()
    assert (max(model.validation_scores_) < 0) == scoring.startswith("neg_")


@BOTH
@pytest.mark.parametrize("scoring", ["no_such_score", "accuracy,r2"])
def test_unknown_scorers_raise(estimator, y, scoring):
    model = small(estimator, scoring=scoring)
    with pytest.raises(ValueError, match=f"{scoring!r} is not a known score"):
        model.fit(X, y)
    assert unfitted(model)


@BOTH
def test_failing_scorer_leaves_the_estimator_unfitted(estimator, y):
    def fail(estimator, X, y):
        raise RuntimeError("a bug of the user")

    model = small(estimator, scoring=fail)
    with pytest.raises(RuntimeError, match="a bug of the user"):
        model.fit(X, y)
    assert unfitted(model)


# -- validation samples --------------------------------------------------------------------------


@BOTH
def test_held_out_samples_are_not_trained_on(estimator, y):
    """Check the held-out samples and the number of steps on the others."""
    seen = []

    def scorer(estimator, X, y):
        seen.append((X, y))
        return float(len(seen))

    params = {"validation_fraction": 0.25, "max_iter": 4}
    model = small(estimator, scoring=scorer, **params).fit(X, y)
    X_val, y_val = seen[0]
    # A quarter of 90, rounded up.
    assert len(X_val) == 23
    held = (X[:, None] == X_val[None]).all(axis=2).any(axis=1)
    assert held.sum() == 23
    np.testing.assert_array_equal(y[held], y_val)
    again = small(estimator, scoring=Scripted([1, 2, 3, 4]), **params)
    # Targets are scaled before the split.
    if estimator is MLPRegressor:
        scale, shift = y.std(), y.mean()
        again.set_params(target_scaling=False).fit(
            X[~held], (y[~held] - shift) / scale, X_val=X[:2], y_val=y[:2]
        )
        # The fits use different random numbers.
        assert np.abs(outputs(model) - (outputs(again) * scale + shift)).max() > 1e-6
    assert model.n_steps_ == 4 * -(-67 // 16)


@BOTH
@pytest.mark.parametrize("early_stopping", [False, True])
def test_all_samples_are_trained_on_if_validation_data_are_given(estimator, y, early_stopping):
    """Without early stopping, the scores are only recorded."""
    model = small(estimator, early_stopping=early_stopping, max_iter=5, n_iter_no_change=np.inf)
    model.fit(X, y, X_val=X[:20], y_val=y[:20])
    assert len(model.validation_scores_) == 5
    assert model.n_steps_ == 5 * 6
    assert (model.best_validation_score_ is None) == (not early_stopping)
    if not early_stopping:
        plain = small(estimator, early_stopping=False, max_iter=5, n_iter_no_change=np.inf)
        plain.fit(X, y)
        assert plain.validation_scores_ is None
        np.testing.assert_array_equal(outputs(model), outputs(plain))


@BOTH
def test_samples_of_weight_zero_are_neither_held_out_nor_counted(estimator, y):
    weight = np.ones(90)
    weight[::3] = 0
    changed = X.copy()
    changed[::3] = 1e6
    model = small(estimator, validation_fraction=0.5).fit(changed, y, weight)
    kept = small(estimator, validation_fraction=0.5).fit(X[weight > 0], y[weight > 0])
    np.testing.assert_array_equal(outputs(model), outputs(kept))
    one = small(estimator).fit(X, y, X_val=changed, y_val=y, sample_weight_val=weight)
    two = small(estimator).fit(X, y, X_val=X[weight > 0], y_val=y[weight > 0])
    np.testing.assert_allclose(one.validation_scores_, two.validation_scores_, rtol=1e-9)


def test_split_is_stratified():
    y = np.repeat([0, 1, 2], [60, 24, 6])
    for seed in range(20):
        train, held = hold_out(90, 1 / 3, y, seed)
        np.testing.assert_array_equal(np.bincount(y[held]), [20, 8, 2])
        np.testing.assert_array_equal(np.sort(np.r_[train, held]), np.arange(90))


@pytest.mark.parametrize(
    "counts",
    [[50, 40], [50, 39, 1], [80, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], [2] * 45, [3] * 30, [86, 2, 2]],
    ids=lambda counts: f"{len(counts)} classes of {min(counts)} to {max(counts)} samples",
)
def test_small_classes_keep_a_training_sample(counts):
    """Try many seeds, and more classes than held-out samples."""
    y = np.repeat(np.arange(len(counts)), counts)
    for seed in range(40):
        train, held = hold_out(90, 0.1, y, seed)
        assert len(held) == 9
        assert set(y[train]) == set(y)


def test_too_many_classes_to_hold_out_raise():
    y = np.r_[np.arange(28), 0, 1]
    with pytest.raises(ValueError, match="hold out 3 and leave some of 28 classes without"):
        hold_out(30, 0.1, y, 0)


def test_class_with_a_single_sample_is_accepted():
    y = LABELS.copy().astype("<U9")
    y[0] = "only once"
    model = small(MLPClassifier).fit(X, y)
    assert "only once" in model.classes_
    assert np.isfinite(model.predict_proba(X)).all()


def test_multilabel_and_multioutput_targets_are_accepted():
    # The last label is 0 for every sample.
    labels = (X[:, :3] > [0, 1, 5]).astype(int)
    columns = np.c_[np.digitize(X[:, 0], [-1, 1]), X[:, 1] > 0]
    for y in (labels, columns):
        model = small(MLPClassifier).fit(X, y)
        assert np.isfinite(model.validation_scores_).all()
        assert model.predict(X).shape == y.shape


def test_held_out_samples_depend_on_the_random_state():
    seen = []

    def scorer(estimator, X, y):
        seen.append(X[:, 0].tobytes())
        return 0.0

    for seed in (0, 0, 1):
        small(MLPRegressor, scoring=scorer, max_iter=1, random_state=seed).fit(X, NUMBERS)
    assert seen[0] == seen[1] != seen[2]


# -- invalid input -------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("validation", "match"),
    [
        ({"X_val": X[:20]}, "X_val and y_val must be given together"),
        ({"y_val": slice(20)}, "X_val and y_val must be given together"),
        ({"sample_weight_val": np.ones(20)}, "sample_weight_val was given without X_val"),
        ({"X_val": X[:20, :3], "y_val": slice(20)}, "X has 3 features, but"),
        ({"X_val": np.c_[X, X][:20], "y_val": slice(20)}, "X has 8 features, but"),
        ({"X_val": X[:20], "y_val": slice(19)}, "inconsistent numbers of samples"),
        ({"X_val": X[:20] * np.nan, "y_val": slice(20)}, "NaN"),
        (
            {"X_val": X[:20], "y_val": slice(20), "sample_weight_val": np.ones(3)},
            "sample_weight.shape == ",
        ),
        (
            {"X_val": X[:20], "y_val": slice(20), "sample_weight_val": np.zeros(20)},
            "at least one non-zero|weight is zero",
        ),
        (
            {"X_val": X[:20], "y_val": slice(20), "sample_weight_val": -np.ones(20)},
            "Negative values",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
@pytest.mark.parametrize("fitted", [False, True])
def test_invalid_validation_data_raise(estimator, y, validation, match, fitted):
    if isinstance(validation.get("y_val"), slice):
        validation = validation | {"y_val": y[validation["y_val"]]}
    model = small(estimator)
    if fitted:
        model.fit(X[:, ::-1], y)
        before, state = outputs(model), vars(model).copy()
    with pytest.raises(ValueError, match=match):
        model.fit(X, y, **validation)
    if fitted:
        assert all(vars(model)[name] is value for name, value in state.items())
        np.testing.assert_array_equal(outputs(model), before)
    else:
        assert unfitted(model)


def test_unknown_classes_in_y_val_raise():
    model = small(MLPClassifier)
    with pytest.raises(ValueError, match=r"y_val has classes that y lacks.*'z'.*Known classes"):
        model.fit(X, LABELS, X_val=X[:3], y_val=["a", "z", "b"])
    assert unfitted(model)


def test_y_val_must_match_the_target_type_and_domain():
    with pytest.raises(ValueError, match=r"y must be labels of shape \(n_samples,\)"):
        small(MLPClassifier).fit(X, LABELS, X_val=X, y_val=(X[:, :2] > 0).astype(int))
    with pytest.raises(ValueError, match=r"y has 2 outputs, but MLPRegressor was fitted with 1"):
        small(MLPRegressor).fit(X, NUMBERS, X_val=X, y_val=np.c_[NUMBERS, NUMBERS])
    with pytest.raises(ValueError, match="PoissonLoss needs targets y >= 0"):
        small(MLPRegressor, loss="poisson").fit(X, NUMBERS, X_val=X, y_val=-NUMBERS)


@pytest.mark.parametrize(
    ("estimator", "n_samples", "fraction", "match"),
    [
        (MLPRegressor, 10, 0.1, "holds out 1, but both sets need at least 2 samples"),
        (MLPRegressor, 10, 0.95, "holds out 10, but"),
        (MLPRegressor, 10, 0.9, "holds out 9, but"),
        (MLPClassifier, 10, 0.1, "validation set is too small"),
        (MLPClassifier, 30, 0.93, "too small|without a training sample"),
    ],
)
def test_fractions_that_leave_too_few_samples_raise(estimator, n_samples, fraction, match):
    y = (LABELS if estimator is MLPClassifier else NUMBERS)[:n_samples]
    model = small(estimator, validation_fraction=fraction)
    with pytest.raises(ValueError, match=match) as caught:
        model.fit(X[:n_samples], y)
    assert "validation_fraction" in str(caught.value)
    assert unfitted(model)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5, np.nan, "0.1", None])
@BOTH
def test_fractions_out_of_range_raise(estimator, y, fraction):
    model = small(estimator, validation_fraction=fraction)
    with pytest.raises(ValueError, match="The 'validation_fraction' parameter of MLP"):
        model.fit(X, y)
    assert unfitted(model)


@BOTH
def test_warm_start_can_switch_to_early_stopping(estimator, y):
    """Scores of the earlier epochs are NaN."""
    model = small(estimator, early_stopping=False, warm_start=True, max_iter=3).fit(X, y)
    model.set_params(early_stopping=True).fit(X, y)
    assert len(model.validation_scores_) == 6
    assert np.isnan(model.validation_scores_[:3]).all()
    assert np.isfinite(model.validation_scores_[3:]).all()


@BOTH
def test_valid_input_does_not_warn(estimator, y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small(estimator).fit(X, y)
        small(estimator, scoring=None).fit(X, y, X_val=X.tolist(), y_val=y.tolist())


def test_training_stops_at_once_if_the_initial_weights_are_a_minimum():
    X, y = np.zeros((4, 1)), np.array([-1.0, 1.0, -1.0, 1.0])
    model = MLPRegressor((), optimizer="lbfgs", initializer="zeros", early_stopping=True)
    model.fit(X, y, X_val=X, y_val=y)
    assert (model.n_iter_, model.stop_reason_) == (0, "tol")
    np.testing.assert_array_equal(model.predict(X), 0)


def test_last_weights_are_kept_if_all_scores_are_nan():
    rng = np.random.default_rng(0)
    table, numbers = rng.normal(size=(60, 4)), rng.normal(size=60)
    model = MLPRegressor(early_stopping=True, scoring="r2", max_iter=30, random_state=0)
    with (
        # scikit-learn warns about R2 of a single sample.
        pytest.warns(UndefinedMetricWarning),
        pytest.warns(ConvergenceWarning, match="was not finite in any epoch"),
    ):
        model.fit(table, numbers, X_val=table[:1], y_val=numbers[:1])
    untrained = MLPRegressor(early_stopping=True, max_iter=1, random_state=0)
    untrained.fit(table, numbers, X_val=table, y_val=numbers)
    assert model.score(table, numbers) > untrained.score(table, numbers)


def test_scorer_without_sample_weight_is_called_without_it():
    rng = np.random.default_rng(0)
    table, numbers = rng.normal(size=(60, 4)), rng.normal(size=60)
    model = MLPRegressor(early_stopping=True, scoring=lambda model, X, y: 0.5, max_iter=3)
    assert model.fit(table, numbers, np.ones(60)).validation_scores_ == [0.5] * 3


# -- classes missing from the validation samples -------------------------------------------------

SKEWED = np.repeat([0, 1, 2], [30, 28, 2])  # one sample of class 2 is kept for training
FEATURES = np.random.default_rng(3).normal(size=(60, 3))


def fit_without_classes(scoring, n_classes=2, **params):
    params = {"early_stopping": True, "max_iter": 4, "random_state": 0, "scoring": scoring} | params
    held = SKEWED < n_classes
    model = MLPClassifier((4,), **params)
    return model.fit(FEATURES, SKEWED, X_val=FEATURES[held], y_val=SKEWED[held]), held


def recomputed(model, held, metric):
    """Return the score of the restored weights, with all classes passed to the metric."""
    return metric(SKEWED[held], model.predict_proba(FEATURES[held]), labels=[0, 1, 2])


@pytest.mark.parametrize(
    ("scoring", "metric"),
    [
        ("neg_log_loss", lambda y, p, labels: -log_loss(y, p, labels=labels)),
        ("neg_brier_score", lambda y, p, labels: -((np.eye(3)[y] - p) ** 2).sum(axis=1).mean()),
        ("top_k_accuracy", top_k_accuracy_score),
        (make_scorer(top_k_accuracy_score, response_method="predict_proba", k=1), None),
    ],
    ids=["log loss", "brier", "top 2", "top 1"],
)
@pytest.mark.parametrize("n_classes", [1, 2])
def test_scores_of_probabilities_support_missing_classes(scoring, metric, n_classes):
    model, held = fit_without_classes(scoring, n_classes)
    if metric is None:
        expected = (model.predict(FEATURES[held]) == SKEWED[held]).mean()
    else:
        expected = recomputed(model, held, metric)
    assert model.best_validation_score_ == pytest.approx(expected, rel=1e-6)


def test_scores_are_finite_if_the_held_out_samples_lack_a_class():
    y = np.repeat(["a", "b", "c"], [30, 29, 1])
    model = MLPClassifier((4,), early_stopping=True, scoring="neg_log_loss", max_iter=4)
    assert np.isfinite(model.fit(FEATURES, y).validation_scores_).all()
    members = clone(model).set_params(cv=2, random_state=0)
    groups = np.repeat([0, 1, 2, 3], [15, 15, 15, 15])
    y = np.repeat(["a", "b", "a", "c", "b", "c"], 10)
    assert np.isfinite(members.fit(FEATURES, y, groups=groups).oof_score_)


@pytest.mark.parametrize(
    ("scoring", "n_classes", "match"),
    [
        ("roc_auc_ovr", 2, "lack the classes .2.: the score is undefined without them"),
        ("roc_auc_ovo_weighted", 1, "lack the classes .1, 2."),
        ("average_precision", 2, "lack the classes .2.: y should be a 1d array"),
        ("f1", 2, "lack the classes .2.: Target is multiclass but average='binary'"),
        (
            "f1",
            3,
            "the 60 validation samples: Target is multiclass.* another scoring, such as 'loss'",
        ),
    ],
)
def test_scores_undefined_for_a_missing_class_raise(scoring, n_classes, match):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        with pytest.raises(ValueError, match=rf"scoring='{scoring}' cannot score .*{match}"):
            fit_without_classes(scoring, n_classes)


def test_scores_of_predicted_labels_use_the_classes_that_occur():
    for scoring, metric in (("f1_macro", f1_score), ("recall_macro", recall_score)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            model, held = fit_without_classes(scoring)
            expected = metric(SKEWED[held], model.predict(FEATURES[held]), average="macro")
        assert model.best_validation_score_ == pytest.approx(expected)


def test_error_of_a_custom_scorer_is_chained():
    def broken(estimator, X, y):
        raise ValueError("no idea")

    with pytest.raises(ValueError, match=r"cannot score the 60 .*no idea\. Choose") as raised:
        fit_without_classes(broken, 3)
    assert str(raised.value.__cause__) == "no idea"


# -- validation samples in cross-validation ------------------------------------------------------


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("n_val", [60, 59, 30])
def test_search_that_splits_the_validation_samples_warns(n_val, routing):
    model = MLPClassifier((4,), max_iter=2, random_state=0)
    with config_context(enable_metadata_routing=routing):
        if routing:
            model.set_fit_request(X_val=True, y_val=True)
        search = GridSearchCV(model, {"alpha": [0.0, 0.1]}, cv=2, error_score="raise")
        given = {"X_val": FEATURES[-n_val:], "y_val": SKEWED[-n_val:]}
        y = np.arange(60) % 3
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            search.fit(FEATURES, y, **given)
            cross_val_predict(model, FEATURES, y, cv=2, params=given)
            model.fit(FEATURES, y, **given)
    messages = [str(w.message) for w in caught]
    assert len(messages) == (2 if n_val == 60 else 0)
    assert all(
        "X_val has as many samples as X" in text and "only 30 of 60" in text for text in messages
    )


def test_search_that_splits_the_validation_samples_of_a_pipeline_warns():
    model = make_pipeline(StandardScaler(), MLPClassifier((4,), max_iter=2))
    given = {"mlpclassifier__X_val": FEATURES, "mlpclassifier__y_val": SKEWED}
    with pytest.warns(UserWarning, match="only 40 of 60 samples are used"):
        cross_validate(model, FEATURES, np.arange(60) % 3, cv=3, params=given)
