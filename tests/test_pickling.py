"""Copies of estimators are equal, independent and small, and can continue training."""

import copy
import pickle

import joblib
import numpy as np
import pytest
from copies import LABELS, NUMBERS, STATES, X, equal, networks, outputs, small
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknn_adam import SGD, Adam, MLPClassifier, MLPRegressor
from sknn_adam.optimizers import OPTIMIZERS

BOTH = pytest.mark.parametrize(
    ("estimator", "y"), [(MLPClassifier, LABELS), (MLPRegressor, NUMBERS)], ids=["clf", "reg"]
)
FIRST_ORDER = [name for name, make in OPTIMIZERS.items() if not make().full_batch]


def by_joblib(model, folder, **options):
    path = folder / "model.joblib"
    joblib.dump(model, path, compress=options.pop("compress", 0))
    return joblib.load(path, **options)


def by_cloudpickle(model, _):
    return pickle.loads(pytest.importorskip("cloudpickle").dumps(model))


COPIES = {
    "pickle 2": lambda model, _: pickle.loads(pickle.dumps(model, protocol=2)),
    "pickle 5": lambda model, _: pickle.loads(pickle.dumps(model, protocol=5)),
    "deepcopy": lambda model, _: copy.deepcopy(model),
    "cloudpickle": by_cloudpickle,
    "joblib": by_joblib,
    "joblib, compressed": lambda model, folder: by_joblib(model, folder, compress=3),
    "joblib, mapped": lambda model, folder: by_joblib(model, folder, mmap_mode="r"),
    "twice": lambda model, _: pickle.loads(pickle.dumps(copy.deepcopy(model))),
}

# -- copies of fitted estimators -----------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("method", COPIES)
def test_copy_predicts_the_same(estimator, y, state, method, tmp_path):
    model = small(estimator, **STATES[state]).fit(X, y)
    copied = COPIES[method](model, tmp_path)
    equal(model, copied)
    assert copied.score(X, y) == model.score(X, y)
    assert repr(copied) == repr(model)
    public = {name for name in dir(model) if name.endswith("_") and not name.startswith("_")}
    assert {name for name in dir(copied) if name in public and hasattr(copied, name)} == {
        name for name in public if hasattr(model, name)
    }
    assert copied.history_.columns == model.history_.columns
    assert (copied.stop_reason_, copied.n_iter_, copied.n_steps_) == (
        model.stop_reason_,
        model.n_iter_,
        model.n_steps_,
    )


@BOTH
@pytest.mark.parametrize("method", COPIES)
def test_copy_is_independent(estimator, y, method, tmp_path):
    model = small(estimator, normalization="batch").fit(X, y)
    before, weights = outputs(model), [W.copy() for W in model.coefs_]
    copied = COPIES[method](model, tmp_path)
    copied.fit(X[:30], y[:30])
    assert (outputs(copied) != before).any()
    COPIES[method](model, tmp_path).partial_fit(X, y)
    np.testing.assert_array_equal(outputs(model), before)
    for one, other in zip(model.coefs_, weights, strict=True):
        np.testing.assert_array_equal(one, other)


@BOTH
def test_unfitted_estimator_is_copied_with_its_components(estimator, y, tmp_path):
    model = small(estimator, optimizer=SGD(learning_rate=0.3, momentum=0.5), gradient_clip=1.0)
    for method in COPIES.values():
        copied = method(model, tmp_path)
        assert repr(copied) == repr(model)
        assert copied.optimizer is not model.optimizer
        assert not hasattr(copied, "coefs_")
        equal(copied.fit(X, y), clone(model).fit(X, y))


@BOTH
def test_pipelines_and_searches_can_be_copied(estimator, y, tmp_path):
    name = estimator.__name__.lower()
    model = make_pipeline(StandardScaler(), small(estimator))
    grid = {f"{name}__optimizer": ["adam", SGD(momentum=0.5)]}
    search = GridSearchCV(model, grid, cv=2).fit(X, y)
    for method in COPIES.values():
        copied = method(search, tmp_path)
        np.testing.assert_array_equal(outputs(copied), outputs(search))
        assert copied.best_score_ == search.best_score_
        assert repr(copied.best_params_) == repr(search.best_params_)


def test_components_defined_in_a_notebook_can_be_cloudpickled():
    cloudpickle = pytest.importorskip("cloudpickle")

    # As in a notebook, no module contains this class.
    class Slow(SGD):
        @staticmethod
        def rule(g, lr):
            return (0.5 * lr * g,)

        def init(self, theta, layout=None):
            state = super().init(theta, layout)
            return state

    Slow.slots = ()
    Slow.scalars = lambda self, t, lr: (lr,)
    model = small(MLPRegressor, optimizer=Slow(learning_rate=0.1)).partial_fit(X, NUMBERS)
    copied = pickle.loads(cloudpickle.dumps(model))
    equal(model, copied)
    equal(model.partial_fit(X, NUMBERS), copied.partial_fit(X, NUMBERS))


# -- continued training --------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("optimizer", FIRST_ORDER)
@pytest.mark.parametrize("kept_by", ["partial_fit", "warm start"])
def test_training_of_a_copy_continues_bit_for_bit(estimator, y, optimizer, kept_by, tmp_path):
    params = {
        "optimizer": optimizer,
        "normalization": "batch",
        "dropout": 0.2,
        "averaging": "ema",
        "schedule": "plateau",
    }

    def two_epochs(model):
        if kept_by == "warm start":
            return model.fit(X, y)
        return model.partial_fit(X, y).partial_fit(X, y)

    model = small(estimator, **params, max_iter=2, warm_start=kept_by == "warm start")
    two_epochs(model)
    before = outputs(model)
    methods = COPIES if optimizer == "adam" else ["pickle 5", "deepcopy", "joblib, mapped"]
    copies = [COPIES[method](model, tmp_path) for method in methods]
    for copied in copies:
        two_epochs(copied)
    np.testing.assert_array_equal(outputs(model), before)
    two_epochs(model)
    assert (outputs(model) != before).any()
    for copied in copies:
        equal(copied, model)


@BOTH
@pytest.mark.parametrize("method", COPIES)
def test_weights_of_a_copy_are_views(estimator, y, method, tmp_path):
    params = {"hidden_layer_sizes": (), "optimizer": Adam(learning_rate=0.1)}
    params |= {"target_scaling": False} if estimator is MLPRegressor else {}
    copied = COPIES[method](small(estimator, **params).partial_fit(X, y), tmp_path)
    before, (W,) = outputs(copied), copied.coefs_
    first = W.copy()
    copied.partial_fit(X, y)
    (W,), (b,) = copied.coefs_, copied.intercepts_
    assert (W != first).all()
    assert (outputs(copied) != before).any()
    raw = copied.decision_function(X) if estimator is MLPClassifier else copied.predict(X)
    np.testing.assert_allclose(raw, (X @ W + b).reshape(raw.shape), rtol=1e-10)


# -- size ----------------------------------------------------------------------------------------


def weights_of(model):
    return sum(a.nbytes for member in networks(model) for a in member.coefs_ + member.intercepts_)


@BOTH
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("state", STATES)
def test_pickle_stores_the_weights_once(estimator, y, dtype, state):
    params = {"batch_size": 50} | STATES[state]
    params |= {"hidden_layer_sizes": (200, 200), "dtype": dtype, "max_iter": 3}
    table, y = np.tile(X, (5, 1)), np.tile(y, 5)
    model = small(estimator, **params).fit(table, y)
    assert len(pickle.dumps(model)) <= 1.05 * weights_of(model) + 20_000
    assert len(pickle.dumps(copy.deepcopy(model))) <= 1.05 * weights_of(model) + 20_000


@BOTH
def test_pickle_is_small_after_many_epochs(estimator, y):
    model = small(estimator, max_iter=200, n_iter_no_change=np.inf, early_stopping=True).fit(X, y)
    assert model.n_iter_ == 200
    assert len(pickle.dumps(model)) <= 1.05 * weights_of(model) + 20_000


@BOTH
@pytest.mark.parametrize(
    ("optimizer", "vectors"),
    # theta, its average, the best weights, and the slots.
    [("sgd", 3), ("momentum", 4), ("adam", 5)],
)
def test_run_is_pickled_without_gradient_buffers_and_data(estimator, y, optimizer, vectors):
    params = {"hidden_layer_sizes": (300, 300), "batch_size": 600, "optimizer": optimizer}
    table, y = np.tile(X, (20, 1)), np.tile(y, 20)
    partial = small(estimator, **params).partial_fit(table, y)
    warm = small(estimator, **params, warm_start=True, max_iter=2).fit(table, y)
    # A gradient or a buffer of 600 x 300 would exceed the limit.
    for model in (partial, warm):
        assert len(pickle.dumps(model)) <= 1.05 * vectors * weights_of(model) + 20_000


# -- joblib --------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_estimators_can_train_and_predict_in_parallel(backend):
    models = [small(MLPClassifier, random_state=seed) for seed in range(3)]
    models += [small(MLPRegressor, normalization="batch", random_state=seed) for seed in range(3)]
    targets = [LABELS] * 3 + [NUMBERS] * 3
    expected = [clone(model).fit(X, y) for model, y in zip(models, targets, strict=True)]
    with joblib.Parallel(n_jobs=2, backend=backend) as parallel:
        calls = (joblib.delayed(m.fit)(X, y) for m, y in zip(models, targets, strict=True))
        for one, other in zip(parallel(calls), expected, strict=True):
            equal(one, other)
        calls = (joblib.delayed(model.predict)(X) for model in expected)
        for actual, model in zip(parallel(calls), expected, strict=True):
            np.testing.assert_array_equal(actual, model.predict(X))

        # Large arrays reach other processes as read-only memory maps.
        wide = small(MLPRegressor, hidden_layer_sizes=(30_000,), max_iter=1, batch_size=60)
        wide.partial_fit(X, NUMBERS)
        assert wide._network.theta.nbytes > 1.5e6
        (actual,) = parallel([joblib.delayed(wide.predict)(X)])
        # BLAS may use another number of threads there.
        np.testing.assert_allclose(actual, wide.predict(X), rtol=1e-9)
        expected = copy.deepcopy(wide).partial_fit(X, NUMBERS)
        (actual,) = parallel([joblib.delayed(copy.deepcopy(wide).partial_fit)(X, NUMBERS)])
        equal(actual, expected)
