"""Resumed training gives the same bits as uninterrupted training."""

import pickle
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from copies import networks
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from sknn_adam import SGD, Adam, MLPClassifier, MLPRegressor
from sknn_adam._training import history
from sknn_adam.averaging import EMA
from sknn_adam.clipping import Clipping
from sknn_adam.optimizers import LBFGS, ScheduleFreeAdamW
from sknn_adam.schedules import Plateau, Schedule, Step

pytestmark = pytest.mark.usefixtures("python_handles_interrupts")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4))
LABELS = np.array(["a", "b", "c"])[np.digitize(X @ [1.0, 2.0, 0.0, -1.0], [-1, 1])]
NUMBERS = 10 * np.sin(X[:, 0]) + 3 * X[:, 1] ** 2 + 100

# 50 samples in batches of 16.
EPOCHS, BATCHES = 6, 4

OPTIMIZERS = {
    "sgd": SGD(learning_rate=0.05, momentum=0.9),
    "adam": Adam(learning_rate=0.01),
    "schedule_free": ScheduleFreeAdamW(learning_rate=0.02, warmup_steps=3),
}
NETWORKS = {
    "plain": {},
    "batch_norm": {"normalization": "batch"},
    "dropout": {"dropout": 0.4},
    "scales": {"learn_scales": True},
    "everything": {"normalization": "batch", "dropout": 0.2, "averaging": "ema"},
}
SCHEDULES = {
    "constant": "constant",
    "cosine": "cosine",
    "step": Step(drop=0.5, every=2),
    "plateau": Plateau(drop=0.5, patience=1, tol=1.0),  # drops repeatedly
}
NO_PROGRESS = {name: s for name, s in SCHEDULES.items() if name != "cosine"}

BOTH = pytest.mark.parametrize(
    ("estimator", "y"), [(MLPClassifier, LABELS), (MLPRegressor, NUMBERS)], ids=["clf", "reg"]
)
ALL_OPTIMIZERS = pytest.mark.parametrize("optimizer", OPTIMIZERS)
ALL_NETWORKS = pytest.mark.parametrize("network", NETWORKS)
ALL_SCHEDULES = pytest.mark.parametrize("schedule", SCHEDULES)


def make(estimator, optimizer="adam", network="plain", schedule="constant", **params):
    return estimator(
        **{
            "hidden_layer_sizes": (6, 4),
            "optimizer": OPTIMIZERS[optimizer],
            "schedule": SCHEDULES[schedule],
            "batch_size": 16,
            "max_iter": EPOCHS,
            "n_iter_no_change": np.inf,
            "random_state": 0,
        }
        | NETWORKS[network]
        | params
    )


def bits(model):
    """Return all results of training as comparable values."""
    # Seconds vary, and a clip rate is recorded only if PressCtrlC is the clipping.
    ignored = "seconds", "clip_rate"
    rows = [{k: v for k, v in row.items() if k not in ignored} for row in model.history_]
    # In a repr, nan equals nan.
    rows.append(repr(list(model.history_.layers)))
    arrays = [model._network.theta, model._network.statistics]
    for member in networks(model):
        arrays += member.coefs_ + member.intercepts_
    outputs = model.decision_function(X) if hasattr(model, "classes_") else model.predict(X)
    return rows, [array.tobytes() for array in (*arrays, outputs)], model.n_steps_


def assert_same(a, b):
    (rows_a, arrays_a, t_a), (rows_b, arrays_b, t_b) = bits(a), bits(b)
    assert rows_a == rows_b
    assert arrays_a == arrays_b
    assert t_a == t_b


def copied(model):
    return pickle.loads(pickle.dumps(model))


# -- epoch by epoch-------------------------------------------------------------------------------


@BOTH
@ALL_OPTIMIZERS
@ALL_NETWORKS
@ALL_SCHEDULES
def test_partial_fits_equal_a_fit(estimator, y, optimizer, network, schedule):
    uninterrupted = make(estimator, optimizer, network, schedule).fit(X, y)
    parts = make(estimator, optimizer, network, schedule)
    for _ in range(EPOCHS // 2):
        parts.partial_fit(X, y)
    parts = copied(parts)
    for _ in range(EPOCHS - EPOCHS // 2):
        parts.partial_fit(X, y)
    assert_same(uninterrupted, parts)
    rates = uninterrupted.history_["learning_rate"]
    # The schedules other than the constant one change the rate.
    assert (len(set(rates)) > 1) == (schedule != "constant")


@BOTH
@ALL_OPTIMIZERS
@ALL_NETWORKS
@pytest.mark.parametrize("schedule", NO_PROGRESS)
@pytest.mark.parametrize("k", [1, 4])
def test_warm_start_adds_epochs(estimator, y, optimizer, network, schedule, k):
    uninterrupted = make(estimator, optimizer, network, schedule).fit(X, y)
    warm = make(estimator, optimizer, network, schedule, warm_start=True, max_iter=k).fit(X, y)
    warm = copied(warm).set_params(max_iter=EPOCHS - k).fit(X, y)
    assert_same(uninterrupted, warm)
    assert warm.n_iter_ == EPOCHS - k


@BOTH
def test_warm_start_restarts_a_schedule_that_uses_progress(estimator, y):
    warm = make(estimator, schedule="cosine", warm_start=True).fit(X, y)
    first = warm.history_["learning_rate"]
    again = warm.fit(X, y).history_["learning_rate"][EPOCHS:]
    assert again == first[:EPOCHS]


@BOTH
def test_sample_weights_of_partial_fits_equal_those_of_a_fit(estimator, y):
    weight = np.linspace(0, 2, len(X))
    uninterrupted = make(estimator, network="everything").fit(X, y, weight)
    parts = make(estimator, network="everything")
    for _ in range(EPOCHS):
        parts.partial_fit(X, y, sample_weight=weight)
    assert_same(uninterrupted, parts)


# -- interrupted training ------------------------------------------------------------------------


class PressCtrlC(Clipping):
    """A clipping that only presses Ctrl-C in one step."""

    def __init__(self, at=None):
        self.at = at

    def __call__(self, grad, layout=None):
        if self.at is not None and len(self.at) and self.at.pop() == 0:
            signal.raise_signal(signal.SIGINT)
        return grad


def interrupted(model, y, step):
    """Fit until Ctrl-C is pressed in optimizer step `step`, counted from 1."""
    countdown = list(range(step))
    model.set_params(gradient_clip=PressCtrlC(countdown))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert not countdown
    assert model.n_steps_ == step
    return model.set_params(gradient_clip=None)


# Within an epoch, and in the last step of one.
@BOTH
@ALL_OPTIMIZERS
@ALL_NETWORKS
@ALL_SCHEDULES
@pytest.mark.parametrize("step", [2 * BATCHES + 2, 3 * BATCHES])
def test_interrupted_fit_resumes(estimator, y, optimizer, network, schedule, step):
    uninterrupted = make(estimator, optimizer, network, schedule).fit(X, y)
    model = interrupted(make(estimator, optimizer, network, schedule), y, step)
    assert model.n_iter_ == step // BATCHES
    model = copied(model).set_params(warm_start=True).fit(X, y)
    assert_same(uninterrupted, model)
    assert (model.n_iter_, model.stop_reason_) == (EPOCHS, "max_iter")


@BOTH
@pytest.mark.parametrize("step", [1, BATCHES, EPOCHS * BATCHES])
@pytest.mark.parametrize("copy", [copied, lambda model: model], ids=["pickled", "kept"])
def test_fit_interrupted_at_the_start_or_end_resumes(estimator, y, step, copy):
    uninterrupted = make(estimator, network="everything", schedule="cosine").fit(X, y)
    model = make(estimator, network="everything", schedule="cosine", warm_start=True)
    assert_same(uninterrupted, copy(interrupted(model, y, step)).fit(X, y))


@BOTH
def test_fit_interrupted_repeatedly_resumes(estimator, y):
    uninterrupted = make(estimator, "sgd", "everything", "plateau").fit(X, y)
    model = make(estimator, "sgd", "everything", "plateau", warm_start=True)
    for step in range(1, EPOCHS * BATCHES, 5):
        countdown = list(range(step - getattr(model, "n_steps_", 0)))
        model.set_params(gradient_clip=PressCtrlC(countdown))
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, y)
        assert model.n_steps_ == step
        model = copied(model)
    assert_same(uninterrupted, model.set_params(gradient_clip=None).fit(X, y))


@BOTH
def test_interrupted_early_stopping_resumes(estimator, y):
    """Held-out samples, patience and best weights are kept."""
    params = {
        "early_stopping": True,
        "validation_fraction": 0.3,
        "max_iter": 60,
        "n_iter_no_change": 2,
        "tol": 0.01,
        "network": "everything",
    }
    uninterrupted = make(estimator, **params).fit(X, y)
    assert uninterrupted.stop_reason_ == "early_stopping"
    for step in (2, (uninterrupted.n_iter_ - 1) * 3 + 1):
        model = interrupted(make(estimator, **params, warm_start=True), y, step)
        assert len(model.history_) < uninterrupted.n_iter_
        model = copied(model).fit(X, y)
        assert_same(uninterrupted, model)
        assert model.best_iter_ == uninterrupted.best_iter_


@BOTH
@pytest.mark.parametrize(("n_samples", "batch_size"), [(200, 16), (20, 16), (50, 5), (50, 50)])
def test_interrupted_fit_resumes_with_other_data(estimator, y, n_samples, batch_size):
    """With other samples or batches, the interrupted epoch restarts with all samples."""
    model = interrupted(make(estimator, warm_start=True), y, 2 * BATCHES + 2)
    rows = np.resize(np.arange(len(X)), n_samples)
    if n_samples < len(X) and y is LABELS:
        rows[:3] = [np.argmax(y == name) for name in "abc"]
    model.set_params(batch_size=batch_size).fit(X[rows], y[rows])
    assert model.n_iter_ == EPOCHS
    assert model.n_steps_ == 2 * BATCHES + 2 + (EPOCHS - 2) * -(-n_samples // batch_size)


@BOTH
def test_interrupted_fit_starts_from_scratch_without_warm_start(estimator, y):
    model = interrupted(make(estimator, network="everything"), y, 7)
    assert_same(make(estimator, network="everything").fit(X, y), model.fit(X, y))


# Settings, and the stop reason of uninterrupted training.
LATE = {
    "plain": ({"max_iter": 2}, "max_iter"),
    "tol": ({"max_iter": 9, "tol": 1e3, "n_iter_no_change": 1, "schedule": "plateau"}, "tol"),
    "early_stopping": (
        {"max_iter": 9, "tol": 1e3, "n_iter_no_change": 1, "early_stopping": True}
        | {"network": "everything", "optimizer": "schedule_free", "averaging": None},
        "early_stopping",
    ),
    "members": ({"max_iter": 2, "early_stopping": True, "cv": 2}, "max_iter"),
    "lbfgs": ({"max_iter": 2, "batch_size": 50}, "max_iter"),
}
PACKAGE = str(Path(history.__file__).parents[1])


def traced(model, y, at=None):
    """Fit, pressing Ctrl-C before line `at`; return the lines executed after the first epoch."""
    lines, ended = [], False

    def trace(frame, event, argument):
        nonlocal ended
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        # The first epoch ends with `watch`.
        ended = ended or frame.f_code.co_name == "watch"
        if event == "line" and ended:
            lines.append((frame.f_code.co_filename, frame.f_code.co_name, frame.f_lineno))
            if len(lines) - 1 == at:
                sys.settrace(before)
                signal.raise_signal(signal.SIGINT)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        model.fit(X, y)
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.usefixtures("plain_numpy")
@pytest.mark.parametrize("late", LATE)
def test_fit_interrupted_at_any_line_after_the_first_epoch_resumes(late, monkeypatch):
    """Interrupt before a line runs for the last time, mostly after the end of the last epoch."""
    # Only the lines of one thread are traced.
    monkeypatch.setenv("SKNN_ADAM_NUM_THREADS", "1")
    params, reason = LATE[late]
    warm_start = late in ("plain", "members")
    unfitted = make(MLPClassifier, **params, warm_start=warm_start)
    if late == "lbfgs":
        unfitted.set_params(optimizer=LBFGS())
    uninterrupted = clone(unfitted)
    lines = traced(uninterrupted, LABELS)
    assert uninterrupted.stop_reason_ == reason
    names = [name for _, name, _ in lines]
    end = max(i for i, name in enumerate(names) if name == "out_of_patience")
    if late == "lbfgs":
        # The minimizer keeps its own memory, so only interruptions after it can be resumed.
        end = max(i for i, name in enumerate(names) if name == "fun")
    visits = sorted({line: i for i, line in enumerate(lines)}.values())
    events = [i for i in visits if i > end][:: 2 if late == "plain" else 8]
    assert len(events) > 10
    events += [i for i in visits if i < end][::40] if late != "lbfgs" else []
    for i in events:
        model = clone(unfitted)
        with pytest.raises(KeyboardInterrupt):
            traced(model, LABELS, at=i)
        where = lines[i]
        assert (model.stop_reason_, model.converged_) == (None, False), where
        model.set_params(warm_start=True).fit(X, LABELS)
        assert_same(uninterrupted, model)
        assert (model.n_iter_, model.stop_reason_) == (uninterrupted.n_iter_, reason), where
        assert model.best_iter_ == pytest.approx(uninterrupted.best_iter_), where


# -- partial_fit ---------------------------------------------------------------------------------


@BOTH
def test_partial_fit_after_a_fit_continues_from_the_weights(estimator, y):
    """The state of the optimizer is new, but epochs continue to be counted."""
    fitted = make(estimator).fit(X, y)
    theta = fitted._network.theta.copy()
    fitted.set_params(optimizer=Adam(learning_rate=1e-9)).partial_fit(X, y)
    assert 0 < np.abs(fitted._network.theta - theta).max() < 1e-6
    assert fitted.n_iter_ == EPOCHS + 1
    assert fitted.history_["epoch"][-1] == EPOCHS + 1
    with pytest.raises(ValueError, match="another optimizer"):
        fitted.set_params(optimizer=SGD(momentum=0.9)).partial_fit(X, y)


@BOTH
def test_history_of_long_training_is_bounded(estimator, y, monkeypatch):
    monkeypatch.setattr(history, "MOST_ROWS", 20)
    model, sizes = make(estimator), []
    for _ in range(75):
        model.partial_fit(X[:4], y[:4], **({"classes": list("abc")} if y is LABELS else {}))
        sizes.append(len(model.loss_curve_))
    assert max(sizes) == 20
    assert min(sizes[20:]) >= 10
    assert {len(column) for column in model.history_.columns.values()} == {sizes[-1]}
    epochs = model.history_["epoch"]
    # The last epochs are kept.
    assert epochs == list(range(75 - sizes[-1] + 1, 76))
    assert model.n_iter_ == 75


@BOTH
def test_partial_fit_does_not_support_early_stopping(estimator, y):
    model = make(estimator, early_stopping=True)
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        model.partial_fit(X, y)
    assert not hasattr(model, "coefs_")


@BOTH
def test_exhausted_schedule_warns_once(estimator, y):
    model = make(estimator, schedule="cosine", max_iter=3, averaging=None)
    for _ in range(3):
        model.partial_fit(X, y)
    theta = model._network.theta.copy()
    with pytest.warns(UserWarning, match=r"Cosine\(\) has run out after max_iter=3") as caught:
        model.partial_fit(X, y)
    assert len(caught) == 1
    # The warning points to the user's line.
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.partial_fit(X, y)
    # The last factor of the schedule is 0.
    np.testing.assert_array_equal(model._network.theta, theta)


@BOTH
def test_schedule_without_progress_is_never_exhausted(estimator, y):
    model = make(estimator, schedule="step", max_iter=3)
    for _ in range(8):
        model.partial_fit(X, y)
    rates = model.history_["learning_rate"]
    assert rates == [0.01 * 0.5 ** (epoch // 2) for epoch in range(8)]


# -- errors in partial_fit -----------------------------------------------------------------------


class Failing:
    """A mixin for components that raises in a given call, counted from 1."""

    # A list of one number, or None for a component that never fails.
    countdown = None

    def count(self):
        if self.countdown is not None:
            self.countdown[0] -= 1
            if self.countdown[0] == 0:
                raise RuntimeError("a bug of the user")


class FailingClip(Failing, Clipping):
    def __call__(self, grad, layout=None):
        grad *= 0.5
        self.count()
        return grad


class FailingStep(Failing, Adam):
    """An optimizer with its own state that fails after theta, state and grad have changed."""

    def init(self, theta, layout=None):
        state = super().init(theta, layout)
        state.norms, state.sums = [], {"grad": np.zeros(1)}
        return state

    def step(self, theta, grad, state, lr_scale=1.0):
        super().step(theta, grad, state, lr_scale)
        state.norms.append(float(np.abs(grad).sum()))
        state.sums["grad"] += state.norms[-1]
        theta -= 1e-3 * state.sums["grad"]
        self.count()


class FailingSchedule(Failing, Schedule):
    kind = "failing"

    def init(self):
        return {"calls": [0]}

    def __call__(self, clock, state=None):
        state["calls"][0] += 1
        self.count()
        return 1 / state["calls"][0]


class FailingAverage(Failing, EMA):
    def update(self, average, theta, t, kernels=None):
        super().update(average, theta, t)
        self.count()


FAILING = {
    "gradient_clip": FailingClip,
    "optimizer": FailingStep,
    "schedule": FailingSchedule,
    "averaging": FailingAverage,
}


def state_of(model):
    """Return the complete state without the duration of epochs."""
    run = vars(model._run).copy()
    run["network"] = run["_spare"] = None
    run["optimizer_state"] = vars(run["optimizer_state"]) | {"kernels": None}
    history = run["history"]
    columns = {k: v for k, v in history.columns.items() if k != "seconds"}
    run["history"] = (columns, history.layers.columns, history.layers.next_step, history.table)
    run["rng"] = run["rng"].bit_generator.state
    network = model._run.network
    return pickle.dumps((run, network.theta, network.statistics, model._network.theta))


@BOTH
@pytest.mark.parametrize("parameter", FAILING)
@pytest.mark.parametrize("call", [1, 3, 4])
@pytest.mark.parametrize("n_members", [1, 2])
def test_error_in_partial_fit_leaves_the_estimator_unchanged(
    estimator, y, parameter, call, n_members, monkeypatch
):
    # The failing call is the one that would trim the history.
    monkeypatch.setattr(history, "MOST_ROWS", 3)
    params = {"normalization": "batch", "dropout": 0.2, "averaging": "ema", "record": "all"}
    model = make(estimator, **params, n_members=n_members).set_params(
        **{parameter: FAILING[parameter]()}
    )
    for _ in range(3):
        model.partial_fit(X, y)
    other, before = copied(model), state_of(model)
    attributes, predicted = vars(model).copy(), model.predict(X)
    monkeypatch.setattr(FAILING[parameter], "countdown", [call])
    with pytest.raises(RuntimeError, match="a bug of the user"):
        model.partial_fit(X, y)
    monkeypatch.setattr(FAILING[parameter], "countdown", None)
    assert state_of(model) == before
    assert vars(model).keys() == attributes.keys()
    assert all(vars(model)[name] is value for name, value in attributes.items())
    np.testing.assert_array_equal(model.predict(X), predicted)
    assert_same(model.partial_fit(X, y), other.partial_fit(X, y))


@BOTH
def test_warning_raised_as_an_error_undoes_partial_fit(estimator, y):
    """Divergence is detected after the epoch and reported after all attributes are set."""
    model = make(estimator).partial_fit(X, y)
    before = state_of(model)
    model.set_params(optimizer=Adam(learning_rate=1e300))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning, match="diverged"):
            model.partial_fit(X, y)
    assert state_of(model) == before


def test_undo_state_is_not_pickled():
    """A pickle contains only weights, best weights, their average and two slots."""
    model = make(MLPClassifier, averaging="ema")
    model.set_params(hidden_layer_sizes=(2000,)).partial_fit(X, LABELS)
    size = model._run.network.theta.nbytes
    assert len(pickle.dumps(model)) < 8 * size
