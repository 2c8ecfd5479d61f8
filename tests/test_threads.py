"""Threads: of BLAS, which a fit limits and leaves as it was, and of the user."""

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Thread

import numpy as np
import pytest
from sklearn.base import clone
from threadpoolctl import threadpool_info, threadpool_limits

from sknn_adam import Adam, MLPClassifier, MLPRegressor, RMSprop
from sknn_adam.activations import Activation
from sknn_adam.clipping import ClipByNorm
from sknn_adam.initializers import VarianceScaling
from sknn_adam.normalization import BatchNorm
from sknn_adam.schedules import Plateau

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
LABELS = np.array(["a", "b", "c"])[np.digitize(X @ [1.0, 2.0, 0.0, -1.0, 0.5], [-1, 1])]
NUMBERS = 100 * np.sin(X[:, 0]) + 30 * X[:, 1] ** 2 + 1000

BOTH = pytest.mark.parametrize(
    ("estimator", "y"), [(MLPClassifier, LABELS), (MLPRegressor, NUMBERS)], ids=["clf", "reg"]
)


def small(estimator, **params):
    defaults = {"hidden_layer_sizes": (6,), "max_iter": 3, "batch_size": 16, "random_state": 0}
    return estimator(**defaults | params)


def large(estimator, **params):
    """A network whose products are worth several threads, and rows for it."""
    params = {"hidden_layer_sizes": (512,), "batch_size": 1024, "max_iter": 1} | params
    return small(estimator, **params), np.random.default_rng(0).normal(size=(1024, 64))


def outputs(model, inputs=X):
    return getattr(model, "predict_proba", model.predict)(inputs)


def equal(a, b):
    for one, other in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        np.testing.assert_array_equal(one, other)


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def all_are(n_threads, seen):
    return seen and all(threads == {n_threads} for threads in seen)


class Watched(Activation):
    """A linear unit that tells how many threads BLAS has whenever it is used.

    It is told what to do then, which may be to wait or to raise.
    """

    def __init__(self, seen=None, then=None):
        self.seen, self.then = seen, then

    def __call__(self, z):
        self.seen.append(blas_threads())
        if self.then is not None:
            self.then()
        return z

    def derivative(self, z, a):
        return np.ones_like(a)


@pytest.fixture
def busy_threads():
    """Threads take turns far more often, so that they meet where they should not."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture
def two_threads():
    with threadpool_limits(2, "blas"):
        assert blas_threads() == {2}
        yield


# -- BLAS ----------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("optimizer", "method"), [("adam", "fit"), ("adam", "partial_fit"), ("lbfgs", "fit")]
)
@pytest.mark.usefixtures("two_threads")
def test_a_small_network_trains_on_one_thread(estimator, y, optimizer, method):
    seen = []
    model = small(estimator, activation=Watched(seen), optimizer=optimizer, batch_size="auto")
    getattr(model, method)(X, y)
    assert all_are(1, seen)
    assert blas_threads() == {2}


@BOTH
@pytest.mark.usefixtures("two_threads")
def test_a_large_network_trains_on_the_threads_there_are(estimator, y):
    seen = []
    model, table = large(estimator, activation=Watched(seen))
    y = np.resize(y, len(table))
    model.fit(table, y)
    assert all_are(2, seen)
    seen.clear()
    with threadpool_limits(1, "blas"):
        model.fit(table, y)
    assert all_are(1, seen)


@BOTH
@pytest.mark.usefixtures("two_threads")
def test_prediction_never_limits_threads(estimator, y):
    seen = []
    model = small(estimator, activation=Watched(seen)).fit(X, y)
    for method in ("predict", "predict_proba", "decision_function"):
        if hasattr(model, method):
            seen.clear()
            getattr(model, method)(X)
            assert all_are(2, seen)
    seen.clear()
    model.score(X, y)
    assert all_are(2, seen)


@BOTH
def test_bits_of_a_small_network_do_not_depend_on_threads(estimator, y):
    # 400 features and units: products that BLAS would share out, were it allowed to.
    table = np.random.default_rng(0).normal(size=(90, 400))
    y = np.resize(y, 90)
    params = {"hidden_layer_sizes": (200, 200), "batch_size": 45, "normalization": "batch"}
    fitted = []
    for limit in (1, 2, 3, None):
        with threadpool_limits(limit, "blas"):
            fitted.append(small(estimator, **params).fit(table, y))
    for model in fitted[1:]:
        equal(model, fitted[0])


@BOTH
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_bits_of_a_large_network_are_those_of_equal_threads(estimator, y, limit):
    model, table = large(estimator, max_iter=3)
    y = np.resize(y, len(table))
    with threadpool_limits(limit, "blas"):
        equal(clone(model).fit(table, y), model.fit(table, y))


# -- BLAS afterwards -----------------------------------------------------------------------------


class Broken(Exception):
    pass


def throw(error):
    raise error


@BOTH
@pytest.mark.parametrize("error", [Broken, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.usefixtures("two_threads")
@pytest.mark.usefixtures("plain_numpy")
def test_limits_are_lifted_after_an_error(estimator, y, error, method):
    seen = []
    model = small(estimator, activation=Watched(seen, lambda: throw(error)))
    with pytest.raises(error):
        getattr(model, method)(X, y)
    assert seen == [{1}]
    assert blas_threads() == {2}
    seen.clear()
    small(estimator, activation=Watched(seen)).fit(X, y)  # the next one is limited again
    assert all_are(1, seen)
    assert blas_threads() == {2}


@BOTH
@pytest.mark.usefixtures("two_threads")
def test_limits_are_lifted_after_a_scorer_or_divergence_ends_training(estimator, y):
    scored = small(estimator, early_stopping=True, scoring=lambda *_: throw(Broken))
    with pytest.raises(Broken):
        scored.fit(X, y)
    assert blas_threads() == {2}
    diverging = small(estimator, activation="identity", max_iter=50, on_divergence="raise")
    diverging.set_params(optimizer="sgd", optimizer__learning_rate=1e300)
    with pytest.raises(FloatingPointError):
        diverging.fit(X, y)
    assert blas_threads() == {2}


@pytest.mark.parametrize("first_to_leave", ["first to enter", "last to enter"])
@pytest.mark.usefixtures("two_threads")
def test_fits_that_overlap(first_to_leave):
    for _ in range(3):
        entered, leave, seen = Event(), Event(), ([], [])

        def wait(entered=entered, leave=leave):
            entered.set()
            assert leave.wait(30)

        waiting = small(MLPRegressor, activation=Watched(seen[0], wait), batch_size=60, max_iter=2)
        waiting.set_params(record=False)  # the recorder looks at activations, too
        other = small(MLPClassifier, activation=Watched(seen[1]))
        thread = Thread(target=waiting.fit, args=(X, NUMBERS))
        if first_to_leave == "last to enter":
            thread.start()
            assert entered.wait(30)
            other.fit(X, LABELS)  # enters and leaves while the other is at work
            assert blas_threads() == {1}
        else:
            inside = Watched(
                seen[1], lambda t=thread, e=entered: (t.ident or t.start(), e.wait(30))
            )
            other.set_params(activation=inside).fit(X, LABELS)  # leaves while the other goes on
            assert blas_threads() == {1}
        leave.set()
        thread.join(30)
        assert not thread.is_alive()
        assert all_are(1, seen[0])
        assert all_are(1, seen[1])
        assert len(seen[0]) == 2
        assert blas_threads() == {2}


@pytest.mark.usefixtures("two_threads", "busy_threads")
def test_many_fits_and_failures_in_threads_leave_no_trace():
    barrier = Barrier(4)

    def work(i):
        barrier.wait(30)
        for k in range(12):
            if (i + k) % 3:
                small(MLPRegressor, max_iter=1 + i).fit(X, NUMBERS)
            else:
                with pytest.raises(Broken):
                    small(MLPRegressor, early_stopping=True, scoring=lambda *_: throw(Broken)).fit(
                        X, NUMBERS
                    )
        return True

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [True] * 4
    assert blas_threads() == {2}


# -- threads of the user -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "y", "n_calls", "params"),
    [
        (MLPClassifier, LABELS, 10_000, {"normalization": "batch", "dropout": 0.2}),
        (MLPRegressor, NUMBERS, 2_000, {"normalization": "layer", "dtype": "float32"}),
    ],
    ids=["clf", "reg"],
)
@pytest.mark.usefixtures("busy_threads")
def test_predictions_in_threads_are_those_of_one(estimator, y, n_calls, params):
    model = small(estimator, hidden_layer_sizes="32-16", **params).fit(X, y)
    tables = [X[i % 57 : i % 57 + 1 + i % 4] for i in range(228)]  # of 1 to 4 rows
    expected = [outputs(model, table) for table in tables]
    assert len({array.tobytes() for array in expected}) > 200
    numbers = np.random.default_rng(0).integers(len(tables), size=n_calls)
    with ThreadPoolExecutor(8) as pool:
        shares = np.array_split(numbers, 80)
        found = pool.map(lambda share: [outputs(model, tables[i]) for i in share], shares)
        found = [array for share in found for array in share]
    assert len(found) == n_calls
    wrong = [i for i, array in zip(numbers, found, strict=True) if (array != expected[i]).any()]
    assert not wrong


@BOTH
@pytest.mark.usefixtures("busy_threads")
def test_prediction_next_to_training_of_another_estimator(estimator, y):
    parts = {"optimizer": Adam(learning_rate=0.01), "normalization": BatchNorm()}
    model = small(estimator, **parts).fit(X, y)
    expected = outputs(model)
    training = small(estimator, **parts, max_iter=100, n_iter_no_change=np.inf)
    alone = clone(training).fit(X, y)
    thread = Thread(target=training.fit, args=(X, y))
    thread.start()
    n_predictions = 0
    while thread.is_alive() or not n_predictions:
        np.testing.assert_array_equal(outputs(model), expected)
        n_predictions += 1
    thread.join()
    equal(training, alone)


@BOTH
@pytest.mark.usefixtures("busy_threads")
def test_fits_in_threads_may_share_every_component(estimator, y):
    shared = {
        "optimizer": RMSprop(learning_rate=0.01, momentum=0.5, centered=True),
        "initializer": VarianceScaling(0.5),
        "normalization": BatchNorm(),
        "schedule": Plateau(patience=1),
        "gradient_clip": ClipByNorm(0.1),
        "averaging": "ema",
    }
    states = {name: vars(part).copy() for name, part in shared.items() if name != "averaging"}
    models = [small(estimator, max_iter=10, random_state=i, **shared) for i in range(8)]
    serial = [clone(model).fit(X, y) for model in models]
    assert all(model.optimizer is shared["optimizer"] for model in models)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda model: model.fit(X, y), models))
    for one, other in zip(together, serial, strict=True):
        equal(one, other)
        assert one.loss_curve_ == other.loss_curve_
    assert (together[0].coefs_[0] != together[1].coefs_[0]).any()
    assert {name: vars(part) for name, part in shared.items() if name != "averaging"} == states
