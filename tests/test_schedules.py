import numpy as np
import pytest
from rows import SCHEDULES, load_golden

from sknn_adam import schedules
from sknn_adam.schedules import Clock, Constant, Cosine, Exponential

GOLDEN = [
    pytest.param(name, numbers["values"], id=name)
    for name, numbers in load_golden("schedules")["schedules"].items()
    if name in schedules.SCHEDULES
]


@pytest.mark.parametrize(("name", "expected"), GOLDEN)
def test_factors_are_those_of_optax(name, expected):
    schedule = schedules.SCHEDULES.make(name)
    state = schedule.init()
    steps = load_golden("schedules")["steps"]
    found = [schedule(Clock(step=t, progress=t / 100), state) for t in steps]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("schedule", "start", "middle", "end"),
    [
        (Constant(), 1, 1, 1),
        (Exponential(), 1, 0.1, 0.01),
        (Exponential(0.25), 1, 0.5, 0.25),
        (Exponential(4.0), 1, 2, 4),
        (Cosine(), 1, 0.5, 0),
        (Cosine(0.2), 1, 0.6, 0.2),
        (Cosine(1.0), 1, 1, 1),
    ],
)
def test_closed_values(schedule, start, middle, end):
    state = schedule.init()
    found = [schedule(Clock(progress=p), state) for p in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(found, [start, middle, end], rtol=1e-15, atol=1e-16)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_factor_is_a_finite_number_at_any_time(schedule):
    before, state = dict(vars(schedule)), schedule.init()
    for progress in np.linspace(0, 1, 21):
        clock = Clock(step=int(1000 * progress), epoch=int(20 * progress), progress=progress)
        factor = schedule(clock, state)
        assert np.ndim(factor) == 0
        assert 0 <= factor < np.inf
    assert vars(schedule) == before


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_uses_progress_is_declared(schedule):
    factors = {
        float(schedule(Clock(step=5, epoch=2, progress=p), schedule.init())) for p in (0.1, 0.9)
    }
    assert (len(factors) > 1) == schedule.uses_progress


def test_clock_starts_at_zero():
    clock = Clock()
    assert (clock.step, clock.epoch, clock.progress, clock.loss) == (0, 0, 0.0, np.inf)
