"""User-defined components with output of the wrong shape raise the same errors in both backends."""

import subprocess
import sys

import numpy as np
import pytest

from sknn_adam import MLPClassifier, MLPRegressor
from sknn_adam._backends import loops as _loops
from sknn_adam._backends.compilation import loop_kernel
from sknn_adam._backends.kernels import Stream
from sknn_adam._backends.numba_backend import FusedKernels
from sknn_adam.activations import Activation, PReLU
from sknn_adam.averaging import EMA
from sknn_adam.clipping import Clipping
from sknn_adam.initializers import Initializer
from sknn_adam.losses import RegressionLoss
from sknn_adam.optimizers import SGD, Adam

X = np.random.default_rng(0).normal(size=(60, 4))


@pytest.fixture(params=["numpy", "fused"])
def kernels(request, monkeypatch):
    if request.param == "fused":
        pytest.importorskip("numba")
    monkeypatch.setenv("SKNN_ADAM_KERNELS", request.param)


def fit(**params):
    model = MLPRegressor((5,), max_iter=3, batch_size=20, random_state=0, **params)
    return model.fit(X, X[:, :2])


def fails(match, error=ValueError, **params):
    with pytest.raises(error, match=match):
        fit(**params)


class Square(RegressionLoss):
    def value(self, y, z):
        return ((z - y) ** 2 / 2).sum(axis=-1)

    def gradient(self, y, z):
        return z - y


class FlatGradient(Square):
    def gradient(self, y, z):
        return (z - y)[..., :1]


class ValuePerOutput(Square):
    def value(self, y, z):
        return (z - y) ** 2


class MeanValue(Square):
    def value(self, y, z):
        return ((z - y) ** 2).mean()


class NoGradient(Square):
    def gradient(self, y, z):
        pass


class Both(RegressionLoss):
    def value_and_gradient(self, y, z):
        return ((z - y) ** 2).sum(axis=-1), (z - y).sum(axis=-1)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (FlatGradient(), r"The gradient of FlatGradient .* shape \(20, 2\)\. Got shape \(20, 1\)"),
        (ValuePerOutput(), r"The value of ValuePerOutput .* \(20,\)\. Got shape \(20, 2\)"),
        (MeanValue(), r"The value of MeanValue .* shape \(20,\)\. Got shape \(\)"),
        (NoGradient(), r"The gradient of NoGradient .* \(20, 2\)\. Got a NoneType"),
        (Both(), r"The gradient of Both .* shape \(20, 2\)\. Got shape \(20,\)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_losses_of_the_wrong_shape_raise(loss, message):
    fails(message, loss=loss, record=False)


@pytest.mark.usefixtures("kernels")
def test_gradient_that_is_the_target_array_is_not_modified():
    class Linear(RegressionLoss):
        """The product y z, whose gradient is y."""

        target_scaling = None

        def value(self, y, z):
            return (y * z).sum(axis=-1)

        def gradient(self, y, z):
            return y

    pytest.importorskip("numba")
    y, z = X[:, :1].copy(), X[:, 1:2].copy()
    _, gradient = FusedKernels().mean_and_gradient(Linear(), y, z, None)
    np.testing.assert_array_equal(y, X[:, :1])
    np.testing.assert_allclose(gradient, X[:, :1] / 60)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("other", [np.float64, np.int64])
def test_gradient_of_another_dtype_is_cast(other):
    class Sign(Square):
        def gradient(self, y, z):
            return np.sign(z - y).astype(other)

    class Same(Square):
        def gradient(self, y, z):
            return np.sign(z - y)

    weights = [fit(loss=loss(), dtype="float32").coefs_[0] for loss in (Sign, Same)]
    np.testing.assert_array_equal(*weights)


class Largest(Activation):
    def __call__(self, z):
        return z.max(axis=-1, keepdims=True)

    def derivative(self, z, a):
        return np.ones_like(z)


class SlopePerUnit(Largest):
    def __call__(self, z):
        return np.sin(z)

    def derivative(self, z, a):
        return np.ones(z.shape[-1])


class ConstantSlope(SlopePerUnit):
    def derivative(self, z, a):
        return 1.0


class NarrowPReLU(PReLU):
    def learned_derivative(self, z):
        return z[..., :1]


@pytest.mark.usefixtures("kernels")
def test_activations_of_the_wrong_shape_raise():
    fails(r"The value of Largest .* \(20, 5\)\. Got shape \(20, 1\)", activation=Largest())
    message = r"The derivative of SlopePerUnit .* \(20, 5\)\. Got shape \(5,\)"
    fails(message, activation=SlopePerUnit())
    fails("The derivative by the parameter of NarrowPReLU", activation=NarrowPReLU())
    # A number is valid: the slope is the same everywhere.
    fit(activation=ConstantSlope())


class OneColumn(Initializer):
    def __call__(self, fan_in, fan_out, rng):
        return rng.normal(size=(fan_in, 1))


class OneNumber(Initializer):
    def __call__(self, fan_in, fan_out, rng):
        return 0.1


class OneBias(Initializer):
    def __call__(self, fan_in, fan_out, rng):
        return np.zeros((fan_in, fan_out))

    def bias(self, fan_in, fan_out, rng):
        return np.zeros(1)


def test_initial_weights_of_the_wrong_shape_raise():
    message = r"The weight matrix of OneColumn .* \(4, 5\)\. Got shape \(4, 1\)"
    fails(message, initializer=OneColumn())
    fails("The weight matrix of OneNumber .* Got a float", initializer=OneNumber())
    fails("The bias vector of OneBias .* Got shape", bias_initializer=OneBias())
    fails("The weight matrix of OneColumn", initializer=OneColumn(), n_members=2)


class NewGradient(Clipping):
    def __call__(self, grad, layout=None):
        return np.clip(grad, -1e-3, 1e-3)


class View(Clipping):
    def __call__(self, grad, layout=None):
        np.clip(grad, -1e-3, 1e-3, out=grad)
        return grad[:]


class NewWeights(SGD):
    def step(self, theta, grad, state, lr_scale=1.0):
        return theta - 0.1 * grad


class NewAverage(EMA):
    def update(self, average, theta, t, kernels=None):
        return (average + theta) / 2


@pytest.mark.usefixtures("kernels")
def test_in_place_methods_that_return_a_new_array_raise():
    in_place = "must change its array in place. It returned a new ndarray"
    fails(f"NewGradient.__call__ {in_place}", TypeError, gradient_clip=NewGradient())
    fails(f"NewWeights.step {in_place}", TypeError, optimizer=NewWeights())
    fails(f"NewAverage.update {in_place}", TypeError, averaging=NewAverage())
    fit(gradient_clip=View())


class RuleOfSums(SGD):
    """A rule that is not elementwise."""

    slots = ()

    @staticmethod
    def rule(g, lr):
        return (lr * np.ones(3),)

    def scalars(self, t, lr):
        return (lr,)


@pytest.mark.usefixtures("kernels")
def test_rules_of_the_wrong_shape_raise():
    fails(
        r"The result of the rule of .*RuleOfSums\.rule .* Got shape \(3,\)", optimizer=RuleOfSums()
    )


# -- sizes that would make loops write out of bounds ---------------------------------------------

SLOTS = [
    "np.zeros(3, theta.dtype)",
    "np.zeros(theta.size + 9, theta.dtype)",
    "np.zeros(0, theta.dtype)",
    "np.zeros((theta.size, 2), theta.dtype)",
    "np.zeros(theta.size, int)",
    "0.0",
]

FIT = """
import numpy as np
from sknn_adam import MLPRegressor
from sknn_adam.optimizers import Adam

class Mine(Adam):
    def init(self, theta, layout=None):
        state = super().init(theta, layout)
        state.v = eval(slot)
        return state

X = np.random.default_rng(0).normal(size=(400, 30))
for slot in {slots}:
    for members in (1, 2):
        try:
            MLPRegressor((100,), optimizer=Mine(), max_iter=20, n_members=members).fit(X, X[:, 0])
        except ValueError as error:
            print(error)
"""


@pytest.mark.usefixtures("kernels")
def test_slots_of_the_wrong_size_raise():
    """Run in a separate process, because an unchecked size crashes it or corrupts its memory."""
    script = FIT.format(slots=SLOTS)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2 * len(SLOTS)
    assert all(line.startswith("The slot 'v' of Mine must be an array of") for line in lines)


def test_strided_float64_slots_give_the_same_weights(kernels):
    class Strided(Adam):
        def init(self, theta, layout=None):
            state = super().init(theta, layout)
            state.m = np.zeros(2 * theta.size, np.float64)[::2]
            return state

    weights = [fit(optimizer=optimizer()).coefs_[0] for optimizer in (Adam, Strided)]
    np.testing.assert_allclose(*weights, rtol=1e-6)


# Valid arguments of every loop. The test shortens one array.
CALLS = {
    "add_bias": lambda r: [r(2, 4, 3), r(2, 3)],
    "blend": lambda r: [r(2, 5), r(2, 5), Stream(float, 2)],
    "clip_norm": lambda r: [r(2, 5), r(2, 3), np.array([2]), r(1)],
    "clip_value": lambda r: [r(2, 5), r(1)],
    "column_sums": lambda r: [r(2, 4, 3), r(2, 3)],
    "gather": lambda r: [r(1, 6, 3), Stream(int, 3), r(1, 3, 3)],
    "gather_columns": lambda r: [r(3, 6), Stream(int, 3), r(3, 3)],
    "join_norms": lambda r: [r(2, 5), r(2)],
    "label_log_loss": lambda r: [r(2, 4, 3), r(4, 3), r(1, 4), r(2), r(2, 4, 3), np.zeros(2)],
    "scale_units": lambda r: [r(2, 4, 3), r(2, 4, 3)],
    "vector_norm": lambda r: [r(2, 5), r(2, 3), np.array([2])],
    "penalize": lambda r: [r(2, 6), r(2), r(2, 6), np.zeros(2)],
    "softmax_log_loss": lambda r: [
        *[r(2, 4, 3), CODES, r(1, 4), r(2), r(2, 4, 3)],
        *[np.zeros(2), r(2, 3, 4), r(2, 3, 4)],
    ],
    "squared_error": lambda r: [r(2, 4, 3), r(1, 4, 3), r(1, 4), r(2), r(2, 4, 3), np.zeros(2)],
    "store": lambda r: [r(2, 5), Stream(float, 1), Stream(float, 2, 5)],
}
CODES = np.array([0, 2, 1, 2])
# What the plain loops get in place of a stream: row numbers, or any numbers.
READ = np.array([0, 5, 2])


@pytest.mark.parametrize("name", _loops.__all__)
def test_kernels_check_their_arrays_when_they_are_bound(name, rng):
    pytest.importorskip("numba")
    kernel = loop_kernel(name, np.dtype(np.float64), np.dtype(float))

    def arrays():
        return CALLS[name](lambda *shape: rng.random(shape))

    kernel.bind(*arrays())
    assert len(kernel.arguments) == len(arrays())
    out_of_bounds = 0
    for i, array in enumerate(arrays()):
        if isinstance(array, Stream):
            continue
        strided = np.repeat(array, 2, axis=-1)[..., ::2]
        for wrong in (array.astype(np.float16), array[..., None], strided):
            # A single element is always contiguous.
            if wrong.size == 1 and wrong is strided:
                continue
            values = arrays()
            values[i] = wrong
            with pytest.raises(ValueError, match=f"kernel {name} must be a C-contiguous array"):
                kernel.bind(*values)
        for axis, size in enumerate(kernel.arguments[i].sizes):
            # The ranges of row numbers, class codes and columns are checked elsewhere.
            lengths = () if size in "ra" else (array.shape[axis] - 1, 0)
            for length in lengths:
                values = arrays()
                values[i] = np.ascontiguousarray(np.take(array, range(length), axis=axis))
                plain = [READ.copy() if isinstance(v, Stream) else v.copy() for v in values]
                # Compiled loops do not notice indices out of bounds.
                try:
                    getattr(_loops, name)(*plain)
                except ZeroDivisionError:
                    continue
                except IndexError:
                    out_of_bounds += 1
                    with pytest.raises(ValueError, match=f"of the kernel {name} must be"):
                        kernel.bind(*values)
    assert out_of_bounds >= 1


def test_rule_with_short_slots_raises_outside_a_network():
    pytest.importorskip("numba")
    with pytest.raises(ValueError, match="must be as long as theta"):
        FusedKernels().update(
            lambda g, m, lr: (lr * g, m + g), np.zeros(500), np.ones(500), [np.zeros(3)], (0.1,)
        )


@pytest.mark.usefixtures("kernels")
def test_shape_checks_accept_a_classifier_with_members():
    model = MLPClassifier((5,), max_iter=3, n_members=2, random_state=0).fit(X, X[:, 0] > 0)
    assert model.predict(X).shape == (60,)
