"""Divergence leaves finite weights and sets stop_reason_. All stop reasons are tested here."""

import pickle
import warnings
from itertools import product

import numpy as np
import pytest
from copies import networks
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknn_adam import SGD, Adam, AdamW, MLPClassifier, MLPRegressor
from sknn_adam._nn.network import build
from sknn_adam._training.members import Members
from sknn_adam.activations import ReLU
from sknn_adam.clipping import ClipByLayerNorm, ClipByNorm, ClipByValue
from sknn_adam.losses import LogLoss, SquaredError
from sknn_adam.optimizers import OPTIMIZERS
from sknn_adam.schedules import Exponential

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
LABELS = np.array(["a", "b", "c"])[np.digitize(X @ [1.0, 2.0, 0.0, -1.0], [-1, 1])]
NUMBERS = 10 * np.sin(X[:, 0]) + 3 * X[:, 1] ** 2 + 100

BOTH = pytest.mark.parametrize(
    ("estimator", "y"), [(MLPClassifier, LABELS), (MLPRegressor, NUMBERS)], ids=["clf", "reg"]
)


def small(estimator, **params):
    defaults = {"hidden_layer_sizes": (5,), "batch_size": 20, "max_iter": 8, "random_state": 0}
    return estimator(**defaults | {"alpha": 0.0} | params)


def outputs(model):
    if hasattr(model, "classes_"):
        return np.c_[model.decision_function(X), model.predict_proba(X)]
    return model.predict(X)


def scripted(estimator, losses):
    """Return a loss with these values in successive epochs and the usual gradient.

    Each value is used for three batches of 20 samples, which are one epoch.
    """
    values = iter(np.repeat(losses, 3))

    class Scripted(LogLoss if estimator is MLPClassifier else SquaredError):
        def mean_and_gradient(self, y, z, weight=None):
            _, gradient = super().mean_and_gradient(y, z, weight)
            return next(values), gradient

    return Scripted()


BAD = [np.nan, np.inf, -np.inf, 1e11, -1e11]


@BOTH
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("normalization", [None, "batch"])
@pytest.mark.usefixtures("plain_numpy")
def test_best_weights_before_divergence_are_kept(estimator, y, bad, normalization):
    model = small(estimator, loss=scripted(estimator, [3, 2, 4, bad]), normalization=normalization)
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(X, y)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert message.startswith("Training diverged in epoch 4")
    for part in ("Adam()", "batch_size=20", "Scale X", "learning_rate", "gradient_clip=1.0"):
        assert part in message
    assert caught[0].filename == __file__
    assert (model.stop_reason_, model.converged_) == ("diverged", False)
    assert (model.n_iter_, model.best_iter_) == (3, 2)
    assert model.loss_curve_ == [3, 2, 4]
    best = small(estimator, normalization=normalization, max_iter=2).fit(X, y)
    np.testing.assert_array_equal(outputs(model), outputs(best))


@BOTH
@pytest.mark.parametrize("bad", BAD)
def test_divergence_in_the_first_batch_keeps_the_initial_weights(estimator, y, bad):
    """A finite loss in the first batch does not count as divergence."""
    model = small(estimator, loss=scripted(estimator, [bad, 1]))
    if np.isfinite(bad):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.set_params(max_iter=1).fit(X, y)
        assert model.stop_reason_ == "max_iter"
        return
    with pytest.warns(ConvergenceWarning, match="in epoch 1 "):
        model.fit(X, y)
    assert (model.n_iter_, model.loss_curve_, model.best_iter_) == (0, [], 0)
    assert model.loss_ == model.best_loss_ == np.inf
    frozen = small(estimator, max_iter=1, optimizer=SGD(learning_rate=1e-300)).fit(X, y)
    np.testing.assert_allclose(outputs(model), outputs(frozen), rtol=1e-12, atol=1e-200)


@pytest.mark.usefixtures("plain_numpy")
@BOTH
@pytest.mark.parametrize("growth", [0.9, 1.1])
def test_divergence_starts_at_1e10_times_the_first_loss(estimator, y, growth):
    """Check one loss below and one above the threshold."""
    model = small(estimator, loss=scripted(estimator, [5, growth * 5e10, 5]), max_iter=3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y)
    assert (model.stop_reason_ == "diverged") == (growth > 1) == bool(caught)


@pytest.mark.usefixtures("plain_numpy")
@BOTH
@pytest.mark.parametrize("early_stopping", [False, True])
def test_divergence_takes_precedence_over_patience(estimator, y, early_stopping):
    """A NaN loss is divergence, even if patience runs out in the same epoch."""
    loss = scripted(estimator, [1, 2, 2, np.nan])
    params = {"n_iter_no_change": 3, "early_stopping": early_stopping}
    params["scoring"] = lambda *_: 0.0
    # Three batches per epoch; early stopping leaves 54 samples.
    params["batch_size"] = 18 if early_stopping else 20
    with pytest.warns(ConvergenceWarning):
        model = small(estimator, loss=loss, tol=0.5, **params).fit(X, y)
    assert (model.stop_reason_, model.n_iter_) == ("diverged", 3)


@BOTH
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "momentum", "rmsprop", "muon", "lion"])
def test_absurd_learning_rates_give_finite_predictions(estimator, y, dtype, optimizer):
    for rate in (1e3, 1e10, 1e30):
        model = small(estimator, optimizer=optimizer, activation="identity", dtype=dtype)
        model.set_params(optimizer__learning_rate=rate)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(X, y)
        assert np.isfinite(outputs(model)).all()
        assert len(caught) == (model.stop_reason_ == "diverged")
        assert {warning.category for warning in caught} <= {ConvergenceWarning}


@BOTH
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize(
    ("name", "backend"),
    # Compiling every rule would take too long.
    [(name, "numpy") for name in OPTIMIZERS if name != "lbfgs"]
    + [("schedule_free_adamw", "fused")],
)
def test_learning_rates_near_the_largest_number_diverge(
    estimator, y, n_members, name, backend, monkeypatch
):
    """Squares and products of such rates overflow; training must report this as divergence."""
    monkeypatch.setenv("SKNN_ADAM_KERNELS", backend)
    for dtype, rate in product(("float32", "float64"), (1e155, 1e300, 1e308)):
        optimizer = OPTIMIZERS.make(name).set_params(learning_rate=rate)
        model = small(estimator, optimizer=optimizer, dtype=dtype, n_members=n_members)
        with pytest.warns(ConvergenceWarning, match="diverged"):
            model.set_params(activation="identity").fit(X, y)
        assert model.stop_reason_ == "diverged"
        assert np.isfinite(outputs(model)).all()
        for member in networks(model):
            assert all(np.isfinite(array).all() for array in member.coefs_ + member.intercepts_)


@BOTH
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("name", ["sgd", "adam", "schedule_free_adamw"])
def test_divergence_in_the_last_step_is_reported(estimator, y, n_members, name):
    """The loss of an epoch precedes its steps, so no epoch shows the effect of the last step."""
    optimizer = OPTIMIZERS.make(name).set_params(learning_rate=1e60)
    params = {"optimizer": optimizer, "batch_size": 60, "max_iter": 1, "n_members": n_members}
    with pytest.warns(ConvergenceWarning, match="diverged in epoch 1 .* loss of the predictions"):
        model = small(estimator, **params).fit(X, y)
    assert model.stop_reason_ == "diverged"
    assert np.isfinite(outputs(model)).all()


@BOTH
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize(
    "params",
    [
        *({"alpha": alpha} for alpha in (1e155, 1e300, 1.7e308)),
        *({"gradient_clip": clip(1e300)} for clip in (ClipByNorm, ClipByValue, ClipByLayerNorm)),
        {"optimizer": AdamW(weight_decay=1e300)},
        {"optimizer": SGD(learning_rate=1e-300), "schedule": Exponential(final_factor=1e300)},
        {"optimizer": SGD(learning_rate=1e200), "schedule": Exponential(final_factor=1e300)},
    ],
    ids=str,
)
def test_other_parameters_near_the_largest_number_give_finite_weights(
    estimator, y, n_members, params
):
    for dtype in ("float32", "float64"):
        model = small(estimator, **params, dtype=dtype, n_members=n_members)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(X, y)
        assert np.isfinite(outputs(model)).all()
        assert np.isfinite(model._network.theta).all()
        assert len(caught) == (model.stop_reason_ == "diverged")
        assert {warning.category for warning in caught} <= {ConvergenceWarning}


# -- warnings as errors --------------------------------------------------------------------------


def raises(estimator, **params):
    rate = SGD(learning_rate=1e6)
    return small(estimator, optimizer=rate, activation="identity", **params)


@BOTH
def test_error_leaves_a_new_estimator_unfitted(estimator, y):
    model = raises(estimator, max_iter=100)
    with pytest.raises(ConvergenceWarning, match=r"diverged in epoch \d+ with SGD\(learning_rate"):
        model.fit(X, y)
    assert vars(model).keys() == model.get_params(deep=False).keys()


@BOTH
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("warm_start", [False, True])
def test_error_leaves_a_fitted_estimator_unchanged(estimator, y, method, warm_start):
    model = small(estimator, optimizer=SGD(), activation="identity", warm_start=warm_start)
    model.fit(X, y)
    model.set_params(optimizer=SGD(learning_rate=1e6), max_iter=100)
    kept = []

    def train():
        for _ in range(100):
            kept[:] = pickle.dumps(model), outputs(model), vars(model).copy()
            getattr(model, method)(X, y)

    with pytest.raises(ConvergenceWarning):
        train()
    before, predictions, attributes = kept
    assert vars(model).keys() == attributes.keys()
    assert all(vars(model)[name] is value for name, value in attributes.items())
    np.testing.assert_array_equal(outputs(model), predictions)
    again = pickle.loads(before)
    assert model.loss_curve_ == again.loss_curve_
    # Training continues as if the error had not occurred.
    for one in (model, again):
        one.set_params(optimizer=SGD(), warm_start=True).fit(X, y)
    np.testing.assert_array_equal(outputs(model), outputs(again))


# -- searches ------------------------------------------------------------------------------------


@BOTH
def test_search_over_diverging_candidates_has_finite_scores(estimator, y):
    model = make_pipeline(StandardScaler(), small(estimator, activation="identity", max_iter=60))
    name = model.steps[1][0]
    grid = {f"{name}__optimizer": [SGD(learning_rate=1e6)], f"{name}__alpha": [1e-4, 1e-3, 1e-2]}
    search = GridSearchCV(model, grid, cv=3, error_score="raise")
    with pytest.warns(ConvergenceWarning, match="diverged") as caught:
        search.fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    # The search warns once, not once per fit.
    assert len(caught) == 1
    assert caught[0].filename == __file__


@BOTH
def test_reaching_max_iter_does_not_warn(estimator, y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for params in ({}, {"optimizer": "lbfgs", "batch_size": "auto"}, {"early_stopping": True}):
            model = small(estimator, max_iter=2, **params).fit(X, y)
            assert (model.stop_reason_, model.converged_) == ("max_iter", False)
            assert model.n_iter_ == 2


# -- stop reasons --------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("params", "reason", "converged"),
    [
        ({"max_iter": 3}, "max_iter", False),
        ({"max_iter": 300, "tol": 0.1, "n_iter_no_change": 2}, "tol", True),
        (
            {"max_iter": 300, "tol": 0.1, "n_iter_no_change": 2, "early_stopping": True},
            "early_stopping",
            True,
        ),
        ({"optimizer": "lbfgs", "batch_size": "auto", "max_iter": 3}, "max_iter", False),
        (
            {"optimizer": "lbfgs", "batch_size": "auto", "max_iter": 999, "tol": 0.05},
            "tol",
            True,
        ),
    ],
)
def test_stop_reasons_and_convergence(estimator, y, params, reason, converged):
    model = small(estimator, **params).fit(X, y)
    assert (model.stop_reason_, model.converged_) == (reason, converged)
    if reason != "max_iter":
        assert 0 < model.n_iter_ < params["max_iter"]


@BOTH
def test_failed_line_search_stops_without_progress(estimator, y):
    """The gradient of this loss points the wrong way."""

    class Wrong(LogLoss if estimator is MLPClassifier else SquaredError):
        def value_and_gradient(self, y, z):
            value, gradient = super().value_and_gradient(y, z)
            return value, -gradient

    model = small(estimator, loss=Wrong(), optimizer="lbfgs", batch_size="auto").fit(X, y)
    assert (model.stop_reason_, model.converged_) == ("no_progress", False)
    assert np.isfinite(outputs(model)).all()


@BOTH
def test_partial_fit_has_no_stop_reason_unless_it_diverges(estimator, y):
    model = small(estimator).partial_fit(X, y)
    assert (model.stop_reason_, model.converged_) == (None, False)
    model = small(estimator, loss=scripted(estimator, [1, np.nan]), optimizer=Adam())
    model.partial_fit(X, y)
    with pytest.warns(ConvergenceWarning, match="epoch 2"):
        model.partial_fit(X, y)
    assert model.stop_reason_ == "diverged"


def test_divergence_of_a_member_is_relative_to_its_own_first_loss():
    """The first loss of the second member is 1e20 times that of the first member."""
    network = build(1, (2,), 1, [ReLU()], members=2)
    run = Members(network, np.random.default_rng(0))
    assert run.mean(np.array([1.0, np.inf]), 5) == 1.0
    assert run.mean(np.array([1.0, 1e20]), 5) == pytest.approx(5e19)
    assert np.isnan(run.mean(np.array([1e11, 1e31]), 5))


# -- streams -------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("n_members", [1, 2])
def test_divergence_in_partial_fit_keeps_the_weights_before_the_call(estimator, y, n_members):
    """The epoch with the smallest loss may belong to a concept of the distant past."""
    model = small(estimator, optimizer=SGD(0.01), averaging=None, n_members=n_members)
    for _ in range(3):
        model.partial_fit(X, y)
    for _ in range(3):
        # A harder batch: its loss is larger than the earlier ones.
        model.partial_fit(X[::-1], y)
    before = outputs(model)
    model.set_params(optimizer__learning_rate=1e30)
    with pytest.warns(ConvergenceWarning, match="weights before this call"):
        model.partial_fit(X, y)
    np.testing.assert_array_equal(outputs(model), before)
