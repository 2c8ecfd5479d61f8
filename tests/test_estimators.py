"""Behavior that both estimators share."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from copies import networks
from scipy import sparse
from scipy.special import expit
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.preprocessing import StandardScaler, scale
from sklearn.utils.estimator_checks import parametrize_with_checks

from sknn_adam import SGD, Adam, MLPClassifier, MLPRegressor, RMSprop
from sknn_adam.clipping import ClipByNorm
from sknn_adam.initializers import VarianceScaling
from sknn_adam.normalization import BatchNorm
from sknn_adam.schedules import Cosine

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
LABELS = np.array(["a", "b", "c"])[np.digitize(X @ [1.0, 2.0, 0.0, -1.0, 0.5], [-1, 1])]
NUMBERS = 100 * np.sin(X[:, 0]) + 30 * X[:, 1] ** 2 + 1000

BOTH = pytest.mark.parametrize(
    ("estimator", "y"), [(MLPClassifier, LABELS), (MLPRegressor, NUMBERS)], ids=["clf", "reg"]
)


def small(estimator, **params):
    return estimator(**{"hidden_layer_sizes": (6,), "max_iter": 5, "random_state": 0} | params)


def outputs(model, inputs=X):
    """Return all numeric outputs of a fitted estimator."""
    if hasattr(model, "predict_proba"):
        return np.c_[model.decision_function(inputs), model.predict_proba(inputs)]
    return model.predict(inputs)


def assert_equal(a, b):
    np.testing.assert_array_equal(outputs(a), outputs(b))
    for m, n in zip(networks(a), networks(b), strict=True):
        for one, other in zip(m.coefs_ + m.intercepts_, n.coefs_ + n.intercepts_, strict=True):
            np.testing.assert_array_equal(one, other)


# -- scikit-learn's own checks -------------------------------------------------------------------

CHECKED = [
    estimator(**params)
    for estimator in (MLPClassifier, MLPRegressor)
    for params in (
        {},
        # A fixed seed, because at this learning rate one in a hundred fits gives probabilities that
        # round to 1. scikit-learn's check compares their ranks with those of the raw outputs.
        {
            "hidden_layer_sizes": (10,),
            "max_iter": 60,
            "optimizer": Adam(learning_rate=0.02),
            "random_state": 0,
        },
        {
            "hidden_layer_sizes": "8-4",
            "activation": "tanh",
            "max_iter": 60,
            "optimizer": Adam(0.02),
            "random_state": 0,
        },
        {
            "hidden_layer_sizes": (10,),
            "max_iter": 60,
            "optimizer": Adam(learning_rate=0.02),
            "random_state": 0,
            "n_members": 2,
        },
        {
            "hidden_layer_sizes": (10,),
            "max_iter": 60,
            "optimizer": Adam(learning_rate=0.02),
            "random_state": 0,
            "learn_scales": True,
        },
        {"cv": 3, "max_iter": 20, "optimizer": Adam(learning_rate=0.02), "random_state": 0},
        {
            "cv": 2,
            "n_members": 2,
            "early_stopping": True,
            "max_iter": 60,
            "optimizer": Adam(learning_rate=0.02),
            "random_state": 0,
        },
    )
]


# scikit-learn warns that it skips its array API check if no array API library is chosen.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
# Some checks fit columns with a mean of 100. They saturate every tanh unit, and fit warns.
@pytest.mark.filterwarnings("ignore:Training learned nothing. all units")
@parametrize_with_checks(CHECKED)
def test_checks_of_scikit_learn_pass(estimator, check):
    check(estimator)


# -- architecture --------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("sizes", "widths"),
    [
        (7, (7,)),
        (np.int64(7), (7,)),
        ((4, 3), (4, 3)),
        ([4, 3], (4, 3)),
        (np.array([4, 3]), (4, 3)),
        ("7", (7,)),
        ("4-3", (4, 3)),
        ("4x3", (4, 4, 4)),
        ("5-4x2-3", (5, 4, 4, 3)),
        ((), ()),
        ([], ()),
    ],
    ids=str,
)
def test_hidden_layer_sizes_accept_several_notations(estimator, y, sizes, widths):
    model = small(estimator, hidden_layer_sizes=sizes, max_iter=2).fit(X, y)
    fans = [5, *widths, 3 if estimator is MLPClassifier else 1]
    assert [W.shape for W in model.coefs_] == list(pairwise(fans))
    assert [b.shape for b in model.intercepts_] == [(fan,) for fan in fans[1:]]
    assert model.n_layers_ == len(widths) + 2
    assert_equal(model, small(estimator, hidden_layer_sizes=widths, max_iter=2).fit(X, y))


FORMULAS = {
    "identity": lambda z: z,
    "logistic": expit,
    "tanh": np.tanh,
    "relu": lambda z: z * (z > 0),
}


def forward(model, formula, inputs):
    """Return raw outputs computed from the public attributes."""
    *hidden, last = zip(model.coefs_, model.intercepts_, strict=True)
    for W, b in hidden:
        inputs = formula(inputs @ W + b)
    return inputs @ last[0] + last[1]


@BOTH
@pytest.mark.parametrize("normalization", [None, "batch"])
@pytest.mark.parametrize("activation", FORMULAS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_forward_pass_through_coefs_and_intercepts_predicts(
    estimator, y, activation, normalization, dtype
):
    params = {"activation": activation, "normalization": normalization, "dtype": dtype}
    model = small(estimator, hidden_layer_sizes=(6, 4), batch_size=20, **params).fit(X, y)
    z = forward(model, FORMULAS[activation], X)
    rtol = 1e-10 if dtype == "float64" else 1e-4
    if estimator is MLPRegressor:
        np.testing.assert_allclose(z.ravel(), model.predict(X), rtol=rtol)
    else:
        np.testing.assert_allclose(z, model.decision_function(X), rtol=rtol, atol=rtol)
        np.testing.assert_array_equal(model.classes_[z.argmax(axis=1)], model.predict(X))


@BOTH
@pytest.mark.parametrize(
    ("shape", "given", "dtype", "network_dtype"),
    [
        ((8191, 1), np.float64, "auto", np.float64),
        ((128, 64), np.float64, "auto", np.float32),  # 8,192 elements
        ((8191, 1), np.float32, "auto", np.float32),
        ((128, 64), np.int64, "auto", np.float32),
        ((8191, 1), np.int64, "auto", np.float64),
        ((128, 64), np.float64, "float64", np.float64),
        ((8191, 1), np.float64, "float32", np.float32),
        ((8191, 1), np.float32, "float64", np.float64),
    ],
)
def test_network_dtype_depends_on_table_size_and_parameter(
    estimator, y, shape, given, dtype, network_dtype
):
    table = (3 * RNG.normal(size=shape)).astype(given)
    y = np.resize(y, len(table))
    model = small(estimator, max_iter=1, dtype=dtype).fit(table, y)
    assert {array.dtype for array in model.coefs_ + model.intercepts_} == {np.dtype(network_dtype)}
    if estimator is MLPRegressor:
        assert model.predict(table).dtype == np.float64  # the targets are float64


@BOTH
def test_table_size_counts_sparse_zeros(estimator, y):
    table = sparse.csr_matrix(np.where(RNG.random((256, 256)) < 0.01, 1.0, 0.0))
    model = small(estimator, max_iter=1).fit(table, np.resize(y, 256))
    assert model.coefs_[0].dtype == np.float32


# -- batches -------------------------------------------------------------------------------------

STEPS_PER_EPOCH = [
    # n_samples, classifier, regressor
    (20, 1, 1),
    (32, 1, 1),
    (33, 2, 1),
    (100, 4, 1),
    (127, 4, 1),
    (128, 2, 2),
    (1000, 16, 16),
]


@pytest.mark.parametrize(("n_samples", "classes", "numbers"), STEPS_PER_EPOCH)
def test_steps_per_epoch_by_default(n_samples, classes, numbers):
    repeated_X = np.resize(X, (n_samples, 5))
    for estimator, y, steps in ((MLPClassifier, LABELS, classes), (MLPRegressor, NUMBERS, numbers)):
        model = small(estimator, max_iter=3).fit(repeated_X, np.resize(y, n_samples))
        assert model.n_steps_ == 3 * steps
        line_search = small(estimator, max_iter=3, optimizer="lbfgs")
        assert line_search.fit(repeated_X, np.resize(y, n_samples)).n_steps_ == 3


def test_defaults_learn_a_small_table():
    # Accuracy of scikit-learn 1.9's MLPClassifier(random_state=0) on the same folds: 0.953.
    table, classes = load_iris(return_X_y=True)
    folds = cross_val_score(MLPClassifier(random_state=0), scale(table), classes)
    assert folds.mean() == pytest.approx(0.953, abs=0.015)


# -- sample weights ------------------------------------------------------------------------------


@BOTH
def test_integer_weight_equals_a_repeated_sample(estimator, y):
    weight = np.arange(60) % 4
    # All samples are in one batch.
    params = {"batch_size": 1000, "max_iter": 30}
    weighted = small(estimator, **params).fit(X, y, sample_weight=weight)
    repeated = small(estimator, **params).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    np.testing.assert_allclose(outputs(weighted), outputs(repeated), rtol=1e-9)
    assert np.abs(outputs(weighted) - outputs(small(estimator, **params).fit(X, y))).max() > 1e-3


@BOTH
def test_only_ratios_of_weights_matter(estimator, y):
    weight = RNG.uniform(0.5, 2, size=60)
    model = small(estimator, batch_size=16).fit(X, y, weight)
    assert_equal(model, small(estimator, batch_size=16).fit(X, y, 1024 * weight))
    np.testing.assert_allclose(
        outputs(model), outputs(small(estimator, batch_size=16).fit(X, y, weight / 7e9)), rtol=1e-9
    )
    assert_equal(small(estimator).fit(X, y), small(estimator).fit(X, y, np.full(60, 0.25)))


@BOTH
def test_samples_of_weight_zero_are_dropped(estimator, y):
    weight = RNG.uniform(0.5, 2, size=60)
    weight[::3] = 0
    kept = weight > 0
    changed = X.copy()
    changed[~kept] = 1e6
    model = small(estimator, batch_size=16).fit(changed, y, weight)
    assert_equal(model, small(estimator, batch_size=16).fit(X[kept], y[kept], weight[kept]))
    # 40 samples make 3 batches.
    assert model.n_steps_ == 5 * 3


@BOTH
def test_batches_do_not_cancel_weights(estimator, y):
    # With one sample per batch, weights normalized per batch would all be 1.
    params = {"batch_size": 1, "shuffle": False, "optimizer": SGD(learning_rate=1e-3)}
    plain = small(estimator, **params, target_scaling=False) if estimator is MLPRegressor else None
    model = plain or small(estimator, **params)
    scaled = NUMBERS / 1000 if plain else y
    weighted = clone(model).fit(X, scaled, np.linspace(0.1, 3, 60))
    assert np.abs(outputs(weighted) - outputs(model.fit(X, scaled))).max() > 1e-4


# -- equal results -------------------------------------------------------------------------------


def components():
    return {
        "optimizer": RMSprop(momentum=0.5),
        "initializer": VarianceScaling(0.5),
        "bias_initializer": VarianceScaling(0.1),
        "normalization": BatchNorm(),
        "schedule": Cosine(),
        "gradient_clip": ClipByNorm(0.1),
    }


@BOTH
def test_shared_components_are_not_modified(estimator, y):
    shared = components()
    before = {name: vars(component).copy() for name, component in shared.items()}
    first = small(estimator, batch_size=20, **shared).fit(X, y)
    again = small(estimator, batch_size=20, **shared).fit(X, y)
    fresh = small(estimator, batch_size=20, **components()).fit(X, y)
    assert_equal(first, again)
    assert_equal(first, fresh)
    assert_equal(first, clone(first).fit(X, y))
    assert {name: vars(component) for name, component in shared.items()} == before
    assert all(getattr(first, name) is component for name, component in shared.items())


@BOTH
def test_random_state_determines_the_result(estimator, y):
    def fitted(random_state):
        return small(estimator, random_state=random_state, batch_size=20).fit(X, y)

    assert_equal(fitted(1), fitted(1))
    assert_equal(fitted(np.random.RandomState(1)), fitted(np.random.RandomState(1)))
    assert (outputs(fitted(1)) != outputs(fitted(2))).any()
    assert (outputs(fitted(None)) != outputs(fitted(None))).any()
    generator = np.random.RandomState(1)
    assert (outputs(fitted(generator)) != outputs(fitted(generator))).any()


@BOTH
@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "momentum"])
def test_epochs_add_up(estimator, y, optimizer):
    """One fit equals five epochs of partial_fit, also with a warm start or a pickle in between."""
    params = {"optimizer": optimizer, "batch_size": 16, "normalization": "batch"}
    once = small(estimator, **params).fit(X, y)

    partial = small(estimator, **params)
    for _ in range(5):
        partial.partial_fit(X, y)
    assert_equal(once, partial)
    assert partial.loss_curve_ == once.loss_curve_

    warm = small(estimator, **params, warm_start=True).set_params(max_iter=2).fit(X, y)
    assert_equal(once, warm.set_params(max_iter=3).fit(X, y))
    assert (warm.n_iter_, len(warm.loss_curve_)) == (3, 5)

    halfway = small(estimator, **params).partial_fit(X, y).partial_fit(X, y)
    for resumed in (pickle.loads(pickle.dumps(halfway)), copy.deepcopy(halfway)):
        for _ in range(3):
            resumed.partial_fit(X, y)
        assert_equal(once, resumed)
    assert len(halfway.loss_curve_) == 2


@BOTH
def test_fit_without_warm_start_starts_from_scratch(estimator, y):
    model = small(estimator).fit(X[:, :3], y)
    assert_equal(model.fit(X, y), small(estimator).fit(X, y))
    assert model.n_features_in_ == 5


@BOTH
def test_pickle_predicts_the_same_and_stores_the_weights_once(estimator, y):
    model = small(estimator, hidden_layer_sizes=(400,), normalization="batch").fit(X, y)
    dumped = pickle.dumps(model)
    restored = pickle.loads(dumped)
    assert_equal(model, restored)
    assert_equal(model, copy.deepcopy(model))
    n_bytes = sum(array.nbytes for array in model.coefs_ + model.intercepts_)
    assert len(dumped) < 2 * n_bytes + 10_000
    before = outputs(model)
    restored.fit(X[:30], y[:30])
    np.testing.assert_array_equal(outputs(model), before)


@BOTH
def test_threads_can_predict_concurrently(estimator, y):
    model = small(estimator, hidden_layer_sizes=(50,)).fit(X, y)
    tables = [RNG.normal(size=(n, 5)) for n in (1, 7, 500, 3000)] * 5
    expected = [outputs(model, table) for table in tables]
    with ThreadPoolExecutor(4) as pool:
        predictions = pool.map(lambda table: outputs(model, table), tables)
        for one, other in zip(predictions, expected, strict=True):
            np.testing.assert_array_equal(one, other)


@BOTH
def test_sparse_features_give_the_same_result_as_dense_ones(estimator, y):
    zeros = np.where(np.abs(X) < 0.7, 0, X)
    dense = small(estimator, batch_size=16).fit(zeros, y)
    for container in (sparse.csr_matrix, sparse.csc_array, sparse.coo_array):
        model = small(estimator, batch_size=16).fit(container(zeros), y)
        np.testing.assert_allclose(outputs(model), outputs(dense), rtol=1e-8)
        np.testing.assert_allclose(outputs(dense, container(zeros)), outputs(dense, zeros))


@BOTH
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames_give_the_same_result_as_arrays(estimator, y, library):
    frames = pytest.importorskip(library)
    frame = frames.DataFrame({f"x{i}": X[:, i] for i in range(5)})
    if not hasattr(StandardScaler().fit(frame), "feature_names_in_"):
        pytest.skip("scikit-learn 1.7 reads names by a protocol that polars 2 no longer has")
    series = frames.Series(y.tolist())
    model = small(estimator).fit(frame, series)
    assert model.feature_names_in_.tolist() == [f"x{i}" for i in range(5)]
    np.testing.assert_array_equal(outputs(model, frame), outputs(small(estimator).fit(X, y)))


# -- fitted attributes ---------------------------------------------------------------------------


@BOTH
def test_fitted_attributes_are_consistent(estimator, y):
    model = small(estimator, batch_size=25, optimizer="sgd", schedule="cosine").fit(X, y)
    assert (model.n_features_in_, model.n_layers_, model.n_iter_) == (5, 3, 5)
    assert model.n_outputs_ == (3 if estimator is MLPClassifier else 1)
    assert model.out_activation_ == ("softmax" if estimator is MLPClassifier else "identity")
    assert model.n_steps_ == 5 * 3
    assert (model.stop_reason_, model.converged_) == ("max_iter", False)
    assert model.optimizer == "sgd"
    assert isinstance(model.optimizer_, SGD)
    assert len(model.loss_curve_) == 5
    assert np.isfinite(model.loss_curve_).all()
    assert model.loss_ == model.loss_curve_[-1]
    assert model.best_loss_ == min(model.loss_curve_)
    assert len(model.history_) == 5
    assert model.history_["loss"] == model.loss_curve_
    assert model.history_["epoch"] == [1, 2, 3, 4, 5]
    assert (np.diff(model.history_["learning_rate"]) < 0).all()
    assert "history_" not in repr(model)


@BOTH
def test_training_stops_when_the_loss_stops_improving(estimator, y):
    model = small(estimator, max_iter=500, tol=0.05, n_iter_no_change=3).fit(X, y)
    assert (model.stop_reason_, model.converged_) == ("tol", True)
    assert 4 < model.n_iter_ < 500
    assert len(model.loss_curve_) == model.n_iter_
    never = small(estimator, max_iter=20, tol=1e9, n_iter_no_change=np.inf).fit(X, y)
    assert never.n_iter_ == 20


@BOTH
def test_loss_curve_is_the_objective_of_the_batches(estimator, y):
    # The steps are negligible, so the mean over the batches is the loss over all samples.
    tiny = SGD(learning_rate=1e-15)
    params = {"optimizer": tiny, "alpha": 0.3, "l1_ratio": 0.15, "max_iter": 1, "batch_size": 7}
    model = small(estimator, **params).fit(X, y)
    if estimator is MLPClassifier:
        p = model.predict_proba(X)[np.arange(60), np.searchsorted(model.classes_, y)]
        loss = -np.log(p).mean()
        weights = model.coefs_
    else:
        loss = ((model.predict(X) - y) ** 2).mean() / y.var() / 2
        weights = [model.coefs_[0], model.coefs_[1] / y.std()]
    penalty = 0.3 * sum(0.85 / 2 * (W**2).sum() + 0.15 * abs(W).sum() for W in weights)
    assert model.loss_ == pytest.approx(loss + penalty, rel=1e-9)


@BOTH
@pytest.mark.parametrize(
    ("n_samples", "alphas"),
    [
        (60, (0.002, 0.0015)),
        (500, (0.002, 0.0015)),
        (1200, (1 / 1200, 0.0015)),
        (8000, (1 / 8000, 1 / 800)),
    ],
)
def test_default_penalty_depends_on_n_samples(estimator, y, n_samples, alphas):
    table, target = np.resize(X, (n_samples, X.shape[1])), np.resize(y, n_samples)
    alpha, l1_ratio = (alphas[0], 0.15) if estimator is MLPClassifier else (alphas[1], 0.0)
    auto = small(estimator).fit(table, target)
    given = small(estimator, alpha=alpha, l1_ratio=l1_ratio).fit(table, target)
    np.testing.assert_array_equal(auto._network.theta, given._network.theta)
    smooth = small(estimator, optimizer="lbfgs").fit(table, target)
    given = small(estimator, optimizer="lbfgs", alpha=alpha, l1_ratio=0.0).fit(table, target)
    np.testing.assert_array_equal(smooth._network.theta, given._network.theta)


@BOTH
def test_inputs_are_not_modified(estimator, y):
    table, target, weight = X.copy(), y.copy(), np.linspace(0, 1, 60)
    for array in (table, target, weight):
        array.flags.writeable = False
    small(estimator).fit(table, target, weight).predict(table)
    small(estimator).partial_fit(table, target, sample_weight=weight)


# -- finite predictions --------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e30, -1e30, 1e38])
def test_predictions_for_absurd_inputs_are_finite(estimator, y, dtype, size):
    model = small(estimator, hidden_layer_sizes="6x3").fit(X.astype(dtype), y)
    assert np.isfinite(outputs(model, (size * X / np.abs(X).max()).astype(dtype))).all()
    assert np.isfinite(outputs(model, np.full((2, 5), size, dtype))).all()


def diverging(estimator, **params):
    # ReLU units die before anything overflows; linear units do not.
    params = {"activation": "identity", "max_iter": 50, "batch_size": 10} | params
    return small(estimator, optimizer=SGD(learning_rate=1e3), hidden_layer_sizes="6x3", **params)


@BOTH
@pytest.mark.parametrize("normalization", [None, "batch"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_divergence_warns_and_predictions_are_finite(estimator, y, dtype, normalization):
    model = diverging(estimator, dtype=dtype, normalization=normalization)
    with pytest.warns(ConvergenceWarning, match=r"diverged in epoch \d+ with SGD\(l") as caught:
        model.fit(X, y)
    assert len(caught) == 1
    assert (model.stop_reason_, model.converged_) == ("diverged", False)
    assert np.isfinite(outputs(model)).all()
    assert np.isfinite(model.loss_curve_).all()
    assert np.isfinite(model.score(X, y))
    assert np.isfinite(model.loss_curve_).all()


@BOTH
def test_weights_before_divergence_are_kept(estimator, y):
    params = {"activation": "tanh", "batch_size": 10, "warm_start": True}
    model = small(estimator, optimizer=SGD(learning_rate=0.05), **params).fit(X, y)
    before = outputs(model)
    model.set_params(optimizer=SGD(learning_rate=1e300))
    with pytest.warns(ConvergenceWarning, match="diverged in epoch 6"):
        model.fit(X, y)
    np.testing.assert_array_equal(outputs(model), before)


@BOTH
def test_training_can_continue_after_divergence(estimator, y):
    model = diverging(estimator, warm_start=True)
    with pytest.warns(ConvergenceWarning):
        model.fit(X, y)
    model.set_params(optimizer=SGD(learning_rate=1e-3), gradient_clip=1.0).fit(X, y)
    assert model.stop_reason_ in ("max_iter", "tol")
    assert np.isfinite(outputs(model)).all()


@BOTH
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop", "lbfgs"])
@pytest.mark.parametrize("size", [1e30, 1e300])
def test_training_on_absurd_inputs_gives_finite_predictions(estimator, y, optimizer, size, recwarn):
    model = small(estimator, optimizer=optimizer).fit(size / 10 * X, y)
    assert np.isfinite(outputs(model, size / 10 * X)).all()
    assert np.isfinite(outputs(model)).all()
    assert {warning.category for warning in recwarn} <= {ConvergenceWarning}
    assert len(recwarn) == (model.stop_reason_ == "diverged")


@BOTH
def test_divergence_can_raise_an_error(estimator, y):
    model = diverging(estimator)
    with pytest.raises(ConvergenceWarning, match=r"batch_size=10.*gradient_clip=1\.0"):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")
    assert sorted(vars(model)) == sorted(diverging(estimator).get_params(deep=False))
