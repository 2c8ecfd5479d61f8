"""Small estimators for tests of copies, and a bitwise comparison of two estimators."""

import numpy as np

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
LABELS = np.array(["a", "b", "c"])[np.digitize(X @ [1.0, 2.0, 0.0, -1.0, 0.5], [-1, 1])]
NUMBERS = 100 * np.sin(X[:, 0]) + 30 * X[:, 1] ** 2 + 1000

# Parameters that add state to a run. Copies must include this state.
STATES = {
    "plain": {},
    "batch normalization": {"normalization": "batch", "dropout": 0.2},
    "average": {"averaging": "ema", "optimizer": "momentum"},
    "own point": {"optimizer": "schedule_free_adamw"},
    "learned activation": {"activation": "prelu", "normalization": "layer"},
    "stopped": {"early_stopping": True, "scoring": None},
    "plateau": {"schedule": "plateau", "gradient_clip": 0.1},
    "minimized": {"optimizer": "lbfgs", "batch_size": "auto"},
    "single precision": {"dtype": "float32", "hidden_layer_sizes": "6x3"},
    "members": {"n_members": 3, "normalization": "batch", "dropout": 0.2},
    "cross-fitted": {"cv": 3, "early_stopping": True},
}


def small(estimator, **params):
    defaults = {"hidden_layer_sizes": (6,), "max_iter": 4, "batch_size": 16, "random_state": 0}
    return estimator(**defaults | params)


def outputs(model, inputs=X):
    return getattr(model, "predict_proba", model.predict)(inputs)


def networks(model):
    """Return the networks of an estimator as estimators."""
    return getattr(model, "members_", [model])


def equal(a, b):
    np.testing.assert_array_equal(outputs(a), outputs(b))
    for m, n in zip(networks(a), networks(b), strict=True):
        for one, other in zip(m.coefs_ + m.intercepts_, n.coefs_ + n.intercepts_, strict=True):
            np.testing.assert_array_equal(one, other, strict=True)
    assert a.loss_curve_ == b.loss_curve_
