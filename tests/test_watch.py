"""User-defined formulas run as written, even if they read changing values or override a method."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from sknn_adam import MLPRegressor
from sknn_adam._backends.dependencies import dependencies_of
from sknn_adam._backends.numba_backend import FusedKernels
from sknn_adam._backends.numpy_backend import NumpyKernels
from sknn_adam.activations import ACTIVATIONS, Activation, LeakyReLU, ReLU, Tanh
from sknn_adam.losses import LogLoss, SquaredError
from sknn_adam.optimizers import OPTIMIZERS, AdamW, Optimizer
from sknn_adam.schedules import Schedule

pytest.importorskip("numba")

KERNELS = [NumpyKernels, FusedKernels]
SLOPE = 2.0
CONFIG = SimpleNamespace(slope=2.0)
SEEN: list = []


class Linear(Activation):
    """slope * z; subclasses read the slope in other ways."""

    needs_z = False
    step = 0

    def __init__(self, slope=2.0):
        self.slope = slope

    def __call__(self, z):
        return z * self.slope

    def derivative(self, z, a):
        return np.ones_like(a) * self.slope


class Global(Linear):
    def __call__(self, z):
        return z * SLOPE


class ByName(Linear):
    def __call__(self, z):
        return z * getattr(self, "slo" + "pe")


class ByObject(Linear):
    def __call__(self, z):
        return z * CONFIG.slope


class ByProperty(Linear):
    @property
    def doubled(self):
        return 2 * self.slope

    def __call__(self, z):
        return z * (self.doubled / 2)


class BySuper(Linear):
    def __call__(self, z):
        return super().__call__(z) + 0.0


class Counting(Linear):
    """An activation that changes in its third call."""

    def __call__(self, z):
        self.step += 1
        return z * (2.0 if self.step < 3 else 5.0)


class Listing(Linear):
    def __call__(self, z):
        SEEN.append(1)
        return z * (2.0 if len(SEEN) < 3 else 5.0)


class Importing(Linear):
    def __call__(self, z):
        import config_of_this_test

        return z * config_of_this_test.slope


class ByType(Linear):
    """An activation that treats arrays differently from the objects that record a formula."""

    def __call__(self, z):
        return z * (2.0 if isinstance(z, np.ndarray) else 0.5)


class ByNameOfType(Linear):
    def __call__(self, z):
        return z * (2.0 if type(z).__name__ == "ndarray" else 0.5)


class Counter:
    """A descriptor whose value changes when it is read for the third time."""

    reads = 0

    def __get__(self, instance, owner):
        type(self).reads += 1
        return 2.0 if self.reads < 3 else 5.0


class ByDescriptor(Linear):
    slowly = Counter()

    def __call__(self, z):
        return z * self.slowly


class ByGetattr(Linear):
    def __getattr__(self, name):
        if name != "computed":
            raise AttributeError(name)
        SEEN.append(1)
        return 2.0 if len(SEEN) < 3 else 5.0

    def __call__(self, z):
        return z * self.computed


def activated(kernels, activation):
    z = np.ones((2, 3))
    kernels.activate(activation, z, np.zeros(3), z)
    assert np.ptp(z) == 0
    return z[0, 0]


@pytest.fixture
def change_slope(monkeypatch):
    """Return a function that sets the slope wherever activations read it."""
    config = SimpleNamespace(slope=2.0)
    monkeypatch.setitem(sys.modules, "config_of_this_test", config)
    SEEN.clear()
    monkeypatch.setattr(Counter, "reads", 0)

    def change(activation, slope):
        monkeypatch.setitem(globals(), "SLOPE", slope)
        activation.slope = CONFIG.slope = config.slope = slope

    yield change
    CONFIG.slope = 2.0


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(
    "activation", [Linear, Global, ByName, ByObject, ByProperty, BySuper, Importing]
)
def test_changed_slope_is_read_again(activation, kernels, change_slope):
    kernels, activation = kernels(), activation()
    assert activated(kernels, activation) == 2
    assert activated(kernels, activation) == 2
    change_slope(activation, 5.0)
    assert activated(kernels, activation) == 5


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("activation", [ByType, ByNameOfType])
def test_formula_that_checks_types_receives_arrays(activation, kernels):
    assert activated(kernels(), activation()) == 2


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("activation", [Counting, Listing, ByDescriptor, ByGetattr])
@pytest.mark.usefixtures("change_slope")
def test_stateful_activation_is_called_as_often_as_by_numpy(activation, kernels):
    kernels, activation = kernels(), activation()
    assert [activated(kernels, activation) for _ in range(4)] == [2, 2, 5, 5]


def test_changed_slope_in_an_enclosing_function_is_read_again():
    slope = 2.0

    class Closure(Linear):
        def __call__(self, z):
            return z * slope

    kernels, activation = FusedKernels(), Closure()
    assert activated(kernels, activation) == 2
    slope = 5.0
    assert activated(kernels, activation) == 5


@pytest.mark.parametrize("kernels", KERNELS)
def test_changed_derivative_is_used(kernels):
    kernels, activation = kernels(), Linear()
    for slope in (2.0, 5.0):
        activation.slope = slope
        g, sums = np.ones((2, 3)), np.empty(3)
        kernels.chain(activation.derivative, g, None, np.ones((2, 3)), sums)
        np.testing.assert_array_equal(g, slope)
        np.testing.assert_array_equal(sums, 2 * slope)


@pytest.mark.parametrize("kernels", KERNELS)
def test_changed_rule_is_used(kernels):
    class Mine(Optimizer):
        slots = ()
        factor = 2.0

        def __init__(self, learning_rate=0.1):
            self.learning_rate = learning_rate

        def rule(self, g, lr):
            return (lr * g * self.factor,)

        def scalars(self, t, lr):
            return (lr,)

    mine, theta = Mine(1.0), np.zeros(2)
    state = mine.init(theta)
    state.kernels = kernels()
    mine.step(theta, np.ones(2), state)
    np.testing.assert_array_equal(theta, -2)
    mine.factor = 5.0
    mine.step(theta, np.ones(2), state)
    np.testing.assert_array_equal(theta, -7)


def test_activation_changed_within_a_fit_is_used(monkeypatch, rng):
    """The Numba backend replays calls without the layers."""

    class Changing(Schedule):
        def __call__(self, clock, state=None):
            activation.slope = 0.1 if clock.epoch < 4 else 0.8
            return 1.0

    X = rng.normal(size=(90, 4))
    weights, done, replay = [], [], FusedKernels.replay
    monkeypatch.setattr(FusedKernels, "replay", lambda *args: done.append(1) or replay(*args))
    monkeypatch.setattr("sknn_adam._backends.recording._checked_layers", set())
    for kernels in ("numpy", "fused"):
        monkeypatch.setenv("SKNN_ADAM_KERNELS", kernels)
        activation = LeakyReLU(0.1)
        model = MLPRegressor(
            (6,),
            activation=activation,
            schedule=Changing(),
            batch_size=30,
            max_iter=8,
            record=False,
            random_state=0,
        )
        weights.append(model.fit(X, X[:, 0]).coefs_)
    # All 24 steps are replayed except the first one and three others: before the second step, the
    # schedule is called ahead, and the change is noticed.
    # The first replay with these layers is only a check.
    assert len(done) == 24 - 4 + 1
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_built_in_formulas_are_recorded():
    """Their attributes are not mistaken for state."""
    for make in ACTIVATIONS.entries.values():
        activation = make()
        assert (
            dependencies_of(activation.apply, activation.__call__, activation.derivative)
            is not None
        )
    for make in OPTIMIZERS.entries.values():
        if hasattr(make(), "rule"):
            assert dependencies_of(make().rule).values == []
    assert dependencies_of(ReLU().apply, ReLU().derivative).values == []


# -- overridden methods ----------------------------------------------------------------------------


class Shifted(Linear):
    def apply(self, z, out):
        out[...] = z + 7.0


class ShiftedByOut(Linear):
    def apply(self, z, out):
        np.multiply(z, 2.0, out=out)
        np.add(out, 6.0, out=out)


class ReadsBack(Linear):
    """An activation that reads z after writing out, which may be the same array."""

    def apply(self, z, out):
        np.multiply(z, 3.0, out=out)
        out += z


class Twice(ReLU):
    def __call__(self, z):
        return 2 * super().__call__(z)


class Mixin:
    def __call__(self, z):
        return 3 * z


class ByMixin(Mixin, Tanh):
    """Its formula is that of the mixin, which precedes the base class."""


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(
    ("activation", "expected", "expected_apart"),
    [(Shifted, 8, 8), (ShiftedByOut, 8, 8), (ReadsBack, 6, 4), (Twice, 2, 2), (ByMixin, 3, 3)],
)
def test_most_derived_definition_is_used(activation, expected, expected_apart, kernels):
    kernels, activation = kernels(), activation()
    assert activated(kernels, activation) == expected
    z, out = np.ones((2, 3)), np.empty((2, 3))
    kernels.activate(activation, z, np.zeros(3), out)
    np.testing.assert_array_equal(out, expected_apart)
    np.testing.assert_array_equal(z, 1)


@pytest.mark.parametrize("kernels", KERNELS)
def test_loss_can_override_value_or_gradient_alone(kernels, rng):
    class Halved(SquaredError):
        def gradient(self, y, z):
            return super().gradient(y, z) / 2

    class Weighted(LogLoss):
        def value(self, y, z):
            return 3 * super().value(y, z)

    y, z = rng.normal(size=(2, 8, 1))
    value, gradient = kernels().mean_and_gradient(SquaredError(), y, z, None)
    half_value, half = kernels().mean_and_gradient(Halved(), y, z, None)
    np.testing.assert_allclose(half, gradient / 2)
    assert half_value == pytest.approx(value)
    codes = np.array([0, 1] * 4)
    value, gradient = kernels().mean_and_gradient(LogLoss(), codes, z, None)
    more, same = kernels().mean_and_gradient(Weighted(), codes, z, None)
    assert more == pytest.approx(3 * value)
    np.testing.assert_allclose(same, gradient)


def test_optimizer_can_override_decay():
    class Shrinking(AdamW):
        def decay(self, theta, state, lr):
            theta *= 0.5

    theta, optimizer = np.ones(2), Shrinking(weight_decay=0.1)
    optimizer.step(theta, np.zeros(2), optimizer.init(theta))
    np.testing.assert_array_equal(theta, 0.5)
