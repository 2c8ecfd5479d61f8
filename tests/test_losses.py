import numpy as np
import pytest
from rows import LOSSES_AND_TARGETS, central_differences, load_golden, n_raw, smooth_targets
from scipy.stats import norm
from sklearn.metrics import (
    log_loss,
    mean_absolute_error,
    mean_pinball_loss,
    mean_squared_error,
    mean_tweedie_deviance,
)

from sknn_adam.losses import (
    AbsoluteError,
    ClassificationLoss,
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

# Entries of losses.json, each with the loss that reproduces it.
GOLDEN = {
    "cross_entropy": LogLoss(),
    "cross_entropy_smoothed": LogLoss(label_smoothing=0.1),
    "binary_cross_entropy": LogLoss(),
    "multilabel_cross_entropy": LogLoss(),
    "focal": FocalLoss(gamma=2.0),
    "gaussian_nll": GaussianLoss(),
    "poisson_nll": PoissonLoss(),
    "huber_delta_1.0": HuberLoss(delta=1.0),
    "huber_delta_0.5": HuberLoss(delta=0.5),
}
REGRESSION = [row for row in LOSSES_AND_TARGETS if isinstance(row.values[0], RegressionLoss)]
CLASSIFICATION = [
    row for row in LOSSES_AND_TARGETS if isinstance(row.values[0], ClassificationLoss)
]


def problem(loss, target_type, rng, n_samples=6, dtype=np.float64):
    """Return targets and raw outputs."""
    z = 2 * rng.normal(size=(n_samples, n_raw(loss, target_type))).astype(dtype)
    y = smooth_targets(loss, target_type, z, rng)
    return y.astype(dtype) if y.dtype.kind == "f" else y, z


# -- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GOLDEN)
def test_value_and_gradient_match_torch(name):
    numbers = load_golden("losses")["losses"][name]
    z, y = np.array(numbers["z"]), np.array(numbers["y"])
    expected = np.array(numbers["grad_z"]).reshape(len(y), -1)
    z = z.reshape(expected.shape)
    loss = GOLDEN[name]
    y = y.reshape(len(y), -1) if loss.task == "regression" else y
    np.testing.assert_allclose(loss.value(y, z), numbers["rows"], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(loss.gradient(y, z), expected, rtol=1e-12, atol=1e-14)


def test_log_loss_matches_scikit_learn(rng):
    y, z = problem(LogLoss(), "multiclass", rng, 12)
    p = LogLoss().predict(z)
    for i, value in enumerate(LogLoss().value(y, z)):
        expected = log_loss(y[i : i + 1], p[i : i + 1], labels=np.arange(4))
        assert value == pytest.approx(expected, rel=1e-12)
    y, z = problem(LogLoss(), "binary", rng, 12)
    assert LogLoss().mean(y, z) == pytest.approx(log_loss(y, LogLoss().predict(z)), rel=1e-12)
    y, z = problem(LogLoss(), "multilabel", rng, 12)
    p = LogLoss().predict(z, exclusive=False)
    columns = sum(log_loss(y[:, j], p[:, j]) for j in range(3))
    assert LogLoss().mean(y, z) == pytest.approx(columns, rel=1e-12)


@pytest.mark.parametrize(
    ("loss", "metric"),
    [
        (SquaredError(), lambda y, z: mean_squared_error(y, z) / 2),
        (AbsoluteError(), mean_absolute_error),
        (QuantileLoss(0.2), lambda y, z: mean_pinball_loss(y, z, alpha=0.2)),
    ],
)
def test_mean_matches_scikit_learn_summed_over_outputs(loss, metric, rng):
    y, z = problem(loss, "three-outputs", rng)
    assert loss.mean(y, z) == pytest.approx(3 * metric(y, z), rel=1e-13)


def test_losses_of_several_levels_are_summed(rng):
    loss, y = QuantileLoss(level=(0.1, 0.6)), rng.normal(size=(9, 1))
    z = rng.normal(size=(9, 2))
    expected = sum(mean_pinball_loss(y, z[:, k], alpha=a) for k, a in enumerate((0.1, 0.6)))
    assert loss.mean(y, z) == pytest.approx(expected, rel=1e-13)
    np.testing.assert_array_equal(loss.predict(z), np.sort(z, axis=1))
    assert QuantileLoss((0.1, 0.6)).point(np.array([[3.0, 5.0]])) == 5.0


@pytest.mark.parametrize(
    ("loss", "power"),
    [
        (PoissonLoss(), 1),
        (GammaLoss(), 2),
        (TweedieLoss(), 1.5),
        (TweedieLoss(power=1.2), 1.2),
    ],
)
def test_excess_loss_is_half_the_deviance_of_scikit_learn(loss, power, rng):
    y, z = rng.gamma(2.0, size=(8, 1)), rng.normal(size=(8, 1))
    excess = loss.mean(y, z) - loss.mean(y, np.log(y))
    deviance = mean_tweedie_deviance(y[:, 0], np.exp(z[:, 0]), power=power)
    assert excess == pytest.approx(deviance / 2, rel=1e-10)


def test_gaussian_loss_matches_the_log_likelihood_of_scipy(rng):
    y, z = rng.normal(size=(8, 3)), rng.normal(size=(8, 6))
    mean, deviation = z[:, :3], np.exp(z[:, 3:] / 2)
    expected = -norm.logpdf(y, mean, deviation).sum(axis=1) - 3 * np.log(2 * np.pi) / 2
    np.testing.assert_allclose(GaussianLoss().value(y, z), expected, rtol=1e-12)
    np.testing.assert_allclose(GaussianLoss().predict(z), mean)
    np.testing.assert_allclose(GaussianLoss().deviation(z), deviation)


@pytest.mark.parametrize("target_type", ["binary", "multiclass", "multilabel"])
def test_focal_loss_with_gamma_zero_is_the_log_loss(target_type, rng):
    y, z = problem(LogLoss(), target_type, rng)
    for actual, expected in zip(
        FocalLoss(gamma=0.0).value_and_gradient(y, z),
        LogLoss().value_and_gradient(y, z),
        strict=True,
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-15)


def test_focal_loss_of_two_classes_is_the_same_with_one_or_two_raw_outputs(rng):
    y, z = problem(FocalLoss(), "binary", rng)
    two = np.hstack([-z / 2, z / 2])
    np.testing.assert_allclose(FocalLoss().value(y, two), FocalLoss().value(y, z), rtol=1e-12)


def test_values_match_hand_computed_ones():
    coin = LogLoss().value(np.array([0, 1]), np.zeros((2, 1)))
    np.testing.assert_allclose(coin, np.log(2), rtol=1e-15)
    die = LogLoss().value(np.array([5, 0]), np.full((2, 6), -3.0))
    np.testing.assert_allclose(die, np.log(6), rtol=1e-15)
    squares = SquaredError().value(np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[4.0, 6.0]] * 2))
    np.testing.assert_allclose(squares, [(9 + 16) / 2, (16 + 36) / 2], rtol=1e-15)


# -- properties of every loss --------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "target_type"), LOSSES_AND_TARGETS)
def test_gradient_matches_central_differences(loss, target_type, rng):
    y, z = problem(loss, target_type, rng)
    gradient = loss.gradient(y, z.copy())
    assert gradient.shape == z.shape
    slopes = central_differences(lambda: loss.value(y, z).sum(), z)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("loss", "target_type"), LOSSES_AND_TARGETS)
@pytest.mark.parametrize("far", [-60.0, -33.0, 33.0, 60.0])
def test_gradient_matches_central_differences_for_large_raw_outputs(loss, target_type, far, rng):
    y, z = problem(loss, target_type, rng)
    z += far
    slopes = central_differences(lambda: loss.value(y, z).sum(), z)
    gradient = loss.gradient(y, z.copy())
    rounding = 1e-12 * (1 + np.abs(loss.value(y, z)).max())
    np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=rounding)


@pytest.mark.parametrize(("loss", "target_type"), LOSSES_AND_TARGETS)
@pytest.mark.parametrize("weighted", [False, True])
def test_mean_and_gradient_are_consistent(loss, target_type, weighted, rng):
    y, z = problem(loss, target_type, rng)
    weight = np.array([0.0, 3.0, 0.5, 1.0, 1.0, 0.5]) if weighted else None
    value, gradient = loss.mean_and_gradient(y, z.copy(), weight)
    assert value == pytest.approx(loss.mean(y, z, weight), rel=1e-14)
    slopes = central_differences(lambda: loss.mean(y, z, weight), z)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("loss", "target_type"), LOSSES_AND_TARGETS)
def test_value_and_gradient_equal_separate_calls(loss, target_type, rng):
    y, z = problem(loss, target_type, rng)
    value, gradient = loss.value_and_gradient(y, z)
    np.testing.assert_array_equal(value, loss.value(y, z))
    np.testing.assert_array_equal(gradient, loss.gradient(y, z))


@pytest.mark.parametrize(("loss", "target_type"), LOSSES_AND_TARGETS)
def test_integer_weights_equal_repeated_samples(loss, target_type, rng):
    y, z = problem(loss, target_type, rng, 4)
    weight = np.array([2.0, 0.0, 1.0, 1.0])
    rows = [0, 0, 2, 3]
    value, gradient = loss.mean_and_gradient(y, z, weight)
    repeated_value, repeated = loss.mean_and_gradient(y[rows], z[rows])
    assert value == pytest.approx(repeated_value, rel=1e-14)
    np.testing.assert_allclose(gradient[0], repeated[:2].sum(axis=0), rtol=1e-13)
    np.testing.assert_allclose(gradient[2:], repeated[2:], rtol=1e-13)
    assert not gradient[1].any()


@pytest.mark.parametrize(("loss", "target_type"), LOSSES_AND_TARGETS)
def test_constant_weights_scale_the_loss(loss, target_type, rng):
    y, z = problem(loss, target_type, rng)
    value, gradient = loss.mean_and_gradient(y, z)
    for factor in (1.0, 3.0):
        scaled, scaled_gradient = loss.mean_and_gradient(y, z, np.full(len(y), factor))
        assert scaled == pytest.approx(factor * value, rel=1e-14)
        np.testing.assert_allclose(scaled_gradient, factor * gradient, rtol=1e-13)


@pytest.mark.parametrize(("loss", "target_type"), LOSSES_AND_TARGETS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept_and_arguments_are_not_modified(loss, target_type, dtype, rng):
    y, z = problem(loss, target_type, rng, dtype=dtype)
    kept_y, kept_z = y.copy(), z.copy()
    value, gradient = loss.value_and_gradient(y, z)
    assert (value.dtype, value.shape) == (dtype, (len(y),))
    assert (gradient.dtype, gradient.shape) == (dtype, z.shape)
    for weight in (None, np.ones(len(y), dtype)):
        assert loss.mean_and_gradient(y, z, weight)[1].dtype == dtype
    assert loss.predict(z).dtype == dtype
    np.testing.assert_array_equal(y, kept_y)
    np.testing.assert_array_equal(z, kept_z)


@pytest.mark.parametrize(("loss", "target_type"), LOSSES_AND_TARGETS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_raw_outputs_give_finite_results(loss, target_type, dtype, rng):
    y, z = problem(loss, target_type, rng, 64, dtype)
    z = np.where(rng.random(z.shape) < 0.5, -1e4, 1e4).astype(dtype)
    value, gradient = loss.mean_and_gradient(y, z)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert np.isfinite(loss.value(y, z)).all()
    assert np.isfinite(loss.predict(z)).all()


@pytest.mark.parametrize(("loss", "target_type"), LOSSES_AND_TARGETS)
@pytest.mark.parametrize("weighted", [False, True])
def test_members_are_independent(loss, target_type, weighted, rng):
    y, z = problem(loss, target_type, rng)
    members = np.stack([z, -z, 3 * z])
    weight = np.array([0.0, 3.0, 0.5, 1.0, 1.0, 0.5]) if weighted else None
    value, gradient = loss.mean_and_gradient(y, members.copy(), weight)
    assert value.shape == (3,)
    for k, member in enumerate(members):
        alone_value, alone = loss.mean_and_gradient(y, member.copy(), weight)
        assert value[k] == pytest.approx(alone_value, rel=1e-14)
        np.testing.assert_allclose(gradient[k], alone, rtol=1e-13)
        np.testing.assert_allclose(loss.predict(members)[k], loss.predict(member), rtol=1e-14)


@pytest.mark.parametrize(("loss", "target_type"), LOSSES_AND_TARGETS)
def test_single_sample_gives_the_same_as_in_a_batch(loss, target_type, rng):
    y, z = problem(loss, target_type, rng)
    value, gradient = loss.mean_and_gradient(y[2:3], z[2:3].copy())
    assert value == pytest.approx(loss.value(y, z)[2], rel=1e-14)
    np.testing.assert_allclose(gradient, loss.gradient(y, z)[2:3], rtol=1e-13)


# -- regression ----------------------------------------------------------------------------------

# Raw outputs of the best constant prediction.
BEST = [
    (SquaredError(), lambda y: [y.mean()]),
    (AbsoluteError(), lambda y: [np.median(y)]),
    (QuantileLoss(0.25), lambda y: [np.quantile(y, 0.25)]),
    (QuantileLoss((0.25, 0.75)), lambda y: np.quantile(y, [0.25, 0.75])),
    (HuberLoss(1e9), lambda y: [y.mean()]),
    (HuberLoss(1e-9), lambda y: [np.median(y)]),
    (GaussianLoss(), lambda y: [y.mean(), np.log(y.var())]),
    (PoissonLoss(), lambda y: [np.log(y.mean())]),
    (GammaLoss(), lambda y: [np.log(y.mean())]),
    (TweedieLoss(), lambda y: [np.log(y.mean())]),
]


@pytest.mark.parametrize(("loss", "best"), BEST)
def test_minimum_is_at_the_predicted_statistic(loss, best, rng):
    y = rng.gamma(2.0, size=(201, 1))
    z = np.tile(best(y), (201, 1))
    gradient = loss.mean_and_gradient(y, z)[1].sum(axis=0)
    # The gradient jumps at the sample that is the quantile.
    jump = 1 / 201 if isinstance(loss, QuantileLoss) else 0
    np.testing.assert_allclose(gradient, 0, atol=1e-12 + jump)
    value = loss.mean(y, z)
    for k in range(z.shape[1]):
        for step in (-0.1, 0.1):
            moved = z.copy()
            moved[:, k] += step
            assert loss.mean(y, moved) > value


@pytest.mark.parametrize(("loss", "target_type"), REGRESSION)
def test_raw_scaling_undoes_the_scaling_of_targets(loss, target_type, rng):
    y, z = problem(loss, target_type, rng)
    n_outputs = y.shape[1]
    scale = rng.uniform(0.5, 9, n_outputs)
    shift = np.zeros(n_outputs) if loss.target_scaling == "mean" else rng.normal(size=n_outputs)
    factor, offset = loss.raw_scaling(shift, scale)
    expected = loss.predict(z) * scale + shift
    np.testing.assert_allclose(loss.predict(z * factor + offset), expected, rtol=1e-12)
    expected = loss.point(z) * scale + shift
    assert expected.shape == y.shape
    np.testing.assert_allclose(loss.point(z * factor + offset), expected, rtol=1e-12)
    if isinstance(loss, GaussianLoss):
        deviation = loss.deviation(z * factor + offset)
        np.testing.assert_allclose(deviation, loss.deviation(z) * scale, rtol=1e-12)
    else:
        with pytest.raises(ValueError, match=r"return_std=True needs .* 'gaussian'"):
            loss.deviation(z)


@pytest.mark.parametrize(("loss", "target_type"), REGRESSION)
def test_targets_outside_the_domain_raise(loss, target_type, rng):
    y, _ = problem(loss, target_type, rng)
    loss.check_targets(y)
    bad = y.copy()
    bad[2, -1] = -1.0
    if loss.target_scaling != "mean":
        loss.check_targets(bad)
        return
    with pytest.raises(ValueError, match=rf"{type(loss).__name__} needs targets .* y is -1"):
        loss.check_targets(bad)
    bad[:, -1] = 0.0
    with pytest.raises(ValueError, match=f"{type(loss).__name__} needs targets"):
        loss.check_targets(bad)
    assert (loss.predict(np.array([[-1e4, 0.0, 1e4]])) > 0).all()


@pytest.mark.parametrize("level", [0.0, 1.0, "x", (), (0.5, 0.5), (0.9, 0.1), (0.1, 2.0), None])
def test_levels_out_of_range_raise(level):
    with pytest.raises(ValueError, match="The 'level' parameter of QuantileLoss must be"):
        QuantileLoss(level).validate()


# -- probabilities -------------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "target_type"), CLASSIFICATION)
def test_probabilities_are_valid_and_increase_with_raw_outputs(loss, target_type, rng):
    _, z = problem(loss, target_type, rng, 50)
    exclusive = target_type in ("binary", "multiclass")
    p = loss.predict(z, exclusive=exclusive)
    assert p.shape == (50, 2 if target_type == "binary" else z.shape[1])
    assert ((p >= 0) & (p <= 1)).all()
    if exclusive:
        np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-14)
    # A larger raw output gives a larger probability.
    for column in range(z.shape[1]):
        higher = z.copy()
        higher[:, column] += 1
        grown = column if target_type != "binary" else 1
        assert (loss.predict(higher, exclusive)[:, grown] > p[:, grown]).all()


def test_probabilities_match_hand_computed_ones():
    z = np.log([[1.0, 2.0, 5.0]])
    np.testing.assert_allclose(LogLoss().predict(z), [[0.125, 0.25, 0.625]], rtol=1e-15)
    odds = np.log([[3.0]])
    np.testing.assert_allclose(LogLoss().predict(odds), [[0.25, 0.75]], rtol=1e-15)
    np.testing.assert_allclose(LogLoss().predict(odds, exclusive=False), [[0.75]], rtol=1e-15)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("y", [[0, 1, 1, 1], [0, 1, 2, 2, 0, 2]], ids=["two", "three"])
def test_constant_loss_is_the_entropy(y, smoothing):
    """Also check a subclass, whose constant loss is computed from raw outputs."""

    class Same(LogLoss):
        pass

    y = np.array(y)
    fraction = np.bincount(y) / len(y)
    target = (1 - smoothing) * fraction + smoothing / len(fraction)
    entropy = -sum(t * np.log(p) for t, p in zip(target, fraction, strict=True))
    for loss in (LogLoss(smoothing), Same(smoothing)):
        assert loss.constant_loss(y) == pytest.approx(entropy, rel=1e-12)
