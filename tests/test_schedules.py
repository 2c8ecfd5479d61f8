import numpy as np
import pytest
from rows import SCHEDULES, load_golden

from sknn_adam import schedules
from sknn_adam.schedules import (
    Clock,
    Constant,
    Cosine,
    CosLog4,
    Exponential,
    FlatCos,
    InverseScaling,
    Linear,
    OneCycle,
    Plateau,
    Schedule,
    Step,
    Warmup,
)

GOLDEN = [
    pytest.param(name, numbers["values"], id=name)
    for name, numbers in load_golden("schedules")["schedules"].items()
    if name in schedules.SCHEDULES
]


@pytest.mark.parametrize(("name", "expected"), GOLDEN)
def test_factors_match_optax(name, expected):
    schedule = schedules.SCHEDULES.make(name)
    state = schedule.init()
    steps = load_golden("schedules")["steps"]
    actual = [schedule(Clock(step=t, epoch=t, progress=t / 100), state) for t in steps]
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-15)


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
        (Linear(), 1, 0.5, 0),
        (Linear(0.5), 1, 0.75, 0.5),
        (OneCycle(peak=0.5, initial_factor=0.2, final_factor=0.1), 0.2, 1, 0.1),
        (CosLog4(), 0, np.sin(np.pi * np.log2(8.5)) ** 2, 0),
        (FlatCos(0.25), 1, 0.75, 0),  # a third of the way down: (1 + cos 60 degrees) / 2
        (FlatCos(0.5), 1, 1, 0),
        (Warmup("linear", steps=1), 1, 0.5, 0),
    ],
)
def test_factors_match_closed_forms_at_start_middle_and_end(schedule, start, middle, end):
    state = schedule.init()
    actual = [schedule(Clock(progress=p), state) for p in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(actual, [start, middle, end], rtol=1e-14, atol=1e-15)


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


# -- schedules that depend on epochs, steps or the loss ------------------------------------------


def factors_of(schedule, epochs=(), steps=(), losses=()):
    state = schedule.init()
    clocks = [Clock(epoch=e) for e in epochs] + [Clock(step=s) for s in steps]
    clocks += [Clock(epoch=e, loss=loss) for e, loss in enumerate(losses, start=1)]
    return [schedule(clock, state) for clock in clocks]


def test_step_drops_after_a_number_of_epochs():
    assert factors_of(Step(0.5, every=3), epochs=range(7)) == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]


def test_inverse_scaling_is_a_power_of_the_epoch():
    actual = factors_of(InverseScaling(2.0), epochs=(0, 1, 3))
    np.testing.assert_allclose(actual, [1, 1 / 4, 1 / 16], rtol=1e-15)


@pytest.mark.parametrize(
    ("losses", "factors"),
    [
        ([9, 8, 7, 6, 5], [1, 1, 1, 1, 1]),
        ([9, 9, 9, 9, 9], [1, 1, 0.5, 0.5, 0.25]),
        ([9, 9, 8, 9, 9], [1, 1, 1, 1, 0.5]),  # an improvement resets the count
        ([9, 8.95, 8.9, 8.85, 8.8], [1, 1, 0.5, 0.5, 0.25]),  # falls by less than tol
        ([9, 9.5, 9.2, 8.95, 8.8], [1, 1, 0.5, 0.5, 0.5]),
        ([-1, -2, -2, -2, -3], [1, 1, 1, 0.5, 0.5]),
    ],
)
def test_plateau_drops_when_the_loss_does_not_fall(losses, factors):
    assert factors_of(Plateau(0.5, patience=2, tol=0.1), losses=losses) == factors


def test_plateau_checks_the_loss_once_per_epoch():
    plateau = Plateau(0.5, patience=1)
    state = plateau.init()
    # The batches of the first epoch have no loss yet.
    for _ in range(5):
        assert plateau(Clock(epoch=0), state) == 1
    for _ in range(5):
        assert plateau(Clock(epoch=1, loss=3.0), state) == 1
    for _ in range(5):
        assert plateau(Clock(epoch=2, loss=3.0), state) == 0.5


def test_states_of_two_runs_are_separate():
    plateau = Plateau(0.5, patience=1)
    one, other = plateau.init(), plateau.init()
    for epoch in (1, 2, 3):
        plateau(Clock(epoch=epoch, loss=1.0), one)
    assert plateau(Clock(epoch=3, loss=1.0), one) < 1
    assert plateau(Clock(epoch=1, loss=1.0), other) == 1


def test_warmup_rises_and_multiplies_its_schedule():
    assert factors_of(Warmup(steps=4), steps=range(6)) == [0.25, 0.5, 0.75, 1, 1, 1]
    warmup, state = Warmup("cosine", steps=2), Warmup("cosine", steps=2).init()
    assert warmup(Clock(step=0, progress=0.0), state) == 0.5
    assert warmup(Clock(step=9, progress=0.5), state) == pytest.approx(0.5)
    assert factors_of(Warmup(Plateau(0.5, 1), steps=1), losses=[3, 3, 3]) == [1, 0.5, 0.25]


def test_warmup_nests_a_schedule_by_name_or_instance():
    assert Warmup("cosine").get_params()["schedule__final_factor"] == 0.0
    warmup = Warmup("cosine").set_params(schedule__final_factor=0.5)
    assert warmup.schedule.final_factor == 0.5
    assert warmup.uses_progress
    assert not Warmup().uses_progress
    with pytest.raises(ValueError, match="final_factor"):
        Warmup(Cosine(final_factor=2.0)).validate()
    with pytest.raises(ValueError, match="'cosin' is not a known schedule"):
        Warmup("cosin").validate()
    with pytest.raises(ValueError, match="'cosin' is not a known schedule"):
        Warmup(Warmup("cosin")).validate()


def test_user_defined_schedule_works_inside_a_warmup():
    class Half(Schedule):
        def __call__(self, clock, state=None):
            return 0.5

    assert factors_of(Warmup(Half(), steps=2), steps=(0, 1, 2)) == [0.25, 0.5, 0.5]


def test_clock_starts_at_zero():
    clock = Clock()
    assert (clock.step, clock.epoch, clock.progress, clock.loss) == (0, 0, 0.0, np.inf)
