"""Steps of compiled code give the same bits as steps from Python, on any number of threads."""

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from threading import Barrier, active_count, get_ident

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from sknn_adam import MLPClassifier, MLPRegressor
from sknn_adam._backends.numba_backend import FusedKernels
from sknn_adam._backends.program import Part
from sknn_adam._backends.threads import available_threads, share, team
from sknn_adam._training.loop import train
from sknn_adam._training.playing import Player
from sknn_adam.clipping import ClipByNorm
from sknn_adam.optimizers import Adam, AdamW
from sknn_adam.schedules import Schedule

pytest.importorskip("numba")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(133, 7))
CLASSES = (X @ RNG.normal(size=(7, 4))).argmax(axis=1)
NUMBERS = X @ RNG.normal(size=(7, 2)) + RNG.normal(size=(133, 2))
WEIGHT = RNG.random(133)


@pytest.fixture(autouse=True)
def fused(monkeypatch):
    monkeypatch.setenv("SKNN_ADAM_KERNELS", "fused")


@pytest.fixture
def played(monkeypatch):
    """Return a list that receives the numbers of steps that are played at once."""
    counts, play = [], Player._run

    def counted(*args):
        n_steps, results = play(*args)
        counts.append(n_steps)
        return n_steps, results

    monkeypatch.setattr(Player, "_run", counted)
    return counts


def state_of(model):
    """Return everything that a fit determines."""
    histories = model.history_, model.history_.layers
    columns = [
        {name: values for name, values in history.columns.items() if name != "seconds"}
        for history in histories
    ]
    results = [repr(columns), model._network.theta, model._network.statistics]
    results += [model.n_iter_, model.stop_reason_, model.n_steps_]
    if model._run is not None:
        run = model._run
        results += [run.clock, run.rng.bit_generator.state, repr(run.schedule_state)]
        results += [run.average, run.optimizer_state.t]
        results += [getattr(run.optimizer_state, slot) for slot in model.optimizer_.slots]
    return results


def assert_same(one, other):
    for a, b in zip(state_of(one), state_of(other), strict=True):
        np.testing.assert_equal(a, b)


# -- one network -----------------------------------------------------------------------------------

SINGLE = [
    {},
    {"max_iter": 300, "n_iter_no_change": 2, "tol": 1e-3},
    {"batch_size": 133},
    {"batch_size": 33},
    {"shuffle": False, "alpha": 0.0},
    {"optimizer": "adamw", "activation": "leaky_relu", "averaging": None},
    {"optimizer": "lion", "schedule": "cosine", "l1_ratio": 0.5},
    {"optimizer": "sgd", "schedule": "exponential", "activation": "mish"},
    {"schedule": "plateau", "activation": "tanh"},
    {"record": False, "activation": ["gelu", "silu"]},
    {"record": "all"},
    {"dropout": 0.2, "gradient_clip": 0.1},
    {"dropout": 0.2, "activation": "selu", "gradient_clip": "layer"},
    {"normalization": "batch", "gradient_clip": "value"},
    {"normalization": "layer", "activation": "elu"},
    {"normalization": "rms", "activation": "softplus"},
    {"learn_scales": True},
    {"early_stopping": True},
    {"optimizer": Adam(1e300)},
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal weights", "weights"])
@pytest.mark.parametrize("params", SINGLE, ids=str)
@pytest.mark.parametrize("target", ["classes", "two classes", "labels", "numbers", "float32"])
def test_played_steps_equal_steps_from_python(target, params, weight, played, monkeypatch):
    y = {
        "classes": CLASSES,
        "two classes": CLASSES > 1,
        "labels": np.stack([CLASSES > 1, CLASSES == 2], axis=1),
        "numbers": NUMBERS[:, 0],
    }.get(target, NUMBERS)
    if target == "labels" and weight is not None:
        pytest.skip("covered by the other targets")
    estimator = MLPRegressor if y.dtype.kind == "f" else MLPClassifier
    table = X.astype(np.float32) if target == "float32" else X
    models = []
    for plays in (True, False):
        monkeypatch.setattr(FusedKernels, "plays", plays)
        defaults = {"max_iter": 40, "batch_size": 32, "random_state": 0}
        model = estimator((9, 6), **(defaults | params))
        model.fit(table, y, sample_weight=weight)
        # The second fit continues with another limit.
        model.set_params(warm_start=True, max_iter=5).fit(table, y, sample_weight=weight)
        models.append(model)
        if plays:
            n_played = sum(played)
    assert_same(*models)
    assert sum(played) == n_played
    diverges = isinstance(params.get("optimizer"), Adam)
    assert diverges or n_played > model.n_steps_ / 3


def test_most_epochs_of_a_small_table_are_played_at_once(played):
    MLPClassifier((9,), max_iter=200, batch_size=32, tol=0.0, random_state=0).fit(X, CLASSES)
    assert sum(played) > 950
    assert len(played) < 50


@pytest.mark.parametrize("batch_size", [32, 133])
def test_resumption_is_exact_wherever_calls_end(batch_size, played, monkeypatch):
    """Calls end after different steps if they are limited to different numbers of steps."""
    params = {"batch_size": batch_size, "schedule": "cosine", "dropout": 0.1, "random_state": 0}
    whole = MLPClassifier((9,), max_iter=30, warm_start=True, **params).fit(X, CLASSES)
    for most in (1, 2, 3, 7):
        monkeypatch.setattr("sknn_adam._training.playing.FIRST_STEPS", most)
        monkeypatch.setattr("sknn_adam._training.playing.SECONDS", 0.0)
        other = MLPClassifier((9,), max_iter=30, warm_start=True, **params).fit(X, CLASSES)
        assert_same(other, whole)
        parts = MLPClassifier((9,), max_iter=30, **params)
        for _ in range(30):
            parts = pickle.loads(pickle.dumps(parts.partial_fit(X, CLASSES)))
        np.testing.assert_array_equal(parts._network.theta, whole._network.theta)
    assert max(played[-30:]) <= 7


class Counting(Schedule):
    """A schedule that changes its state, and reads the loss in later epochs if `reads` is set."""

    def __init__(self, reads=False):
        self.reads = reads

    def init(self):
        return {"calls": 0}

    def __call__(self, clock, state=None):
        state["calls"] += 1
        if self.reads and clock.epoch > 3:
            return 1 / (1 + clock.loss)
        return 1 / state["calls"] ** 0.5


@pytest.mark.parametrize("reads", [False, True])
def test_schedules_are_called_once_per_step_of_the_run(reads, played, monkeypatch):
    models = []
    for plays in (True, False):
        monkeypatch.setattr(FusedKernels, "plays", plays)
        model = MLPRegressor((5,), schedule=Counting(reads), max_iter=60, batch_size=32)
        model.set_params(random_state=0, warm_start=True, n_iter_no_change=4, tol=0.01)
        models.append(model.fit(X, NUMBERS))
    assert models[0]._run.schedule_state == {"calls": models[0].n_steps_}
    assert_same(*models)
    assert sum(played) > 20


class Sorted(Adam):
    """An optimizer whose rule is not elementwise."""

    slots = ()

    def scalars(self, t, lr):
        return (lr,)

    @staticmethod
    def rule(g, lr):
        return (lr * np.sort(g),)


class Half(ClipByNorm):
    """A clipping that no loop implements."""

    def __call__(self, grad, layout=None):
        grad *= 0.5
        return grad


@pytest.mark.parametrize(
    "params",
    [
        {"optimizer": Sorted(0.01)},
        {"gradient_clip": Half()},
        {"optimizer": "muon"},
        {"optimizer": "prodigy"},
        {"optimizer": "schedule_free_adamw"},
        {"activation": "prelu"},
        {"loss": "huber"},
    ],
    ids=str,
)
def test_what_cannot_be_played_runs_step_by_step(params, played, monkeypatch):
    model = MLPRegressor((5,), max_iter=8, batch_size=32, random_state=0, **params)
    fused = model.fit(X, NUMBERS)._network.theta
    assert not played
    monkeypatch.setenv("SKNN_ADAM_KERNELS", "numpy")
    np.testing.assert_allclose(model.fit(X, NUMBERS)._network.theta, fused, rtol=1e-5, atol=1e-7)


class Watched(Adam):
    """An optimizer whose rule reads an attribute."""

    def rule(self, g, m, v, step, b1, c1, b2, c2, epsilon):
        update, m, v = Adam.rule(g, m, v, step, b1, c1, b2, c2, epsilon)
        return update * self.beta_1, m, v


def change_rule(run, plan, data):
    plan.optimizer.beta_1 = 0.3


def change_decay(run, plan, data):
    plan.optimizer.weight_decay = 1.0


def change_clipping(run, plan, data):
    plan.clip.max_norm = 1e-3


def change_smoothing(run, plan, data):
    plan.loss.label_smoothing = 0.3


def change_slots(run, plan, data):
    run.optimizer_state.m = np.ones_like(run.optimizer_state.m)


def train_further(run, plan, data):
    train(run, plan, data, 2)


@pytest.mark.parametrize(
    "change",
    [change_rule, change_decay, change_clipping, change_smoothing, change_slots, train_further],
    ids=lambda change: change.__name__,
)
def test_programs_follow_changes_in_a_callback(change, played, monkeypatch):
    def train_with_callback(run, plan, data, n_epochs, validate, on_epoch):
        def callback(run):
            if run.clock.epoch == 5:
                change(run, plan, data)

        return train(run, plan, data, n_epochs, validate, callback)

    monkeypatch.setattr("sknn_adam._estimator.base.train", train_with_callback)
    models = {}
    for plays, kernels in ((True, "fused"), (False, "fused"), (True, "numpy")):
        monkeypatch.setenv("SKNN_ADAM_KERNELS", kernels)
        monkeypatch.setattr(FusedKernels, "plays", plays)
        optimizer = Watched() if change is change_rule else AdamW(weight_decay=0.0)
        model = MLPClassifier((6,), optimizer=optimizer, max_iter=12, batch_size=32)
        model.set_params(gradient_clip=ClipByNorm(1.0), random_state=0, warm_start=True)
        models[plays, kernels] = model.fit(X, CLASSES)
        if kernels == "fused" and plays:
            assert sum(played) > 15
    assert_same(models[True, "fused"], models[False, "fused"])
    theta = models[True, "numpy"]._network.theta
    np.testing.assert_allclose(models[True, "fused"]._network.theta, theta, rtol=1e-6, atol=1e-9)


def test_members_that_diverge_repeatedly_are_reset_each_time(monkeypatch):
    models = []
    y = NUMBERS[:, 0].copy()
    y[7] = 1e4
    for plays in (True, False):
        monkeypatch.setattr(FusedKernels, "plays", plays)
        model = MLPRegressor((8,), optimizer="sgd", n_members=3, max_iter=40, batch_size=32)
        model.set_params(optimizer__learning_rate=0.5, target_scaling=False, random_state=0)
        with pytest.warns(ConvergenceWarning):
            models.append(model.fit(X, y))
    assert_same(*models)


# -- members and threads ---------------------------------------------------------------------------

# The networks finish after different numbers of epochs.
PATIENCE = {"early_stopping": True, "n_iter_no_change": 1, "max_iter": 60}
SEVERAL = [
    {"n_members": 5},
    {"n_members": 5, "dropout": 0.1, "gradient_clip": 0.1},
    {"n_members": 5, "normalization": "batch", "gradient_clip": "value", "optimizer": "adamw"},
    {"cv": 3, "normalization": "batch", "gradient_clip": "layer"},
    {"cv": 3, "n_members": 2, "learn_scales": True},
    {"cv": 4, "n_members": 2, "optimizer": "adamw", "averaging": None, "activation": "silu"},
    {"cv": 5, "early_stopping": True, "l1_ratio": 0.5},
    {"cv": 7, **PATIENCE, "dropout": 0.1},
    {"cv": 7, **PATIENCE, "normalization": "batch", "gradient_clip": 0.1, "optimizer": "adamw"},
]


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal weights", "weights"])
@pytest.mark.parametrize("params", SEVERAL, ids=str)
@pytest.mark.parametrize("y", [CLASSES, NUMBERS], ids=["classes", "numbers"])
def test_bits_of_members_do_not_depend_on_threads(y, params, weight, played, monkeypatch):
    estimator = MLPRegressor if y.dtype.kind == "f" else MLPClassifier
    models = []
    for n_threads in (1, 2, 3, 8, None):
        monkeypatch.setattr(FusedKernels, "plays", n_threads is not None)
        monkeypatch.setenv("SKNN_ADAM_NUM_THREADS", str(n_threads or 1))
        defaults = {"max_iter": 7, "batch_size": 32, "random_state": 0}
        models.append(estimator((9, 6), **defaults | params).fit(X, y, sample_weight=weight))
    for model in models[1:]:
        assert_same(model, models[0])
        if "cv" in params:
            np.testing.assert_array_equal(model.oof_prediction_, models[0].oof_prediction_)
    assert sum(played) > 4 * 7 * 2


def test_members_are_distributed_and_no_thread_remains(monkeypatch):
    monkeypatch.setenv("SKNN_ADAM_NUM_THREADS", "3")
    parts, init = [], Part.__init__
    monkeypatch.setattr(Part, "__init__", lambda *args: parts.append(args[2]) or init(*args))
    before = active_count()
    MLPRegressor((5,), n_members=8, max_iter=5, batch_size=32).fit(X, NUMBERS)
    assert parts == [slice(0, 3), slice(3, 6), slice(6, 8)]
    assert active_count() == before


def test_concurrent_fits_with_members_equal_single_ones(monkeypatch):
    monkeypatch.setenv("SKNN_ADAM_NUM_THREADS", "4")

    def fit(seed):
        model = MLPClassifier((8,), n_members=4, max_iter=6, batch_size=32, random_state=seed)
        return model.fit(X, CLASSES)._network.theta

    expected = [fit(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        np.testing.assert_array_equal(list(pool.map(fit, range(4))), expected)


def test_available_threads_follow_limits(monkeypatch):
    monkeypatch.delenv("SKNN_ADAM_NUM_THREADS", raising=False)
    assert 1 <= available_threads() <= os.cpu_count()
    with threadpool_limits(1):
        assert available_threads() == 1
        monkeypatch.setenv("SKNN_ADAM_NUM_THREADS", "5")
        assert available_threads() == 5
    monkeypatch.setenv("SKNN_ADAM_NUM_THREADS", "zero")
    assert 1 <= available_threads() <= os.cpu_count()


def test_environment_limits_the_threads_of_a_process():
    script = "from sknn_adam._backends.threads import available_threads as n; print(n())"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    environment.pop("SKNN_ADAM_NUM_THREADS", None)
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_tasks_share_threads_and_pass_errors_on(monkeypatch):
    monkeypatch.setenv("SKNN_ADAM_NUM_THREADS", "2")
    assert share([get_ident, get_ident]) == [get_ident()] * 2
    barrier = Barrier(2)

    def meet():
        barrier.wait(30)
        return get_ident()

    before = active_count()
    with team():
        assert share([lambda i=i: i**2 for i in range(5)]) == [0, 1, 4, 9, 16]
        # Two tasks that wait for each other need two threads.
        assert len(set(share([meet, meet]))) == 2
        # Nested calls use the threads that are left.
        nested = share([lambda: share([lambda: 1, lambda: 2]), lambda: share([lambda: 3])])
        assert nested == [[1, 2], [3]]
        for tasks in ([lambda: 1, lambda: 1 / 0], [lambda: 1 / 0, lambda: 1]):
            with pytest.raises(ZeroDivisionError):
                share(tasks)
        assert share([meet, meet])
    assert active_count() == before


def fit_in_child(seed):
    model = MLPClassifier((8,), n_members=4, max_iter=6, batch_size=32, random_state=seed)
    return model.fit(X, CLASSES)._network.theta


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork_after_a_fit_is_safe(monkeypatch):
    monkeypatch.setenv("SKNN_ADAM_NUM_THREADS", "2")
    expected = fit_in_child(0)
    with get_context("fork").Pool(1) as pool:
        results = pool.apply_async(fit_in_child, (0,)).get(60)
    np.testing.assert_array_equal(results, expected)
