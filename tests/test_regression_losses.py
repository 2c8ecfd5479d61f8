"""Regressors with every loss: scales, inverse links, domains, and known distributions."""

from copy import deepcopy

import numpy as np
import pytest
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import (
    GammaRegressor,
    LinearRegression,
    PoissonRegressor,
    QuantileRegressor,
    TweedieRegressor,
)
from sklearn.metrics import (
    mean_absolute_error,
    mean_pinball_loss,
    mean_poisson_deviance,
    r2_score,
)
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils import get_tags

from sknn_adam import SGD, Adam, MLPClassifier, MLPRegressor
from sknn_adam.losses import REGRESSION_LOSSES, FocalLoss, LogLoss, QuantileLoss, TweedieLoss

LEVELS = (0.1, 0.5, 0.9)
POSITIVE = [name for name in REGRESSION_LOSSES if REGRESSION_LOSSES[name].target_scaling == "mean"]
LOSSES = [pytest.param(name, id=name) for name in REGRESSION_LOSSES]
LOSSES_AND_LEVELS = [*LOSSES, pytest.param(QuantileLoss(LEVELS), id="quantiles")]


def smooth(rng, n_samples=400, n_outputs=1):
    """Return features and positive targets with a little noise."""
    X = rng.uniform(-1, 1, (n_samples, 3))
    truth = np.exp(X[:, [0]] + X[:, [1]] ** 2 * np.arange(1, n_outputs + 1))
    y = truth * rng.gamma(100.0, 0.01, truth.shape)
    return X, y if n_outputs > 1 else y.ravel()


def regressor(loss, **params):
    """Return a small network that trains fast."""
    params = {"optimizer": Adam(learning_rate=0.01), "max_iter": 60, "batch_size": 50} | params
    return MLPRegressor(
        params.pop("hidden_layer_sizes", (16,)), loss=loss, random_state=0, tol=0, **params
    )


def linear(loss, **params):
    """Return a linear model at its optimum."""
    params = {"optimizer": "lbfgs", "alpha": 0, "dtype": "float64", "max_iter": 5000} | params
    params = {"averaging": None} | params
    return MLPRegressor((), loss=loss, tol=1e-12, random_state=0, **params)


# -- linear models of scikit-learn ---------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("target_scaling", [True, False])
@pytest.mark.parametrize(
    ("loss", "theirs"),
    [
        ("squared_error", LinearRegression()),
        ("poisson", PoissonRegressor(alpha=0, tol=1e-10, max_iter=5000)),
        ("gamma", GammaRegressor(alpha=0, tol=1e-10, max_iter=5000)),
        (
            TweedieLoss(power=1.3),
            TweedieRegressor(power=1.3, link="log", alpha=0, tol=1e-10, max_iter=5000),
        ),
    ],
    ids=["squared_error", "poisson", "gamma", "tweedie"],
)
def test_linear_models_match_scikit_learn(loss, theirs, target_scaling, weighted, rng):
    X, y = smooth(rng)
    weight = rng.integers(1, 4, len(y)) if weighted else None
    ours = linear(loss, target_scaling=target_scaling).fit(X, y, sample_weight=weight)
    theirs.fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(ours.coefs_[0][:, 0], theirs.coef_, atol=2e-4)
    np.testing.assert_allclose(ours.intercepts_[0][0], theirs.intercept_, atol=2e-4)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-3)


@pytest.mark.parametrize("level", [0.2, 0.5])
def test_linear_quantiles_match_scikit_learn(level, rng):
    X, y = smooth(rng)
    theirs = QuantileRegressor(quantile=level, alpha=0).fit(X, y)
    losses = [QuantileLoss(level), QuantileLoss((level, 0.95))]
    losses += ["absolute_error"] if level == 0.5 else []
    best = mean_pinball_loss(y, theirs.predict(X), alpha=level)
    for loss in losses:
        ours = linear(loss, optimizer=Adam(0.02), schedule="cosine", max_iter=150, batch_size=100)
        predicted = ours.fit(X, y).predict(X).reshape(len(y), -1)[:, 0]
        assert best <= mean_pinball_loss(y, predicted, alpha=level) < 1.005 * best


# -- scales --------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
def test_unit_of_the_targets_does_not_matter(loss, rng):
    X, y = smooth(rng)
    scores = [
        regressor(loss, max_iter=30).fit(X, factor * y).score(X, factor * y)
        for factor in (1.0, 1e4, 1e-4)
    ]
    assert min(scores) > 0.8
    assert max(scores) - min(scores) < 0.01


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("target_scaling", [True, False, np.False_])
def test_predictions_are_on_the_scale_of_the_targets(loss, target_scaling, rng):
    X, y = smooth(rng)
    y = y * (1 if not target_scaling else 100)
    model = regressor(loss, target_scaling=target_scaling).fit(X, y)
    assert model.predict(X).shape == y.shape
    assert r2_score(y, model.predict(X)) == model.score(X, y) > 0.85
    if loss in POSITIVE:
        assert model.predict(X).min() > 0
        assert model.predict(1e6 * X).min() > 0


@pytest.mark.parametrize("loss", LOSSES_AND_LEVELS)
@pytest.mark.parametrize("normalization", [None, "batch"])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_forward_pass_and_inverse_link_give_predictions(loss, normalization, n_outputs, rng):
    if isinstance(loss, QuantileLoss) and n_outputs == 2:
        pytest.skip("several levels require a single output")
    X, y = smooth(rng, 100, n_outputs)
    y = 1000 * y + (0 if loss in POSITIVE else 5e4)
    model = regressor(loss, normalization=normalization, max_iter=5).fit(X, y)
    (W1, W2), (b1, b2) = model.coefs_, model.intercepts_
    z = np.maximum(X @ W1 + b1, 0) @ W2 + b2
    assert model.out_activation_ == ("exp" if loss in POSITIVE else "identity")
    expected = np.exp(z) if model.out_activation_ == "exp" else z
    if loss == "gaussian":
        expected = z[:, :n_outputs]
        _, std = model.predict(X, return_std=True)
        np.testing.assert_allclose(
            std.reshape(100, -1), np.exp(z[:, n_outputs:] / 2), rtol=1e-9, atol=0
        )
    if isinstance(loss, QuantileLoss):
        expected = np.sort(z, axis=1)
    np.testing.assert_allclose(model.predict(X).reshape(100, -1), expected, rtol=1e-9)


@pytest.mark.parametrize("loss", LOSSES_AND_LEVELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_are_finite_and_have_the_dtype_of_X(loss, dtype, rng):
    X, y = smooth(rng, 60)
    model = regressor(loss, max_iter=2, dtype="float32").fit(X, (1e30 * y).astype(np.float32))
    for size in (1, 1e10, 1e35):
        predicted = model.predict((size * X).astype(dtype))
        assert predicted.dtype == dtype
        assert np.isfinite(predicted).all()


def test_scaling_is_frozen_at_the_first_partial_fit(rng):
    X, y = smooth(rng, 40)
    for loss in ("squared_error", "poisson"):
        model = regressor(loss).partial_fit(X, y)
        kept = model._targets.shift.copy(), model._targets.scale.copy()
        model.partial_fit(X, 1000 * y)
        np.testing.assert_array_equal(kept, (model._targets.shift, model._targets.scale))


# -- domains -------------------------------------------------------------------------------------

WRONG = [
    ("poisson", [1, -3, 0.5, 2], "PoissonLoss needs targets y >= 0 with a positive sum.*-3"),
    ("poisson", [0, 0, 0, 0], "PoissonLoss needs targets y >= 0 with a positive sum"),
    ("gamma", [1, 0, 0.5, 2], "GammaLoss needs targets y > 0. The smallest y is 0"),
    ("tweedie", [1, -3, -0.5, 2], "TweedieLoss needs targets y >= 0.*-3"),
    (QuantileLoss(LEVELS), np.ones((4, 2)), "several levels predicts one output, but y has 2"),
]


@pytest.mark.parametrize("target_scaling", [True, False])
@pytest.mark.parametrize(("loss", "y", "message"), WRONG)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_invalid_targets_leave_the_estimator_unchanged(
    loss, y, message, target_scaling, method, rng
):
    X = rng.normal(size=(4, 2))
    model = regressor(loss, target_scaling=target_scaling)
    before = deepcopy(vars(model))
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(X, y)
    assert vars(model).keys() == before.keys()
    model.partial_fit(X, [1.0, 2.0, 1.5, 3.0])
    predicted, n_steps = model.predict(X), model.n_steps_
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    np.testing.assert_array_equal(model.predict(X), predicted)
    assert model.n_steps_ == n_steps


def test_invalid_targets_of_weight_zero_are_ignored(rng):
    X, weight = rng.normal(size=(4, 2)), [1, 1, 0, 1]
    model = regressor("gamma", max_iter=3).fit(X, [1.0, 2.0, -5.0, 3.0], sample_weight=weight)
    same = regressor("gamma", max_iter=3).fit(X[[0, 1, 3]], [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(model.predict(X), same.predict(X))


def test_domain_is_checked_in_later_batches_and_validation(rng):
    X, y = smooth(rng, 20)
    model = regressor("poisson").partial_fit(X, y)
    model.partial_fit(X, np.zeros(20))
    with pytest.raises(ValueError, match="The smallest y is -1"):
        model.partial_fit(X, np.full(20, -1.0))
    with pytest.raises(ValueError, match="The smallest y is -1"):
        regressor("poisson").fit(X, y, X_val=X, y_val=np.full(20, -1.0))


@pytest.mark.parametrize(
    ("first", "other"),
    [("squared_error", "poisson"), ("gamma", "huber"), ("huber", "gaussian")]
    + [("quantile", QuantileLoss(LEVELS))],
)
def test_training_cannot_continue_with_another_loss(first, other, rng):
    X, y = smooth(rng, 40)
    model = regressor(first, warm_start=True, max_iter=2).fit(X, y)
    for method in (model.fit, model.partial_fit):
        model.set_params(loss=other)
        with pytest.raises(ValueError, match="Training cannot be resumed with another loss"):
            method(X, y)
    # It can start from scratch.
    model.set_params(warm_start=False).fit(X, y, X_val=X, y_val=y)
    assert np.isfinite(model.score(X, y))


@pytest.mark.parametrize("loss", REGRESSION_LOSSES)
def test_tags_declare_positive_targets(loss):
    assert get_tags(MLPRegressor(loss=loss)).target_tags.positive_only == (loss in POSITIVE)
    assert not get_tags(MLPRegressor(loss="no such loss")).target_tags.positive_only


# -- known distributions -------------------------------------------------------------------------


def heteroscedastic(rng, n_samples):
    """Return features, targets whose noise grows with the first feature, and the noise level."""
    X = rng.uniform(-1, 1, (n_samples, 2))
    std = 10 * (0.2 + 0.4 * (X[:, 0] + 1))
    return X, 30 * X[:, 1] + std * rng.normal(size=n_samples), std


def test_quantiles_cover_their_fraction_of_new_samples(rng):
    X, y, std = heteroscedastic(rng, 2000)
    model = regressor(QuantileLoss(LEVELS), schedule="cosine", max_iter=40, batch_size=100)
    model.fit(X, y)
    X, y, std = heteroscedastic(rng, 4000)
    predicted = model.predict(X)
    assert predicted.shape == (4000, 3)
    assert (np.diff(predicted, axis=1) >= 0).all()
    assert (np.diff(model.predict(1e8 * rng.normal(size=(1000, 2))), axis=1) >= 0).all()
    np.testing.assert_allclose((y[:, None] <= predicted).mean(axis=0), LEVELS, atol=0.03)
    # The expected width is 2 * 1.2816 standard deviations.
    width = predicted[:, 2] - predicted[:, 0]
    assert np.mean(np.abs(width / (2.5631 * std) - 1)) < 0.12
    assert model.score(X, y) == r2_score(y, predicted[:, 1])


def test_predictions_of_a_single_quantile_are_one_dimensional(rng):
    X, y = smooth(rng, 500)
    one = regressor(QuantileLoss(0.8), max_iter=40).fit(X, y)
    same = regressor(QuantileLoss((0.8,)), max_iter=40).fit(X, y)
    assert one.predict(X).shape == (500,)
    np.testing.assert_array_equal(one.predict(X), same.predict(X))
    assert np.mean(y <= one.predict(X)) == pytest.approx(0.8, abs=0.06)


def test_gaussian_recovers_heteroscedastic_noise(rng):
    X, y, _ = heteroscedastic(rng, 2000)
    model = regressor("gaussian", schedule="cosine", max_iter=40, batch_size=100).fit(X, y)
    X, y, std = heteroscedastic(rng, 1000)
    mean, predicted = model.predict(X, return_std=True)
    assert mean.shape == predicted.shape == y.shape
    np.testing.assert_array_equal(mean, model.predict(X))
    assert np.mean(np.abs(predicted / std - 1)) < 0.12
    assert np.sqrt(np.mean((mean - 30 * X[:, 1]) ** 2)) < 1.5
    assert np.std((y - mean) / predicted) == pytest.approx(1, abs=0.08)


def test_gaussian_handles_two_outputs_without_noise(rng):
    X = rng.uniform(-1, 1, (200, 2))
    y = X * [1.0, 1000.0]
    mean, std = regressor("gaussian", max_iter=30).fit(X, y).predict(X, return_std=True)
    assert mean.shape == std.shape == (200, 2)
    assert r2_score(y, mean) > 0.95
    assert (std > 0).all()
    assert (std.mean(axis=0) < [0.3, 300]).all()


def test_standard_deviations_require_a_loss_that_predicts_them(rng):
    X, y = smooth(rng, 20)
    with pytest.raises(ValueError, match="HuberLoss does not"):
        regressor("huber", max_iter=1).fit(X, y).predict(X, return_std=True)


@pytest.mark.parametrize("loss", ["poisson", "tweedie"])
def test_means_of_counts_are_recovered(loss, rng):
    def draw(n_samples):
        X = rng.uniform(-1, 1, (n_samples, 2))
        mean = np.exp(1.5 * X[:, 0] - np.abs(X[:, 1]))
        return X, mean, rng.poisson(mean).astype(float)

    X, _, y = draw(3000)
    model = regressor(loss, max_iter=30, batch_size=100, schedule="cosine").fit(X, y)
    X, mean, y = draw(2000)
    predicted = model.predict(X)
    assert np.mean(np.abs(predicted / mean - 1)) < 0.12
    best = mean_poisson_deviance(y, mean)
    assert mean_poisson_deviance(y, predicted) < 1.03 * best


def test_robust_losses_resist_outliers(rng):
    X = rng.uniform(-1, 1, (600, 2))
    truth = 3 * X[:, 0]
    y = truth + 0.1 * rng.normal(size=600)
    y[::10] += 50
    errors = {
        loss: mean_absolute_error(truth, regressor(loss, max_iter=40).fit(X, y).predict(X))
        for loss in ("squared_error", "absolute_error", "huber")
    }
    assert errors["absolute_error"] < 0.3
    assert errors["huber"] < 0.5 * errors["squared_error"]


# -- integration with scikit-learn ---------------------------------------------------------------


def test_nested_parameters_can_be_searched(rng):
    X, y = smooth(rng, 100)
    model = regressor("huber", max_iter=5).set_params(loss__delta=0.5)
    assert model.loss.delta == 0.5
    grid = {"loss": ["quantile"], "loss__level": [0.5, LEVELS, [0.4, 0.6]]}
    search = GridSearchCV(model, grid, cv=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    # This score requires positive predictions.
    scoring = "neg_mean_poisson_deviance"
    assert np.isfinite(
        cross_val_score(regressor("poisson", max_iter=3), X, y, scoring=scoring)
    ).all()


@pytest.mark.parametrize("loss", LOSSES_AND_LEVELS)
def test_early_stopping_works_by_loss_and_by_score(loss, rng):
    X, y = smooth(rng, 100)
    for scoring in ("loss", None):
        model = regressor(loss, early_stopping=True, scoring=scoring, max_iter=5).fit(X, y)
        assert len(model.validation_scores_) == 5
        assert np.isfinite(model.validation_scores_).all()


@pytest.mark.parametrize("loss", LOSSES_AND_LEVELS)
def test_divergence_still_leaves_finite_predictions(loss, rng):
    X, y = smooth(rng, 100)
    model = regressor(loss, optimizer=SGD(learning_rate=1e30), max_iter=5)
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.fit(X, y)
    assert np.isfinite(model.predict(X)).all()


# -- classification ------------------------------------------------------------------------------


def test_label_smoothing_bounds_probabilities():
    X, y = np.repeat([[-1.0], [1.0]], 20, axis=0), np.repeat(["no", "yes"], 20)
    params = {"optimizer": "lbfgs", "alpha": 0, "tol": 1e-12, "max_iter": 1000, "random_state": 0}
    model = MLPClassifier((), loss=LogLoss(label_smoothing=0.2), **params).fit(X, y)
    np.testing.assert_allclose(model.predict_proba([[1.0]]), [[0.1, 0.9]], atol=1e-4)
    np.testing.assert_allclose(model.decision_function([[1.0]]), np.log(9), atol=1e-3)
    three = MLPClassifier((), loss=LogLoss(label_smoothing=0.3), **params)
    three.fit(np.vstack([np.eye(3)] * 10), np.tile([0, 1, 2], 10))
    np.testing.assert_allclose(three.predict_proba(np.eye(3)), 0.1 + 0.7 * np.eye(3), atol=1e-3)


@pytest.mark.parametrize("target_type", ["binary", "multiclass", "multilabel"])
def test_focal_loss_supports_every_target_type(target_type, rng):
    X = rng.normal(size=(400, 2))
    y = {
        "binary": (X[:, 0] > 1).astype(int),
        "multiclass": np.digitize(X[:, 0], [-0.5, 0.5]),
        "multilabel": (X > [0.0, 1.0]).astype(int),
    }[target_type]
    params = {"optimizer": Adam(0.02), "max_iter": 40, "batch_size": 50, "random_state": 0}
    model = MLPClassifier((8,), loss="focal", **params).fit(X, y)
    assert model.score(X, y) > 0.93
    assert np.isfinite(model.predict_proba(1e6 * X)).all()


def test_focal_loss_moves_probabilities_toward_one_half():
    """The minimum of q (1-p)^g (-log p) + (1-q) p^g (-log(1-p)) for a fraction q of 0.9."""
    X, y = np.zeros((100, 1)), np.repeat([1, 0], [90, 10])
    params = {"optimizer": "lbfgs", "alpha": 0, "tol": 1e-14, "max_iter": 1000, "random_state": 0}
    z = np.linspace(-5, 5, 100_001)[:, None]
    for gamma in (0.0, 2.0):
        loss = FocalLoss(gamma=gamma)
        model = MLPClassifier((), loss=loss, **params).fit(X, y)
        p = expit(z[:, 0])
        mixed = -0.9 * (1 - p) ** gamma * np.log(p) - 0.1 * p**gamma * np.log(1 - p)
        best = p[mixed.argmin()]
        assert model.predict_proba(X[:1])[0, 1] == pytest.approx(best, abs=1e-3)
        assert (best < 0.85) == (gamma > 0)
