"""Dropout's random draws, compared with NumPy's Philox."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest

from sknn_adam._backends.draws import drop, drop_in_numpy, new_draws, scratch, threshold
from sknn_adam._backends.numba_backend import FusedKernels
from sknn_adam._nn.network import build
from sknn_adam._training.batches import Data
from sknn_adam._training.loop import Plan, objective, train
from sknn_adam._training.members import Members
from sknn_adam._training.run import Run
from sknn_adam.activations import SELU, ReLU
from sknn_adam.initializers import GlorotUniform, Zeros
from sknn_adam.losses import SquaredError
from sknn_adam.optimizers import Adam
from sknn_adam.schedules import Constant

KEY, STEP, LAYER = (2**64 - 3, 12345), 2**40 + 7, 5
DRAWS = np.array([*KEY, STEP], np.uint64)
FACTORS = {"plain": (1.25, -0.0, -0.0), "alpha": (1.25, 1.7, -0.3)}
# (members, samples, units): in whole blocks of draws or not, in one or several passes.
SHAPES = [(1, 1, 1), (3, 7, 13), (2, 32, 128), (2, 41, 100)]


@cache
def compiled():
    numba = pytest.importorskip("numba")
    return numba.njit(nogil=True, error_model="numpy")(drop)


def draws_of_philox(member, n):
    """Return the draws of a member from a new generator of NumPy."""
    counter = np.array([0, LAYER, member, STEP], np.uint64)
    philox = np.random.Philox(key=DRAWS[:2], counter=counter)
    return philox.random_raw(-(-n // 4)).view(np.uint16)[:n]


def in_numpy(x, rate, factors):
    y, kept = np.empty_like(x), np.empty_like(x)
    drop_in_numpy(x, DRAWS, LAYER, rate, factors, y, kept)
    return y, kept


def in_a_loop(x, rate, factors, loop=None, first=0, n_blocks=64):
    y, kept = np.empty_like(x), np.empty_like(x)
    place = np.array([LAYER, threshold(rate)], np.uint64)
    members = np.arange(first, first + len(x), dtype=np.uint64)
    numbers, work = np.array(factors, x.dtype), scratch(len(x), n_blocks)
    (loop or compiled())(x, DRAWS, place, members, numbers, work, y, kept)
    return y, kept


def assert_same_bits(results, expected):
    for one, other in zip(results, expected, strict=True):
        assert one.tobytes() == other.tobytes()


# -- the two implementations ---------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("rate", [1e-9, 0.1, 0.5, 1 - 1e-9])
@pytest.mark.parametrize("way", [in_numpy, in_a_loop])
def test_units_are_dropped_by_the_draws_of_philox(way, rate, shape, rng):
    x = rng.normal(size=shape).astype(np.float32)
    y, kept = way(x, rate, (2.0, -0.0, -0.0))
    for m in range(shape[0]):
        mask = draws_of_philox(m, x[m].size).reshape(shape[1:]) >= min(rate * 2**16, 65535) - 0.5
        np.testing.assert_array_equal(kept[m], 2.0 * mask)
        np.testing.assert_array_equal(y[m], 2 * x[m] * mask)


@pytest.mark.parametrize("factors", FACTORS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_loop_equals_numpy(dtype, factors, rng):
    for shape in SHAPES:
        x = rng.normal(size=shape).astype(dtype)
        x[0, 0, 0] = -0.0
        options = 0.3, FACTORS[factors]
        assert_same_bits(in_a_loop(x, *options), in_numpy(x, *options))
        assert_same_bits(in_a_loop(x, *options, n_blocks=3), in_numpy(x, *options))


def test_loop_is_valid_python(rng):
    x = rng.normal(size=(2, 3, 7))
    # NumPy's scalars warn of overflow, which is part of the generator.
    with np.errstate(over="ignore"):
        results = in_a_loop(x, 0.3, FACTORS["alpha"], drop, n_blocks=2)
    assert_same_bits(results, in_numpy(x, 0.3, FACTORS["alpha"]))


def test_dropped_units_are_equal_and_kept_units_are_affine(rng):
    x = rng.normal(size=(1, 50, 20))
    y, kept = in_numpy(x, 0.3, (1.25, 1.7, -0.3))
    np.testing.assert_array_equal(y[kept == 0], -0.3)
    np.testing.assert_allclose(y[kept > 0], 1.25 * (x[kept > 0] + 1.7) - 0.3, rtol=1e-12)


def test_draws_do_not_depend_on_the_distribution_of_members(rng):
    x = rng.normal(size=(5, 30, 11))
    y, kept = in_a_loop(x, 0.4, FACTORS["plain"])
    for part in (slice(0, 2), slice(2, 5), slice(4, 5)):
        own = in_a_loop(x[part].copy(), 0.4, FACTORS["plain"], first=part.start)
        assert_same_bits(own, (y[part], kept[part]))


def test_draws_do_not_depend_on_threads(rng):
    x = rng.normal(size=(3, 50, 40))
    expected = in_numpy(x, 0.4, FACTORS["plain"])
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(in_numpy, x, 0.4, FACTORS["plain"]) for _ in range(40)]:
            assert_same_bits(future.result(), expected)


def test_kernel_equals_the_loop(rng):
    pytest.importorskip("numba")
    kernels = FusedKernels()
    for dtype in (np.float32, np.float64):
        x = rng.normal(size=(2, 9, 7)).astype(dtype)
        for factors in FACTORS.values():
            y, kept = np.empty_like(x), np.empty_like(x)
            kernels.dropout(x, DRAWS, LAYER, 0.3, factors, y, kept)
            assert_same_bits((y, kept), in_numpy(x, 0.3, factors))


# -- training ------------------------------------------------------------------------------------

PLAN = Plan(SquaredError(), Adam(), Constant(), batch_size=8, tol=0.0)


def network_of(members=None):
    network = build(3, (6, 5), 1, [SELU(), ReLU()], dropout=(0.3, 0.2), members=members)
    network.initialize(GlorotUniform(), Zeros(), np.random.default_rng(0))
    return network


def data_of(rng):
    x = rng.normal(size=(20, 3))
    return Data(x, x[:, :1] ** 2, None, 8, np.float64)


def test_key_depends_on_the_seed_and_leaves_the_stream_unchanged():
    generators = [np.random.default_rng(seed) for seed in (1, 1, 2)]
    before = generators[0].bit_generator.state
    one, same, other = map(new_draws, generators)
    assert generators[0].bit_generator.state == before
    np.testing.assert_array_equal(one, same)
    assert (one[:2] != other[:2]).all()
    # Another run with the same generator has another key.
    assert (one[:2] != new_draws(generators[0])[:2]).all()


def test_step_determines_the_objective(rng):
    run, batch = Run(network_of(), rng), data_of(rng).batch(0, None)
    run.network.prepare()
    values = []
    for run.clock.step in (0, 1, 0, 1):
        values.append(objective(run.network, PLAN, batch, run.draws_of_step()))
    assert values[:2] == values[2:]
    assert values[0] != values[1]


def test_first_member_trains_like_a_single_network(rng):
    network, data = network_of(3), data_of(rng)
    single = network.member(0)
    for each, run_class in ((network, Members), (single, Run)):
        run = run_class(each, np.random.default_rng(1))
        run.begin(PLAN)
        train(run, PLAN, data, 3)
    np.testing.assert_allclose(network.member(0).theta, single.theta, rtol=1e-10)
    assert (network.member(1).theta != single.theta).any()
