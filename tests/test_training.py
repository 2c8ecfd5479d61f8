import pickle
import signal
import tracemalloc
from dataclasses import replace
from math import inf, nan
from threading import Thread

import numpy as np
import pytest
from rows import CLIPPINGS, MINIMIZERS, OPTIMIZERS, SCHEDULES, central_differences
from scipy import sparse
from threadpoolctl import threadpool_info, threadpool_limits

from sknn_adam._nn.network import build
from sknn_adam._training import loop as training
from sknn_adam._training.batches import Batch, Data
from sknn_adam._training.loop import Plan, Run, objective, step, train
from sknn_adam._training.penalty import Penalty
from sknn_adam.activations import Tanh
from sknn_adam.averaging import EMA
from sknn_adam.clipping import ClipByNorm
from sknn_adam.initializers import GlorotNormal, Zeros
from sknn_adam.losses import LogLoss, SquaredError
from sknn_adam.normalization import BatchNorm
from sknn_adam.optimizers import SGD, Adam
from sknn_adam.schedules import Constant, Cosine, Schedule

N_SAMPLES = 23


def network_of(normalization=None, outputs=1, dtype=np.float64):
    network = build(3, (4,), outputs, [Tanh()], normalization=normalization, dtype=dtype)
    network.initialize(GlorotNormal(), Zeros(), np.random.default_rng(0))
    return network


def start(plan, seed=0, **options):
    """Return a run that is ready to train."""
    run = Run(network_of(**options), np.random.default_rng(seed))
    run.begin(plan)
    return run


def regression(rng, n_samples=N_SAMPLES):
    x = rng.normal(size=(n_samples, 3))
    return x, np.sin(x[:, :1]) + x[:, 1:2] * x[:, 2:]


def data_of(plan, rng, weight=None, n_samples=N_SAMPLES):
    return Data(*regression(rng, n_samples), weight, plan.batch_size, np.float64)


PLAN = Plan(SquaredError(), Adam(learning_rate=0.01), Constant(), batch_size=5, max_iter=20)


# -- Data ----------------------------------------------------------------------------------------

CONTAINERS = [np.ascontiguousarray, np.asfortranarray, sparse.csr_matrix, sparse.csr_array]


def dense(x):
    return x.toarray() if sparse.issparse(x) else np.array(x)


def read(data, rng):
    """Return copies of all batches, because buffers are reused; `rng` shuffles if given."""
    order = None if rng is None else data.order(rng)
    batches = (data.batch(i, order) for i in range(data.n_batches))
    return [(dense(x), y.copy(), None if w is None else w.copy()) for x, y, w, _ in batches]


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("given", [np.float32, np.float64])
@pytest.mark.parametrize("wanted", [np.float32, np.float64])
@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_contain_every_sample_once(container, given, wanted, shuffle, rng):
    X = np.arange(N_SAMPLES * 3, dtype=given).reshape(N_SAMPLES, 3)
    y, weight = np.arange(N_SAMPLES), np.arange(N_SAMPLES) / 10
    batches = read(Data(container(X), y, weight, 5, wanted), rng if shuffle else None)
    assert [len(x) for x, _, _ in batches] == [5, 5, 5, 5, 3]
    for x, codes, w in batches:
        assert x.dtype == wanted
        # Features, targets and weights stay together.
        np.testing.assert_array_equal(x, X[codes])
        np.testing.assert_allclose(w, (weight / weight.mean())[codes], rtol=1e-6)
    order = np.concatenate([codes for _, codes, _ in batches])
    np.testing.assert_array_equal(np.sort(order), y)
    assert (order == y).all() != shuffle


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_contain_every_sample_of_a_subset_once(container, shuffle, rng):
    X = np.arange(2 * N_SAMPLES * 3, dtype=float).reshape(2 * N_SAMPLES, 3)
    index = rng.permutation(2 * N_SAMPLES)[:N_SAMPLES]
    data = Data(container(X), index, index / 10, 5, np.float64, index)
    batches = read(data, rng if shuffle else None)
    for x, y, weight in batches:
        np.testing.assert_array_equal(x, X[y])
        np.testing.assert_allclose(weight, y / index.mean(), rtol=1e-12)
    order = np.concatenate([y for _, y, _ in batches])
    np.testing.assert_array_equal(np.sort(order), np.sort(index))
    assert (order == index).all() != shuffle


@pytest.mark.parametrize("batch_size", [1, 22, 23, 24, 1000])
def test_number_of_batches_is_rounded_up(batch_size, rng):
    data = data_of(replace(PLAN, batch_size=batch_size), rng)
    assert data.batch_size == min(batch_size, N_SAMPLES)
    batches = read(data, rng)
    assert sum(len(x) for x, _, _ in batches) == N_SAMPLES
    assert len(batches) == data.n_batches == -(-N_SAMPLES // data.batch_size)
    assert all(weight is None for _, _, weight in batches)


def test_shuffling_is_reproducible_and_differs_between_epochs(rng):
    data = Data(np.zeros((N_SAMPLES, 1)), np.arange(N_SAMPLES), None, 5, np.float64)

    def order(generator):
        return np.concatenate([y for _, y, _ in read(data, generator)])

    one, other = np.random.default_rng(3), np.random.default_rng(3)
    first, second = order(one), order(one)
    np.testing.assert_array_equal(order(other), first)
    np.testing.assert_array_equal(order(other), second)
    assert (first != second).any()


@pytest.mark.parametrize("container", [np.ascontiguousarray, np.asfortranarray])
@pytest.mark.parametrize("wanted", [np.float32, np.float64])
@pytest.mark.parametrize("shuffle", [False, True])
def test_features_are_never_copied_as_a_whole(container, wanted, shuffle, rng):
    X = container(np.zeros((20_000, 20)))
    tracemalloc.start()
    try:
        data = Data(X, np.zeros(len(X), int), None, 50, wanted)
        order = data.order(rng) if shuffle else None
        for i in range(3):
            assert data.batch(i, order)[0].shape == (50, 20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < X.nbytes / 4


def test_read_only_data_are_supported(rng):
    x, y = regression(rng)
    x.flags.writeable = y.flags.writeable = False
    run = start(PLAN)
    train(run, PLAN, Data(x, y, None, 5, np.float64), 2)
    assert len(run.history) == 2


# -- objective -----------------------------------------------------------------------------------


def test_penalty_matches_hand_computed_values():
    theta, grad = np.array([3.0, -4.0, 0.0]), np.ones(3)
    assert Penalty(0.5, 0.0).add(0.0, theta, grad) == pytest.approx(0.5 * 25 / 2)
    np.testing.assert_allclose(grad, [1 + 1.5, 1 - 2, 1])
    grad[:] = 0
    assert Penalty(0.5, 1.0).add(0.0, theta, grad) == pytest.approx(0.5 * 7)
    np.testing.assert_allclose(grad, [0.5, -0.5, 0])
    grad[:] = 0
    assert Penalty(2.0, 0.25).add(0.0, theta, grad) == pytest.approx(2 * (0.75 * 12.5 + 0.25 * 7))
    np.testing.assert_allclose(grad, [2 * (0.75 * 3 + 0.25), 2 * (-0.75 * 4 - 0.25), 0])
    assert Penalty(2.0, 0.25)(theta) == pytest.approx(2 * (0.75 * 12.5 + 0.25 * 7))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_penalty_applies_to_weights_only_and_adds_to_the_gradient(dtype, rng):
    network = network_of(BatchNorm(), dtype=dtype)
    network.prepare()
    network.theta += 0.5
    x, y = (part.astype(dtype) for part in regression(rng))
    plain = objective(network, PLAN, Batch(x, y))
    kept = network.grad.copy()
    value = objective(network, replace(PLAN, alpha=0.5), Batch(x, y))
    added = network.grad - kept
    W = network.theta[: network.n_weights]
    assert value - plain == pytest.approx(0.25 * (W.astype(float) ** 2).sum(), rel=1e-5)
    np.testing.assert_allclose(added[: len(W)], W / 2, rtol=1e-4, atol=1e-6)
    assert not added[len(W) :].any()
    assert network.grad.dtype == dtype


def test_integer_weights_equal_repeated_samples(rng):
    network = network_of()
    network.prepare()
    x, y = regression(rng, 4)
    weighted = objective(network, PLAN, Batch(x, y, np.array([2.0, 0.0, 1.0, 1.0])))
    gradient, rows = network.grad.copy(), [0, 0, 2, 3]
    assert weighted == pytest.approx(objective(network, PLAN, Batch(x[rows], y[rows])), rel=1e-13)
    np.testing.assert_allclose(gradient, network.grad, rtol=1e-12, atol=1e-15)


def test_weights_are_not_normalized_per_batch(rng):
    """Weights are relative to those of all samples of the fit."""
    network = network_of()
    network.prepare()
    x, y = regression(rng, 4)
    unweighted = objective(network, PLAN, Batch(x, y))
    assert objective(network, PLAN, Batch(x, y, np.full(4, 0.1))) == pytest.approx(0.1 * unweighted)


# -- step ----------------------------------------------------------------------------------------


def test_gradient_of_loss_and_penalty_is_clipped_before_the_step(rng):
    """Clipping before the penalty or after the step would give a change of another norm."""
    plan = replace(PLAN, alpha=10.0, clip=ClipByNorm(0.01), optimizer=SGD(learning_rate=0.5))
    run = start(plan)
    network = run.network
    network.prepare()
    batch = Batch(*regression(rng))
    slope = central_differences(lambda: objective(network, plan, batch), network.theta, h=5e-4)
    before = network.theta.copy()
    step(run, plan, batch, 1.0)
    expected = before - 0.5 * 0.01 * slope / np.linalg.norm(slope)
    np.testing.assert_allclose(network.theta, expected, rtol=0, atol=1e-9)


def test_step_returns_the_previous_loss_and_applies_the_factor(rng):
    plan = replace(PLAN, optimizer=SGD(learning_rate=0.2))
    run = start(plan)
    run.network.prepare()
    x, y = regression(rng)
    before = objective(run.network, plan, Batch(x, y))
    gradient, theta = run.network.grad.copy(), run.network.theta.copy()
    assert step(run, plan, Batch(x, y), 0.5) == before
    np.testing.assert_allclose(run.network.theta, theta - 0.1 * gradient, rtol=1e-13)


@pytest.mark.parametrize("bad", [nan, inf, 1e200])
def test_nonfinite_loss_skips_the_update(bad, rng):
    run = start(PLAN)
    run.network.prepare()
    x, y = regression(rng)
    theta = run.network.theta.copy()
    with np.errstate(all="ignore"):
        value = step(run, PLAN, Batch(x, np.full_like(y, bad)), 1.0)
    assert not np.isfinite(value)
    np.testing.assert_array_equal(run.network.theta, theta)
    assert run.optimizer_state.t == 0


# -- training ------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS + MINIMIZERS)
def test_every_optimizer_trains_a_network(optimizer, rng):
    plan = replace(PLAN, optimizer=optimizer, batch_size=N_SAMPLES if optimizer.full_batch else 5)
    run = start(plan)
    data = data_of(plan, rng)
    first = objective_of(run, plan, data)
    train(run, plan, data, 20)
    assert objective_of(run, plan, data) < first
    assert len(run.history) == run.clock.epoch > 0


def objective_of(run, plan, data):
    run.network.prepare()
    return objective(run.network, plan, Batch(data.X, data.y))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("clip", [*CLIPPINGS, None])
def test_every_schedule_and_clipping_trains_a_network(schedule, clip, rng):
    plan = replace(PLAN, schedule=schedule, clip=clip, tol=0.0)
    run = start(plan)
    train(run, plan, data_of(plan, rng), 20)
    assert run.history["loss"][-1] < run.history["loss"][0]


def test_history_has_a_row_per_epoch(rng):
    run = start(PLAN)
    train(run, PLAN, data_of(PLAN, rng), 3)
    assert run.history["epoch"] == [1, 2, 3]
    assert run.history["learning_rate"] == [0.01] * 3
    assert all(seconds > 0 for seconds in run.history["seconds"])
    assert (run.clock.epoch, run.clock.step) == (3, 15)
    assert run.clock.loss == run.history["loss"][-1]
    assert run.stop_reason is None


def test_recorded_loss_is_the_mean_over_samples_before_each_update(rng):
    """Use a rate too small to change the weights, then a single batch."""
    for rate, batch_size, rtol in ((1e-9, 5, 1e-7), (0.1, N_SAMPLES, 1e-14)):
        plan = replace(PLAN, alpha=0.1, batch_size=batch_size, optimizer=SGD(learning_rate=rate))
        run, data = start(plan), data_of(plan, rng)
        expected = objective_of(run, plan, data)
        train(run, plan, data, 1)
        assert run.history["loss"] == [pytest.approx(expected, rel=rtol)]


def test_schedule_receives_the_clock_and_scales_the_rate(rng):
    class Watching(Schedule):
        def __call__(self, clock, state=None):
            seen.append((clock.step, clock.epoch, clock.progress))
            return 0.5

    seen = []
    plan = replace(PLAN, schedule=Watching(), max_iter=4, n_iter_no_change=inf)
    run = start(plan)
    data = data_of(plan, rng)
    train(run, plan, data, 6)
    steps, epochs, progress = zip(*seen, strict=True)
    assert steps == tuple(range(30))
    assert epochs == tuple(np.repeat(range(6), 5))
    np.testing.assert_allclose(progress, np.minimum(1, np.arange(30) / 20), atol=1e-15)
    assert run.history["learning_rate"] == [0.005] * 6
    # A new fit restarts the progress of the schedule; steps and epochs continue.
    run.new_fit()
    seen.clear()
    train(run, plan, data, 1)
    assert seen[0] == (30, 6, 0.0)


def test_training_in_parts_equals_uninterrupted_training(rng):
    """The run can be pickled in between, as it contains the complete state."""
    plan = replace(PLAN, schedule=Cosine(), alpha=0.01, n_iter_no_change=inf)
    data = data_of(plan, rng)
    uninterrupted = start(plan, normalization=BatchNorm())
    train(uninterrupted, plan, data, 9)
    parts = start(plan, normalization=BatchNorm())
    for n_epochs in (1, 3, 5):
        train(parts, plan, data, n_epochs)
        parts = pickle.loads(pickle.dumps(parts))
    np.testing.assert_array_equal(parts.network.theta, uninterrupted.network.theta)
    np.testing.assert_array_equal(parts.network.statistics, uninterrupted.network.statistics)
    assert parts.history["loss"] == uninterrupted.history["loss"]
    assert parts.clock == uninterrupted.clock


def test_equal_seeds_give_equal_bits(rng):
    data = data_of(PLAN, rng)
    runs = [start(PLAN, seed) for seed in (1, 1, 2)]
    for run in runs:
        train(run, PLAN, data, 3)
    np.testing.assert_array_equal(runs[0].network.theta, runs[1].network.theta)
    assert (runs[0].network.theta != runs[2].network.theta).any()


def test_generator_is_not_used_without_shuffling(rng):
    run = start(PLAN)
    before = run.rng.bit_generator.state
    train(run, replace(PLAN, shuffle=False), data_of(PLAN, rng), 2)
    assert run.rng.bit_generator.state == before


def test_sparse_features_train_the_same_network(rng):
    x, y = regression(rng)
    x *= rng.random(x.shape) < 0.5
    thetas = []
    for container in CONTAINERS:
        run = start(PLAN)
        train(run, PLAN, Data(container(x), y, None, 5, np.float64), 4)
        thetas.append(run.network.theta)
    for theta in thetas[1:]:
        np.testing.assert_allclose(theta, thetas[0], rtol=1e-9, atol=1e-12)


def test_zero_epochs_have_no_effect(rng):
    run = start(PLAN)
    theta = run.network.theta.copy()
    train(run, PLAN, data_of(PLAN, rng), 0)
    np.testing.assert_array_equal(run.network.theta, theta)
    assert len(run.history) == 0


# -- end of training -----------------------------------------------------------------------------


class Scripted(SquaredError):
    """A loss with the given values in successive epochs."""

    def __init__(self, losses=()):
        self.losses = losses

    def mean_and_gradient(self, y, z, weight=None):
        return next(self.losses), np.zeros_like(z)


class Counting(SGD):
    """An optimizer that adds 1 to theta in every step."""

    slots = ("m",)

    def step(self, theta, grad, state, lr_scale=1.0):
        theta += 1
        state.m += 1


def scripted(losses, **options):
    """Return a plan of full batches whose epochs have the given losses."""
    return replace(
        PLAN, loss=Scripted(iter(losses)), optimizer=Counting(), batch_size=N_SAMPLES, **options
    )


@pytest.mark.usefixtures("plain_numpy")
@pytest.mark.parametrize(
    ("losses", "tol", "patience", "epochs"),
    [
        ([5, 4, 3, 2, 1, 0, 0, 0], 0.5, 2, None),  # falls enough in every epoch
        ([5, 4, 4, 4, 4, 4, 4, 4], 0.5, 2, 5),
        ([5, 4.9, 4.8, 4.7, 4.6, 4.5, 4.4, 4.3], 0.5, 2, 4),  # falls by less than tol
        ([5, 6, 7, 4, 5, 6, 7, 8], 0.5, 2, 7),  # an improvement resets the count
        ([5, 5, 5, 5, 5, 5, 5, 5], 0.0, 2, None),  # at tol=0, equal losses do not use up patience
        ([5, 6, 7, 8, 9, 9, 9, 9], 0.0, 2, 4),
        ([-1, -1, -1, -1, -1, -1, -1, -1], 0.1, 1, 3),  # negative losses
        ([-1, -2, -3, -4, -5, -6, -7, -8], 0.1, 1, None),
        ([5, 5, 5, 5, 5, 5, 5, 5], 0.5, inf, None),
    ],
)
def test_training_stops_when_patience_runs_out(losses, tol, patience, epochs, rng):
    plan = scripted(losses, tol=tol, n_iter_no_change=patience)
    run = start(plan)
    train(run, plan, data_of(plan, rng), 6 if epochs is None else len(losses))
    assert run.stop_reason == (None if epochs is None else "tol")
    assert run.clock.epoch == (6 if epochs is None else epochs)
    assert run.history["loss"] == losses[: run.clock.epoch]


@pytest.mark.usefixtures("plain_numpy")
@pytest.mark.parametrize("bad", [nan, inf])
def test_divergence_ends_training_at_the_best_finite_weights(bad, rng):
    plan = scripted([5, 3, 4, bad, 1])
    run = start(plan, normalization=BatchNorm())
    theta, statistics = run.network.theta.copy(), []
    train(
        run,
        plan,
        data_of(plan, rng),
        5,
        on_epoch=lambda run: statistics.append(run.network.statistics.copy()),
    )
    assert run.stop_reason == "diverged"
    assert run.history["loss"] == [5, 3, 4]
    np.testing.assert_array_equal(run.network.theta, theta + 2)
    np.testing.assert_array_equal(run.network.statistics, statistics[1])
    assert run.best_epoch == 2
    # The state of the optimizer belongs to other weights and is reset.
    assert not run.optimizer_state.m.any()


@pytest.mark.usefixtures("plain_numpy")
@pytest.mark.parametrize(
    ("losses", "epochs"),
    [
        ([1.0, 1e9, 1e9, 2.0], 4),
        ([1.0, 0.5, 1e11, 1.0], 2),  # finite, but an explosion
        ([0.0, 1e-3, 1e-3, 1e-3], 4),  # a first loss of zero cannot be a reference
        ([1e15, 1e16, 1e16, 1e16], 4),
    ],
)
def test_explosion_is_relative_to_the_first_loss(losses, epochs, rng):
    plan = scripted(losses, n_iter_no_change=inf)
    run = start(plan)
    train(run, plan, data_of(plan, rng), 4)
    assert run.stop_reason == ("diverged" if epochs < 4 else None)
    assert run.clock.epoch == epochs


def test_divergence_in_the_first_epoch_restores_the_initial_weights(rng):
    plan = replace(PLAN, optimizer=SGD(learning_rate=1e200))
    run = start(plan, normalization=BatchNorm())
    theta, statistics = run.network.theta.copy(), run.network.statistics.copy()
    train(run, plan, data_of(plan, rng), 5)
    assert run.stop_reason == "diverged"
    assert len(run.history) == 0
    np.testing.assert_array_equal(run.network.theta, theta)
    np.testing.assert_array_equal(run.network.statistics, statistics)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_divergence_stops_within_the_epoch(dtype, rng):
    """Weights grow in every step, but no step follows the first nonfinite loss."""
    plan = replace(PLAN, optimizer=SGD(learning_rate=30.0), tol=0.0, n_iter_no_change=inf)
    run = start(plan, dtype=dtype)
    x, y = (part.astype(dtype) for part in regression(rng))
    train(run, plan, Data(x, y, None, 5, dtype), 500)
    assert run.stop_reason == "diverged"
    assert run.clock.epoch < 500
    assert np.isfinite(run.network.theta).all()
    assert all(np.isfinite(row["loss"]) for row in run.history)


@pytest.mark.parametrize("where", [0, N_SAMPLES - 1])
def test_single_nan_target_is_divergence(where, rng):
    x, y = regression(rng)
    y[where] = nan
    run = start(PLAN)
    train(run, replace(PLAN, shuffle=False), Data(x, y, None, 5, np.float64), 3)
    assert run.stop_reason == "diverged"
    assert np.isfinite(run.network.theta).all()


@pytest.mark.parametrize("optimizer", MINIMIZERS)
def test_minimizers_restore_the_weights_after_divergence(optimizer, rng):
    x, y = regression(rng)
    y[3] = inf
    plan = replace(PLAN, optimizer=optimizer, batch_size=N_SAMPLES)
    run = start(plan)
    theta = run.network.theta.copy()
    train(run, plan, Data(x, y, None, N_SAMPLES, np.float64), 5)
    assert run.stop_reason == "diverged"
    np.testing.assert_array_equal(run.network.theta, theta)


@pytest.mark.parametrize("optimizer", MINIMIZERS)
def test_minimizers_predict_with_their_solution(optimizer, rng):
    """There is no path of small steps to average."""
    plan = replace(PLAN, optimizer=optimizer, batch_size=N_SAMPLES, averaging=EMA(0.9))
    run = start(plan)
    train(run, plan, data_of(plan, rng), 5)
    np.testing.assert_array_equal(run.point(plan), run.network.theta)


@pytest.mark.parametrize("optimizer", MINIMIZERS)
def test_minimizers_report_the_stop_reason(optimizer, rng):
    data = data_of(replace(PLAN, batch_size=N_SAMPLES), rng)
    for max_iter, tol, reason in ((2, 1e-12, "max_iter"), (500, 1e-2, "tol")):
        plan = replace(PLAN, optimizer=optimizer, batch_size=N_SAMPLES, tol=tol)
        run = start(plan)
        train(run, plan, data, max_iter)
        assert run.stop_reason == reason
        assert run.clock.epoch <= max_iter
        assert len(run.history) == run.clock.epoch
        losses = run.history["loss"]
        assert losses == sorted(losses, reverse=True)
        # The last loss is that of the final weights.
        last = objective_of(run, plan, data)
        assert last == pytest.approx(losses[-1], rel=1e-12)


# -- validation ----------------------------------------------------------------------------------


def scored(scores):
    """Return a validation function with the given scores, and the weights that it receives."""
    remaining, seen = iter(scores), []

    def validate(network):
        seen.append(network.theta.copy())
        return next(remaining)

    return validate, seen


def test_early_stopping_restores_the_best_weights_and_statistics(rng):
    plan = replace(PLAN, n_iter_no_change=2, tol=0.0, early_stopping=True)
    validate, seen = scored([1, 3, 2, 2, 2, 9])
    run = start(plan, normalization=BatchNorm())
    kept = []
    train(
        run,
        plan,
        data_of(plan, rng),
        10,
        lambda network: kept.append(network.statistics.copy()) or validate(network),
    )
    assert run.stop_reason == "early_stopping"
    assert run.history["validation_score"] == [1, 3, 2, 2, 2]
    assert (run.best_epoch, run.best_score) == (2, 3)
    np.testing.assert_array_equal(run.network.theta, seen[1])
    np.testing.assert_array_equal(run.network.statistics, kept[1])


def test_early_stopping_restores_the_best_weights_after_all_epochs(rng):
    validate, seen = scored([1, 3, 2])
    plan = replace(PLAN, early_stopping=True)
    run = start(plan)
    train(run, plan, data_of(plan, rng), 3, validate)
    assert run.stop_reason is None
    np.testing.assert_array_equal(run.network.theta, seen[1])


def test_first_of_equal_scores_is_the_best(rng):
    validate, seen = scored([1, 3, 3, 2, 3])
    plan = replace(PLAN, early_stopping=True)
    run = start(plan)
    train(run, plan, data_of(plan, rng), 5, validate)
    assert run.best_epoch == 2
    np.testing.assert_array_equal(run.network.theta, seen[1])


def test_validation_without_early_stopping_is_only_recorded(rng):
    validate, seen = scored([1, 3, 2])
    run, plain = start(PLAN), start(PLAN)
    data = data_of(PLAN, rng)
    train(run, PLAN, data, 3, validate)
    train(plain, PLAN, data, 3)
    assert run.history["validation_score"] == [1, 3, 2]
    assert run.best_score == -min(run.history["loss"])
    np.testing.assert_array_equal(run.network.theta, seen[2])
    np.testing.assert_array_equal(run.network.theta, plain.network.theta)


def test_nan_score_is_not_an_improvement(rng):
    validate, seen = scored([1, nan, nan, nan, nan])
    plan = replace(PLAN, n_iter_no_change=2, early_stopping=True)
    run = start(plan)
    train(run, plan, data_of(plan, rng), 5, validate)
    assert run.stop_reason == "early_stopping"
    assert (run.best_epoch, run.clock.epoch) == (1, 4)
    np.testing.assert_array_equal(run.network.theta, seen[0])


def test_scores_that_are_all_nan_leave_finite_weights(rng):
    validate, _ = scored([nan] * 5)
    plan = replace(PLAN, n_iter_no_change=2, early_stopping=True)
    run = start(plan)
    train(run, plan, data_of(plan, rng), 5, validate)
    assert run.stop_reason == "early_stopping"
    assert np.isfinite(run.network.theta).all()


def test_early_stopping_supports_negative_scores(rng):
    plan = replace(PLAN, n_iter_no_change=1, tol=0.1, early_stopping=True)
    validate, _ = scored([-9, -8, -7, -6.95, -6.94, 0])
    run = start(plan)
    train(run, plan, data_of(plan, rng), 6, validate)
    assert run.history["validation_score"] == [-9, -8, -7, -6.95, -6.94]
    assert run.best_score == -6.94


def test_validation_uses_the_evaluation_point(rng):
    class Shifted(SGD):
        def evaluation_point(self, theta, state):
            return theta + 1

    plan = replace(PLAN, optimizer=Shifted(learning_rate=1e-12))
    validate, seen = scored([1, 2])
    run = start(plan)
    theta = run.network.theta.copy()
    train(run, plan, data_of(plan, rng), 2, validate)
    np.testing.assert_allclose(seen, [theta + 1] * 2, atol=1e-8)
    np.testing.assert_allclose(run.network.theta, theta, atol=1e-8)


# -- callbacks and interruptions -----------------------------------------------------------------


def test_callback_is_called_every_epoch_and_can_stop(rng):
    seen = []

    def on_epoch(run):
        seen.append((run.clock.epoch, len(run.history)))
        return run.clock.epoch == 3

    run = start(PLAN)
    train(run, PLAN, data_of(PLAN, rng), 10, on_epoch=on_epoch)
    assert seen == [(1, 1), (2, 2), (3, 3)]
    assert run.stop_reason == "callback"


@pytest.mark.usefixtures("python_handles_interrupts")
@pytest.mark.parametrize("at", [1, 7, 10])
def test_interrupted_training_can_be_resumed(at, rng):
    class Interrupted(Adam):
        def step(self, theta, grad, state, lr_scale=1.0):
            if state.t + 1 == at and not hasattr(state, "interrupted"):
                state.interrupted = True
                signal.raise_signal(signal.SIGINT)
            # The step is completed nevertheless.
            super().step(theta, grad, state, lr_scale)

    plan = replace(PLAN, n_iter_no_change=inf)
    data = data_of(plan, rng)
    uninterrupted = start(plan, normalization=BatchNorm())
    train(uninterrupted, plan, data, 4)
    plan = replace(plan, optimizer=Interrupted(learning_rate=0.01))
    run = start(plan, normalization=BatchNorm())
    with pytest.raises(KeyboardInterrupt):
        train(run, plan, data, 4)
    assert run.clock.step == at
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    run = pickle.loads(pickle.dumps(run))
    train(run, plan, data, 4 - run.clock.epoch)
    assert run.history["loss"] == uninterrupted.history["loss"]
    np.testing.assert_array_equal(run.network.theta, uninterrupted.network.theta)


def test_training_in_a_thread_does_not_change_signal_handlers(rng):
    run, before = start(PLAN), signal.getsignal(signal.SIGINT)
    worker = Thread(target=train, args=(run, PLAN, data_of(PLAN, rng), 2))
    worker.start()
    worker.join(20)
    assert len(run.history) == 2
    assert signal.getsignal(signal.SIGINT) is before


# -- threads -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch_size", "width", "limited"), [(5, 4, True), (2000, 3000, False), (64, 100, True)]
)
def test_thread_limit_depends_on_the_shapes(batch_size, width, limited):
    network = build(3, (width,), 1, [Tanh()])
    data = Data(np.zeros((2000, 3)), np.zeros(2000), None, batch_size, np.float64)
    assert training._is_large(network, data) != limited
    assert training.choose_kernels(network, data).threaded != limited


def test_small_networks_train_on_one_blas_thread_and_restore_the_limit(rng):
    def blas_threads():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    seen = []

    def validate(network):
        seen.append(blas_threads())
        return 0.0

    with threadpool_limits(2, "blas"):
        train(start(PLAN), PLAN, data_of(PLAN, rng), 2, validate)
        assert seen == [{1}, {1}]
        assert blas_threads() == {2}


def test_overflow_in_training_does_not_warn_or_change_settings(rng):
    before = np.geterr()
    plan = replace(PLAN, loss=LogLoss(), optimizer=SGD(learning_rate=1e300), tol=0.0)
    run = start(plan)
    x, _ = regression(rng)
    train(run, plan, Data(x, np.arange(N_SAMPLES) % 2, None, 5, np.float64), 3)
    assert np.geterr() == before
    assert np.isfinite(run.network.theta).all()


def test_subnormal_numbers_are_removed_about_every_512_steps():
    epochs = np.arange(1024)
    assert np.flatnonzero(Run.is_flushed_after(epochs, 1)).tolist() == [511, 1023]
    assert np.flatnonzero(Run.is_flushed_after(epochs[:12], 100)).tolist() == [4, 9]
    assert Run.is_flushed_after(epochs, 600).all()
