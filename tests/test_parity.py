"""Parity with scikit-learn's MLP: equal initial weights and batches give an equal result."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.neural_network import MLPRegressor as TheirRegressor
from sklearn.preprocessing import scale

from sknn_adam import SGD, Adam, MLPClassifier, MLPRegressor
from sknn_adam.initializers import Initializer

EPOCHS = 50
ALPHA = 0.01


def initial_weights(fan_in, fan_out):
    """Return the initial weights for both libraries, which depend only on the fans."""
    rng = np.random.default_rng([fan_in, fan_out])
    limit = np.sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-limit, limit, (fan_in, fan_out)), rng.uniform(-limit, limit, fan_out)


class SameWeights(Initializer):
    def __call__(self, fan_in, fan_out, rng):
        return initial_weights(fan_in, fan_out)[0]

    def bias(self, fan_in, fan_out, rng):
        return initial_weights(fan_in, fan_out)[1]


class TheirClassifierSameWeights(TheirClassifier):
    def _init_coef(self, fan_in, fan_out, dtype):
        return initial_weights(fan_in, fan_out)


class TheirRegressorSameWeights(TheirRegressor):
    def _init_coef(self, fan_in, fan_out, dtype):
        return initial_weights(fan_in, fan_out)


def binary():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X[:500]), y[:500]


def three_classes():
    X, y = load_iris(return_X_y=True)
    return scale(X), y


def regression():
    X, y = load_diabetes(return_X_y=True)
    return scale(X[:400]), scale(y[:400])


DATA = [
    pytest.param(binary, MLPClassifier, TheirClassifierSameWeights, id="binary"),
    pytest.param(three_classes, MLPClassifier, TheirClassifierSameWeights, id="three classes"),
    pytest.param(regression, MLPRegressor, TheirRegressorSameWeights, id="regression"),
]

# Our optimizer, and scikit-learn's parameters for the same rule. Their epsilon is inside the bias
# correction; a value this small makes the two conventions equal.
RULES = [
    pytest.param(SGD(0.05), {"solver": "sgd", "momentum": 0.0}, id="sgd"),
    pytest.param(
        SGD(0.05, momentum=0.9, nesterov=True), {"solver": "sgd", "momentum": 0.9}, id="nesterov"
    ),
    pytest.param(
        SGD(0.05, momentum=0.9),
        {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": False},
        id="momentum",
    ),
    pytest.param(Adam(0.005, epsilon=1e-30), {"solver": "adam", "epsilon": 1e-30}, id="adam"),
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic"])
@pytest.mark.parametrize("batch_size", [50, None], ids=["minibatches", "full batch"])
@pytest.mark.parametrize(("optimizer", "theirs"), RULES)
@pytest.mark.parametrize(("data", "Ours", "Theirs"), DATA)
def test_curve_and_weights_match_scikit_learn(
    data, Ours, Theirs, optimizer, theirs, batch_size, activation
):
    X, y = data()
    batch_size = batch_size or len(X)
    # scikit-learn divides alpha by the size of each batch.
    assert len(X) % batch_size == 0
    common = {
        "hidden_layer_sizes": (12, 7),
        "activation": activation,
        "max_iter": EPOCHS,
        "batch_size": batch_size,
        "shuffle": False,
        "tol": 0.0,
        "n_iter_no_change": EPOCHS,
    }
    scaling = {"target_scaling": False} if Ours is MLPRegressor else {}
    ours = Ours(
        **common,
        **scaling,
        l1_ratio=0.0,
        averaging=None,
        dtype="float64",
        optimizer=optimizer,
        alpha=ALPHA,
        initializer=SameWeights(),
        bias_initializer=SameWeights(),
    ).fit(X, y)
    theirs = Theirs(
        **common, **theirs, learning_rate_init=optimizer.learning_rate, alpha=ALPHA * batch_size
    ).fit(X, y)
    assert ours.n_iter_ == theirs.n_iter_ == EPOCHS
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=0, atol=1e-8)
    for mine, other in zip(
        ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True
    ):
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-8)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=0, atol=1e-7)


@pytest.mark.parametrize(("data", "Ours", "Theirs"), DATA)
def test_lbfgs_reaches_the_same_optimum(data, Ours, Theirs):
    X, y = data()
    common = {"hidden_layer_sizes": (4,), "activation": "tanh", "max_iter": 20000, "tol": 1e-9}
    scaling = {"target_scaling": False} if Ours is MLPRegressor else {}
    ours = Ours(
        **common,
        **scaling,
        optimizer="lbfgs",
        alpha=0.1,
        initializer=SameWeights(),
        bias_initializer=SameWeights(),
    ).fit(X, y)
    theirs = Theirs(**common, solver="lbfgs", alpha=0.1 * len(X), max_fun=10**6).fit(X, y)
    assert ours.converged_
    assert abs(ours.loss_ - theirs.loss_) < 1e-6
