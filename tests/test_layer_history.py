"""The history of each layer: comparisons with hand-computed values, and properties."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sknn_adam import SGD, MLPClassifier, MLPRegressor
from sknn_adam._training.history import MOST_SAMPLES, LayerHistory
from sknn_adam.activations import Activation
from sknn_adam.initializers import Constant

COLUMNS = {
    "epoch",
    "step",
    "gradient_norm",
    "loss_gradient_norm",
    "weight_norm",
    "update_ratio",
    "activation_min",
    "activation_max",
    "dead",
    "saturated",
}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:300] / 16, y[:300]


def layers_of(digits, hidden=(12, 7), **params):
    params = {"max_iter": 3, "record": "all", "random_state": 0} | params
    return MLPClassifier(hidden, **params).fit(*digits).history_.layers


def test_history_has_a_row_per_epoch_and_a_number_per_layer(digits):
    layers = layers_of(digits)
    assert set(layers.columns) == COLUMNS
    assert layers["epoch"] == [1, 2, 3]
    assert all(len(row) == 3 for name in COLUMNS - {"epoch", "step"} for row in layers[name])


def test_step_of_gradient_descent_is_learning_rate_times_gradient(digits):
    rate = 0.25
    layers = layers_of(digits, optimizer=SGD(learning_rate=rate, momentum=0.0), dtype="float64")
    step = np.multiply(layers["update_ratio"], layers["weight_norm"])
    np.testing.assert_allclose(step, rate * np.array(layers["gradient_norm"]), rtol=1e-12)


def test_gradients_are_recorded_before_clipping(digits):
    free = layers_of(digits, max_iter=1)
    held = layers_of(digits, max_iter=1, gradient_clip=1e-3)
    assert held["gradient_norm"] == free["gradient_norm"]


def test_weights_and_outputs_match_a_plain_forward_pass(digits):
    X, y = digits
    model = MLPClassifier(
        (12, 7), "tanh", optimizer=SGD(learning_rate=1e-12, momentum=0.0), batch_size=len(X)
    ).set_params(max_iter=1, random_state=0, dtype="float64", shuffle=False)
    layers = model.fit(X, y).history_.layers
    out, seen = X, []
    for i, (W, b) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        out = out @ W + b
        out = np.tanh(out) if i < 2 else out
        seen.append((np.linalg.norm(W), out.min(), out.max()))
    names = "weight_norm", "activation_min", "activation_max"
    recorded = np.array([layers[name][0] for name in names]).T
    np.testing.assert_allclose(recorded, seen, rtol=1e-8)


def test_units_that_are_never_active_are_dead(digits):
    layers = layers_of(digits, bias_initializer=Constant(-1e3), max_iter=1)
    assert layers["dead"][0][:2] == (1.0, 1.0)
    assert layers["saturated"][0][:2] == (0.0, 0.0)
    alive = layers_of(digits, bias_initializer=Constant(1.0), max_iter=1)
    assert alive["dead"][0][0] == 0.0


@pytest.mark.parametrize("activation", ["tanh", "logistic"])
def test_units_in_a_flat_region_are_saturated(digits, activation):
    X, y = digits
    flat = layers_of((1e3 * (X - X.mean()), y), activation=activation, max_iter=1)
    assert flat["saturated"][0][0] + flat["dead"][0][0] > 0.9
    gentle = layers_of((1e-3 * X, y), activation=activation, max_iter=1)
    assert gentle["saturated"][0][0] == gentle["dead"][0][0] == 0.0
    assert np.isnan(flat["saturated"][0][-1])
    assert np.isnan(flat["dead"][0][-1])


@pytest.mark.parametrize(
    "params",
    [
        {"activation": "prelu"},
        {"normalization": "batch", "activation": "sigmoid", "dropout": 0.2},
        {"normalization": "layer"},
        {"optimizer": "lbfgs"},
        {"activation": "identity"},
        {"activation": "softplus", "gradient_clip": 1.0, "averaging": "ema"},
    ],
    ids=lambda params: "-".join(params),
)
def test_recording_does_not_change_training(digits, params):
    recorded = {}
    for record in (False, True, "all"):
        model = MLPClassifier((12, 7), max_iter=4, random_state=0, record=record, **params)
        recorded[record] = model.fit(*digits)
    assert not len(recorded[False].history_.layers)
    assert len(recorded["all"].history_.layers) >= len(recorded[True].history_.layers) >= 1
    for model in (recorded[True], recorded["all"]):
        assert model.loss_curve_ == recorded[False].loss_curve_
        for a, b in zip(model.coefs_, recorded[False].coefs_, strict=True):
            np.testing.assert_array_equal(a, b)


def test_number_of_recorded_steps_is_bounded():
    layers = LayerHistory()
    for step in range(0, 10**6, 7):
        if layers.due(True, step):
            layers.append(step=step)
            layers.thin()
        assert len(layers) <= MOST_SAMPLES
    assert len(layers) > MOST_SAMPLES // 4
    assert np.diff(layers["step"]).min() >= 512
    assert layers["step"][0] == 0


def test_recorded_steps_of_a_default_fit_are_far_apart(digits):
    layers = layers_of(digits, record=True, max_iter=90, batch_size=15, tol=0)
    assert len(layers) > 2
    assert np.diff(layers["step"]).min() >= 512


def test_partial_fit_records_the_same_as_fit(digits):
    params = {"max_iter": 4, "random_state": 0, "record": "all", "tol": 0}
    one = MLPRegressor((5,), **params).fit(*digits).history_.layers
    many = MLPRegressor((5,), **params)
    for _ in range(4):
        many.partial_fit(*digits)
    many = pickle.loads(pickle.dumps(many))
    for name in COLUMNS:
        np.testing.assert_array_equal(many.history_.layers[name], one[name])


def test_clip_rate_is_the_fraction_of_clipped_steps(digits):
    for limit, rate in ((1e-6, 1.0), (1e6, 0.0)):
        model = MLPClassifier((5,), max_iter=2, gradient_clip=limit, random_state=0).fit(*digits)
        assert model.history_["clip_rate"] == [rate, rate]
    norms = model.history_["gradient_norm"]
    model.set_params(gradient_clip=float(np.mean(norms))).fit(*digits)
    assert any(0 < rate < 1 for rate in model.history_["clip_rate"])
    assert "clip_rate" not in MLPClassifier((5,), max_iter=2).fit(*digits).history_.columns


def test_invalid_record_raises(digits):
    with pytest.raises(ValueError, match="'record' parameter"):
        MLPClassifier(record="some").fit(*digits)


def test_activation_that_is_flat_around_zero_is_not_saturated(digits):
    class Far(Activation):
        """An activation that rises only beyond the range where its slope is examined."""

        def __call__(self, z):
            return np.maximum(z - 5, 0)

        def derivative(self, z, a):
            return (z > 5) * 1.0

    layers = layers_of(digits, activation=Far())
    assert set(layers["saturated"][-1][:-1]) == {0.0}
    assert {type(fraction) for fraction in layers["dead"][-1]} == {float}
