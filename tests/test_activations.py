import numpy as np
import pytest
from rows import (
    ACTIVATIONS,
    central_differences,
    distance_to_kinks,
    load_golden,
    with_numpy_numbers,
)

from sknn_adam import activations
from sknn_adam.initializers import INITIALIZERS

GOLDEN = [
    pytest.param(name, numbers, id=name)
    for name, numbers in load_golden("activations")["activations"].items()
    if name in activations.ACTIVATIONS
]


@pytest.mark.parametrize(("name", "numbers"), GOLDEN)
def test_value_and_derivative_match_torch(name, numbers):
    activation = activations.ACTIVATIONS.make(name)
    x = np.array(numbers["x"])
    a = activation(x)
    np.testing.assert_allclose(a, numbers["value"], rtol=1e-13, atol=1e-15)
    derivative = activation.derivative(x, a)
    np.testing.assert_allclose(derivative, numbers["derivative"], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_derivative_matches_central_differences(activation):
    z = np.linspace(-6, 6, 241) + 0.001
    z = z[[distance_to_kinks(activation, x) > 0.01 for x in z]]
    derivative = activation.derivative(z.copy(), activation(z.copy())) * 1.0
    sums = central_differences(lambda: activation(z.copy()).sum(), z)
    np.testing.assert_allclose(derivative, sums, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(5,), (4, 3), (2, 4, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shape_and_dtype_are_preserved(activation, shape, dtype, rng):
    activation = with_numpy_numbers(activation)
    z = rng.normal(size=shape).astype(dtype)
    a = activation(z)
    assert (a.shape, a.dtype) == (shape, dtype)
    g = np.ones(shape, dtype)

    # Training multiplies in place like this.
    g *= activation.derivative(z, a)
    assert np.shape(activation.derivative(z, a)) == shape
    assert (g * activation.derivative(z, a)).dtype == dtype


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_apply_also_works_in_place(activation, dtype, rng):
    z = rng.normal(size=(4, 3)).astype(dtype)
    value, out = activation(z.copy()), np.full_like(z, np.nan)
    activation.apply(z, out)
    np.testing.assert_array_equal(out, value)
    activation.apply(z, z)
    np.testing.assert_array_equal(z, value)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_derivative_does_not_modify_z(activation, rng):
    z = rng.normal(size=(4, 3))
    kept = z.copy()
    activation.derivative(z, activation(z))
    np.testing.assert_array_equal(z, kept)


@pytest.mark.parametrize("activation", [row for row in ACTIVATIONS if not row.values[0].needs_z])
def test_derivative_accepts_none_for_an_unneeded_z(activation):
    z = np.linspace(-5, 5, 100)
    a = activation(z.copy())
    np.testing.assert_array_equal(activation.derivative(None, a), activation.derivative(z, a))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_arguments_give_finite_values(activation, dtype):
    z = np.array([-1e4, -700, -90, 0, 90, 700, 1e4], dtype)
    a = activation(z.copy())
    assert np.isfinite(a).all()
    derivative = activation.derivative(z, a) * 1.0
    assert np.isfinite(derivative).all()
    # No activation is steep.
    assert np.abs(derivative).max() < 10


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_default_initializer_of_an_activation_is_a_valid_name(activation):
    assert activation.initializer in INITIALIZERS
    assert not INITIALIZERS.make(activation.initializer).follows_activation
