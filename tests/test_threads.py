"""The limit on BLAS threads during and after a fit, and calls in threads of the user."""

import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Thread

import numpy as np
import pytest
from copies import networks
from joblib import Parallel, cpu_count, delayed
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info, threadpool_limits

from sknn_adam import Adam, MLPClassifier, MLPRegressor, RMSprop
from sknn_adam._backends import compilation, threads
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
    """Return a network with products large enough for several threads, and features for it."""
    params = {"hidden_layer_sizes": (512,), "batch_size": 1024, "max_iter": 1} | params
    return small(estimator, **params), np.random.default_rng(0).normal(size=(1024, 64))


def outputs(model, inputs=X):
    return getattr(model, "predict_proba", model.predict)(inputs)


def assert_equal(a, b):
    for m, n in zip(networks(a), networks(b), strict=True):
        for one, other in zip(m.coefs_ + m.intercepts_, n.coefs_ + n.intercepts_, strict=True):
            np.testing.assert_array_equal(one, other)


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def all_are(n_threads, seen):
    return seen and all(threads == {n_threads} for threads in seen)


class Watched(Activation):
    """A linear unit that records the number of BLAS threads whenever it is used.

    It then calls `then`, which may wait or raise.
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
    """Switch threads far more often to provoke race conditions, where there is a GIL."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
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
def test_small_network_trains_on_one_thread(estimator, y, optimizer, method):
    seen = []
    model = small(estimator, activation=Watched(seen), optimizer=optimizer, batch_size="auto")
    getattr(model, method)(X, y)
    assert all_are(1, seen)
    assert blas_threads() == {2}


@BOTH
@pytest.mark.usefixtures("two_threads")
def test_large_network_trains_on_the_available_threads(estimator, y):
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
def test_prediction_does_not_limit_threads(estimator, y):
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
    # BLAS would split products of this size between threads if it were allowed to.
    table = np.random.default_rng(0).normal(size=(90, 400))
    y = np.resize(y, 90)
    params = {"hidden_layer_sizes": (200, 200), "batch_size": 45, "normalization": "batch"}
    fitted = []
    for limit in (1, 2, 3, None):
        with threadpool_limits(limit, "blas"):
            fitted.append(small(estimator, **params).fit(table, y))
    for model in fitted[1:]:
        assert_equal(model, fitted[0])


@BOTH
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_bits_of_a_large_network_are_equal_for_equal_threads(estimator, y, limit):
    model, table = large(estimator, max_iter=3)
    y = np.resize(y, len(table))
    with threadpool_limits(limit, "blas"):
        assert_equal(clone(model).fit(table, y), model.fit(table, y))


# -- BLAS after a fit ----------------------------------------------------------------------------


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
    # The next fit is limited again.
    small(estimator, activation=Watched(seen)).fit(X, y)
    assert all_are(1, seen)
    assert blas_threads() == {2}


@BOTH
@pytest.mark.usefixtures("two_threads")
def test_limits_are_lifted_after_a_scorer_or_divergence_ends_training(estimator, y):
    scored = small(estimator, early_stopping=True, scoring=lambda *_: throw(Broken))
    with pytest.raises(Broken):
        scored.fit(X, y)
    assert blas_threads() == {2}
    diverging = small(estimator, activation="identity", max_iter=50)
    diverging.set_params(optimizer="sgd", optimizer__learning_rate=1e300)
    with pytest.raises(ConvergenceWarning):
        diverging.fit(X, y)
    assert blas_threads() == {2}


@pytest.mark.parametrize("first_to_leave", ["first to enter", "last to enter"])
@pytest.mark.usefixtures("two_threads")
def test_overlapping_fits_restore_the_limit(first_to_leave):
    for _ in range(3):
        entered, leave, seen = Event(), Event(), ([], [])

        def wait(entered=entered, leave=leave):
            entered.set()
            assert leave.wait(30)

        waiting = small(MLPRegressor, activation=Watched(seen[0], wait), batch_size=60, max_iter=2)
        # Recording would also call the activation.
        waiting.set_params(record=False)
        other = small(MLPClassifier, activation=Watched(seen[1]))
        thread = Thread(target=waiting.fit, args=(X, NUMBERS))
        if first_to_leave == "last to enter":
            thread.start()
            assert entered.wait(30)
            # This fit starts and ends while the other is running.
            other.fit(X, LABELS)
            assert blas_threads() == {1}
        else:
            inside = Watched(
                seen[1], lambda t=thread, e=entered: (t.ident or t.start(), e.wait(30))
            )
            # This fit ends while the other continues.
            other.set_params(activation=inside).fit(X, LABELS)
            assert blas_threads() == {1}
        leave.set()
        thread.join(30)
        assert not thread.is_alive()
        assert all_are(1, seen[0])
        assert all_are(1, seen[1])
        assert len(seen[0]) == 2
        assert blas_threads() == {2}


@pytest.mark.usefixtures("two_threads", "busy_threads")
def test_fits_and_failures_in_threads_restore_the_limit():
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


# -- user threads --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "y", "n_calls", "params"),
    [
        (MLPClassifier, LABELS, 10_000, {"normalization": "batch", "dropout": 0.2}),
        (MLPRegressor, NUMBERS, 2_000, {"normalization": "layer", "dtype": "float32"}),
    ],
    ids=["clf", "reg"],
)
@pytest.mark.usefixtures("busy_threads")
def test_predictions_in_threads_equal_those_of_one_thread(estimator, y, n_calls, params):
    model = small(estimator, hidden_layer_sizes="32-16", **params).fit(X, y)
    # Tables of 1 to 4 samples.
    tables = [X[i % 57 : i % 57 + 1 + i % 4] for i in range(228)]
    expected = [outputs(model, table) for table in tables]
    assert len({array.tobytes() for array in expected}) > 200
    numbers = np.random.default_rng(0).integers(len(tables), size=n_calls)
    with ThreadPoolExecutor(8) as pool:
        chunks = np.array_split(numbers, 80)
        predictions = pool.map(lambda chunk: [outputs(model, tables[i]) for i in chunk], chunks)
        predictions = [array for chunk in predictions for array in chunk]
    assert len(predictions) == n_calls
    wrong = [
        i for i, array in zip(numbers, predictions, strict=True) if (array != expected[i]).any()
    ]
    assert not wrong


@BOTH
@pytest.mark.usefixtures("busy_threads")
def test_prediction_is_not_affected_by_training_of_another_estimator(estimator, y):
    components = {"optimizer": Adam(learning_rate=0.01), "normalization": BatchNorm()}
    model = small(estimator, **components).fit(X, y)
    expected = outputs(model)
    training = small(estimator, **components, max_iter=100, n_iter_no_change=np.inf)
    alone = clone(training).fit(X, y)
    thread = Thread(target=training.fit, args=(X, y))
    thread.start()
    n_predictions = 0
    while thread.is_alive() or not n_predictions:
        np.testing.assert_array_equal(outputs(model), expected)
        n_predictions += 1
    thread.join()
    assert_equal(training, alone)


@BOTH
@pytest.mark.usefixtures("busy_threads")
def test_fits_in_threads_can_share_every_component(estimator, y):
    shared = {
        "optimizer": RMSprop(learning_rate=0.01, momentum=0.5, centered=True),
        "initializer": VarianceScaling(0.5),
        "normalization": BatchNorm(),
        "schedule": Plateau(patience=1),
        "gradient_clip": ClipByNorm(0.1),
        "averaging": "ema",
    }
    states = {
        name: vars(component).copy() for name, component in shared.items() if name != "averaging"
    }
    models = [small(estimator, max_iter=10, random_state=i, **shared) for i in range(8)]
    serial = [clone(model).fit(X, y) for model in models]
    assert all(model.optimizer is shared["optimizer"] for model in models)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda model: model.fit(X, y), models))
    for one, other in zip(together, serial, strict=True):
        assert_equal(one, other)
        assert one.loss_curve_ == other.loss_curve_
    assert (together[0].coefs_[0] != together[1].coefs_[0]).any()
    assert {
        name: vars(component) for name, component in shared.items() if name != "averaging"
    } == states


# Fits that run different code: optimizers, losses, members, sparse input, a pipeline, and a
# network that keeps its run.
MIXED = {
    "adam": lambda: outputs(small(MLPClassifier, dropout=0.2).fit(X, LABELS)),
    "lbfgs": lambda: outputs(
        small(MLPRegressor, optimizer="lbfgs", batch_size="auto").fit(X, NUMBERS)
    ),
    "members": lambda: outputs(small(MLPRegressor, n_members=3, activation="tanh").fit(X, NUMBERS)),
    "stopping": lambda: outputs(
        small(MLPClassifier, early_stopping=True, max_iter=20, activation="prelu").fit(X, LABELS)
    ),
    "norm": lambda: outputs(
        small(MLPRegressor, normalization="batch", loss="huber", dtype="float32").fit(X, NUMBERS)
    ),
    "sparse": lambda: outputs(small(MLPRegressor).fit(sparse.csr_array(X), NUMBERS)),
    "pipeline": lambda: outputs(
        make_pipeline(StandardScaler(), small(MLPClassifier, hidden_layer_sizes="8-4")).fit(
            X, LABELS
        )
    ),
    "partial": lambda: outputs(
        small(MLPRegressor).partial_fit(X, NUMBERS).partial_fit(X[:30], NUMBERS[:30])
    ),
}


@pytest.mark.parametrize("kernels", ["numpy", "fused"])
@pytest.mark.usefixtures("busy_threads")
def test_mixed_fits_in_threads_equal_those_of_one_thread(kernels, monkeypatch):
    if kernels == "fused":
        pytest.importorskip("numba")
    monkeypatch.setenv("SKNN_ADAM_KERNELS", kernels)
    expected = {name: work() for name, work in MIXED.items()}
    n_threads, names = 8, list(MIXED)
    barrier = Barrier(n_threads)

    def work(i):
        barrier.wait(30)
        # Each thread starts with another fit, so that different fits overlap.
        order = [names[(i + k) % len(names)] for k in range(2 * len(names))]
        return [(name, MIXED[name]()) for name in order]

    with ThreadPoolExecutor(n_threads) as pool:
        results = [pair for pairs in pool.map(work, range(n_threads)) for pair in pairs]
    assert len(results) == 2 * n_threads * len(names)
    assert {name for name, array in results if (array != expected[name]).any()} == set()


@pytest.mark.usefixtures("busy_threads")
def test_threads_that_need_the_same_loops_share_them(monkeypatch):
    pytest.importorskip("numba")
    # Without a cache on disk, a second compilation takes as long as the first one.
    monkeypatch.setattr(compilation, "_source_file", lambda *_: None)
    barrier = Barrier(4)

    def get(_):
        barrier.wait(30)
        # No other test needs the loop for this dtype.
        return compilation.loop_kernel("gather", np.dtype(np.float32), np.dtype(np.int8))

    with ThreadPoolExecutor(4) as pool:
        kernel, *others = pool.map(get, range(4))
    assert kernel is not None
    assert all(other is kernel for other in others)


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has a GIL")
def test_nothing_enables_the_gil():
    # Extension modules that do not support free threading enable it when they are imported.
    script = """
import sys
import numpy as np
from sknn_adam import MLPRegressor
X = np.linspace(-1, 1, 40).reshape(20, 2)
MLPRegressor((3,), max_iter=2).fit(X, X[:, 0]).predict(X)
sys.exit(sys._is_gil_enabled())
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)


def test_processes_of_joblib_do_not_use_more_threads_than_there_are_processors():
    n_jobs = cpu_count()
    each = Parallel(n_jobs=n_jobs, backend="loky")(
        delayed(threads.available_threads)() for _ in range(n_jobs)
    )
    assert sum(each) <= n_jobs
