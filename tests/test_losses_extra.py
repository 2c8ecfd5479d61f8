"""Properties of single losses: relations, extreme raw outputs, levels and domains."""

import numpy as np
import pytest
from rows import central_differences, load_golden
from sklearn.metrics import log_loss, mean_pinball_loss

from sknn_adam.losses import (
    AbsoluteError,
    FocalLoss,
    GammaLoss,
    GaussianLoss,
    HuberLoss,
    LogLoss,
    PoissonLoss,
    QuantileLoss,
    RegressionLoss,
    SquaredError,
    TweedieLoss,
)

LEVELS = (0.1, 0.5, 0.9)

# -- relations -----------------------------------------------------------------------------------


def test_tiny_focal_loss_keeps_full_precision():
    numbers = load_golden("losses")["losses"]["focal"]
    z, y = np.array(numbers["z"])[:, None], np.array(numbers["y"])
    value, gradient = FocalLoss(gamma=2.0).value_and_gradient(y, z)
    assert value.min() < 1e-38
    np.testing.assert_allclose(value, numbers["rows"], rtol=1e-11)
    np.testing.assert_allclose(gradient[:, 0], numbers["grad_z"], rtol=1e-11)


def test_loss_of_several_levels_is_the_sum(rng):
    y, z = rng.normal(size=(50, 1)), rng.normal(size=(50, 3))
    expected = sum(mean_pinball_loss(y[:, 0], z[:, k], alpha=LEVELS[k]) for k in range(3))
    assert QuantileLoss(level=LEVELS).mean(y, z) == pytest.approx(expected, rel=1e-13)
    for level in (LEVELS, list(LEVELS), np.array(LEVELS)):
        one_by_one = [QuantileLoss(LEVELS[k]).gradient(y, z[:, [k]]) for k in range(3)]
        np.testing.assert_array_equal(QuantileLoss(level).gradient(y, z), np.hstack(one_by_one))


def test_smoothed_binary_log_loss_equals_two_classes(rng):
    y, z = rng.integers(0, 2, 20), rng.normal(size=(20, 1))
    loss, two = LogLoss(label_smoothing=0.3), np.hstack([np.zeros_like(z), z])
    np.testing.assert_allclose(loss.value(y, z), loss.value(y, two), rtol=1e-13)
    np.testing.assert_allclose(loss.gradient(y, z), loss.gradient(y, two)[:, 1:], atol=1e-15)
    labels = (y == 1).astype(float)[:, None]
    np.testing.assert_array_equal(loss.value(y, z), loss.value(labels, z))
    # A mixture of the log losses of both classes.
    p, fraction = loss.predict(z), 0.3 / 2
    mixed = (1 - fraction) * log_loss(y, p) + fraction * log_loss(1 - y, p)
    assert loss.mean(y, z) == pytest.approx(mixed, rel=1e-12)


def test_multiclass_focal_loss_matches_a_hand_computed_value():
    z = np.log([[1.0, 2.0, 5.0]])  # probabilities 1/8, 2/8, 5/8
    value = FocalLoss(gamma=2.0).value(np.array([2]), z)
    np.testing.assert_allclose(value, (3 / 8) ** 2 * np.log(8 / 5), rtol=1e-14)


def test_tweedie_loss_interpolates_between_poisson_and_gamma(rng):
    y, z = rng.gamma(2.0, 1.0, (30, 1)), rng.normal(size=(30, 1))
    for power, limit in ((1 + 1e-9, PoissonLoss()), (2 - 1e-9, GammaLoss())):
        gradient = TweedieLoss(power).gradient(y, z)
        np.testing.assert_allclose(gradient, limit.gradient(y, z), atol=1e-6)


# -- extreme raw outputs -------------------------------------------------------------------------

FAR = [-1e4, -100.0, -35.0, -30.5, -25.0, -20.5, 35.0, 30.5, 40.5, 45.0, 100.0, 1e4]
BENT = [
    pytest.param(PoissonLoss(), id="poisson"),
    pytest.param(GammaLoss(), id="gamma"),
    pytest.param(TweedieLoss(power=1.5), id="tweedie-1.5"),
    pytest.param(TweedieLoss(power=1.05), id="tweedie-1.05"),
    pytest.param(GaussianLoss(), id="gaussian"),
    pytest.param(QuantileLoss(LEVELS), id="quantiles"),
    pytest.param(FocalLoss(), id="focal"),
    pytest.param(LogLoss(label_smoothing=0.1), id="smoothed"),
]


@pytest.mark.parametrize("loss", BENT)
@pytest.mark.parametrize("far", FAR)
def test_gradient_matches_central_differences_for_extreme_raw_outputs(loss, far):
    z = np.full((2, loss.n_raw(1)), 0.3)
    z[:, -1] = far
    y = np.array([[1.0], [0.5]]) if loss.task == "regression" else np.array([[1.0], [0.0]])
    value, gradient = loss.value_and_gradient(y, z)
    slopes = central_differences(lambda: loss.value(y, z).sum(), z)
    scale = max(np.abs(value).max(), np.abs(gradient).max())
    np.testing.assert_allclose(gradient, slopes, rtol=1e-7, atol=1e-11 * scale)


@pytest.mark.parametrize("loss", BENT)
def test_float32_and_float64_agree_for_extreme_raw_outputs(loss):
    z = np.repeat([[-1e4], [-100.0], [-25.0], [0.5], [25.0], [100.0], [1e4]], loss.n_raw(1), axis=1)
    y = np.ones((7, 1))
    for single, double in zip(
        loss.value_and_gradient(y.astype(np.float32), z.astype(np.float32)),
        loss.value_and_gradient(y, z),
        strict=True,
    ):
        assert single.dtype == np.float32
        assert np.isfinite(single).all()
        np.testing.assert_allclose(single, double, rtol=3e-5, atol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_focal_loss_is_finite_for_every_gamma(gamma, dtype):
    z = np.array([[-1e4, 1e4, 0], [1e4, -1e4, -1e4], [0, 0, 0], [40, 0, -40]], dtype)
    for y in (0, 1, 2):
        for value in FocalLoss(gamma).value_and_gradient(np.full(4, y), z):
            assert np.isfinite(value).all()
    for value in FocalLoss(gamma).value_and_gradient(np.array([0, 1, 0, 1]), z[:, :1]):
        assert np.isfinite(value).all()


def test_losses_with_a_log_link_have_a_gradient_for_extreme_raw_outputs():
    z = np.array([[-1e4], [1e4]])
    for loss in (PoissonLoss(), GammaLoss(), TweedieLoss()):
        low, high = loss.gradient(np.ones((2, 1)), z)[:, 0]
        assert low < -0.5
        assert high > 0.5
        predicted = loss.predict(z)
        assert (predicted > 0).all()
        np.testing.assert_allclose(predicted[:, 0], [np.exp(-30), np.exp(30)])


def test_variance_is_bounded_monotonic_and_smooth():
    loss, u = GaussianLoss(), np.concatenate([np.linspace(-60, 80, 100_001), [-1e4, 1e4]])
    u.sort()
    z = np.stack([np.zeros_like(u), u], axis=1)
    s = 2 * np.log(loss.deviation(z)[:, 0])
    assert -21 <= s.min() < -20.9
    assert 40.9 < s.max() <= 41
    assert (np.diff(s) >= -1e-13).all()
    inside = (u >= -20) & (u <= 40)
    np.testing.assert_allclose(s[inside], u[inside], rtol=1e-12, atol=1e-12)
    # For an error of 0, this is the slope of s.
    slope = 2 * loss.gradient(np.zeros((len(u), 1)), z)[:, 1]
    assert np.abs(np.diff(slope)).max() < 0.01


# -- levels --------------------------------------------------------------------------------------


def test_quantiles_never_cross(rng):
    loss = QuantileLoss(LEVELS)
    z = rng.normal(size=(4, 100, 3)) * 10.0 ** rng.integers(-3, 5, (4, 100, 1))
    predicted = loss.predict(z)
    assert (np.diff(predicted, axis=-1) >= 0).all()
    np.testing.assert_array_equal(loss.point(z), predicted[..., 1:2])
    y = rng.normal(size=(100, 1))
    assert (loss.mean(y, predicted) <= loss.mean(y, z)).all()


@pytest.mark.parametrize(
    ("level", "n_outputs", "expected"), [(0.3, 1, 1), (0.3, 2, 2), ((0.3,), 2, 2), (LEVELS, 1, 3)]
)
def test_number_of_raw_outputs_of_quantiles(level, n_outputs, expected, rng):
    loss = QuantileLoss(level)
    loss.validate()
    assert loss.n_raw(n_outputs) == expected
    # Unlike levels, outputs are not sorted.
    if np.size(level) == 1:
        z = rng.normal(size=(20, n_outputs))
        np.testing.assert_array_equal(loss.predict(z), z)
        np.testing.assert_array_equal(loss.point(z), z)


@pytest.mark.parametrize(("level", "column"), [((0.1, 0.4), 1), ((0.45, 0.8, 0.9), 0)])
def test_point_is_the_level_nearest_to_the_median(level, column, rng):
    z = np.sort(rng.normal(size=(20, len(level))), axis=1)
    np.testing.assert_array_equal(QuantileLoss(level).point(z), z[:, [column]])


@pytest.mark.parametrize(
    "level",
    [0, 1.0, -0.5, np.nan, None, "0.5", True, (), (0.5, 0.5), (0.9, 0.1), (0.1, 1.0), ("a", "b")]
    + [((0.1, 0.2), (0.3, 0.4)), np.array(0.5), {0.5}],
    ids=repr,
)
def test_invalid_levels_raise(level):
    with pytest.raises(ValueError, match="The 'level' parameter of QuantileLoss must be a float"):
        QuantileLoss(level).validate()


@pytest.mark.parametrize("level", [0.5, np.float64(0.5), np.float32(0.5), [0.2, 0.3], (0.2, 0.3)])
def test_valid_levels_are_accepted(level):
    QuantileLoss(level).validate()


# -- domains and scales --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        (PoissonLoss(), [1, -0.5, -2], "PoissonLoss needs .* y >= 0 with a positive sum. .* -2"),
        (PoissonLoss(), [0, 0, 0], "PoissonLoss needs .* y >= 0 with a positive sum. .*output 0"),
        (TweedieLoss(), [1, -0.5, -2], "TweedieLoss needs .* y >= 0 with a positive sum. .* -2"),
        (TweedieLoss(), [0, 0, 0], "TweedieLoss needs .* y >= 0 with a positive sum. .*output 0"),
        (GammaLoss(), [1, 0, 2], r"GammaLoss needs targets y > 0. The smallest y is 0\."),
        (GammaLoss(), [1, -0.25, 2], r"GammaLoss needs targets y > 0. The smallest y is -0\.25\."),
    ],
)
def test_targets_outside_the_domain_raise(loss, y, message):
    with pytest.raises(ValueError, match=message):
        loss.check_targets(np.array(y, float)[:, None])


def test_later_batches_can_be_all_zeros():
    for loss in (PoissonLoss(), TweedieLoss()):
        loss.check_targets(np.zeros((3, 1)), first=False)
        with pytest.raises(ValueError, match="The smallest y is -1"):
            loss.check_targets(np.full((3, 1), -1.0), first=False)
        with pytest.raises(ValueError, match="Every y of output 1 is 0"):
            loss.check_targets(np.array([[1.0, 0.0]]))


def test_other_losses_accept_any_target(rng):
    for loss in (SquaredError(), AbsoluteError(), HuberLoss(), QuantileLoss(), GaussianLoss()):
        loss.check_targets(rng.normal(size=(5, 2)))
        loss.check_targets(np.zeros((5, 2)))


@pytest.mark.parametrize("size", [1e-150, 1.0, 1e150, 1e306])
def test_scaling_uses_weighted_moments(size, rng):
    y, weight = size * rng.gamma(1.0, 2.0, (30, 2)), rng.integers(1, 4, 30)
    repeated = np.repeat(y, weight, axis=0) / size
    for loss, shift, scale in (
        (SquaredError(), repeated.mean(axis=0), repeated.std(axis=0)),
        (GammaLoss(), 0, repeated.mean(axis=0)),
    ):
        for actual, expected in zip(loss.scaling(y, weight), (shift, scale), strict=True):
            np.testing.assert_allclose(actual, size * expected * np.ones(2), rtol=1e-12)


def test_constant_targets_have_scale_one():
    shift, scale = SquaredError().scaling(np.array([[3.0, 1.0], [3.0, 2.0]]))
    np.testing.assert_array_equal(shift, [3, 1.5])
    np.testing.assert_array_equal(scale, [1, 0.5])
    np.testing.assert_array_equal(PoissonLoss().scaling(np.zeros((3, 1))), [[0], [1]])


# -- user-defined losses -------------------------------------------------------------------------


def test_value_and_gradient_can_be_defined_together_or_separately(rng):
    class Together(RegressionLoss):
        def value_and_gradient(self, y, z):
            return ((z - y) ** 4).sum(axis=-1), 4 * (z - y) ** 3

    class Apart(RegressionLoss):
        def value(self, y, z):
            return ((z - y) ** 4).sum(axis=-1)

        def gradient(self, y, z):
            return 4 * (z - y) ** 3

    y, z = rng.normal(size=(2, 5, 2))
    weight = np.array([0.0, 1.0, 2.0, 1.0, 1.0])
    one, other = Together().mean_and_gradient(y, z, weight), Apart().mean_and_gradient(y, z, weight)
    assert one[0] == other[0]
    np.testing.assert_array_equal(one[1], other[1])
    np.testing.assert_array_equal(Together().gradient(y, z), Apart().gradient(y, z))
    np.testing.assert_array_equal(Together().value(y, z), Apart().value(y, z))
