"""A program that uses the public API, checked by ``mypy --strict``; see test_typing.py."""

from pathlib import Path
from typing import Any, assert_type

import numpy as np

from sknn_adam import (
    SGD,
    Adam,
    AdamW,
    MLPClassifier,
    MLPRegressor,
    RMSprop,
    __version__,
    from_sklearn,
    to_sklearn,
)
from sknn_adam.activations import Activation, PReLU
from sknn_adam.averaging import EMA
from sknn_adam.callbacks import Checkpoint
from sknn_adam.clipping import ClipByNorm
from sknn_adam.history import History
from sknn_adam.initializers import HeNormal, VarianceScaling
from sknn_adam.losses import FocalLoss, QuantileLoss, RegressionLoss
from sknn_adam.normalization import BatchNorm
from sknn_adam.onnx import register
from sknn_adam.optimizers import LBFGS, Muon, Optimizer
from sknn_adam.persistence import TRUSTED_TYPES, ArchiveError, load, save
from sknn_adam.schedules import Plateau, Warmup
from sknn_adam.search import Range, results_frame, search_space

Array = np.ndarray[Any, Any]


class Square(Activation):
    """A custom activation."""

    def __call__(self, z: Array) -> Array:
        return z * z

    def derivative(self, z: Array, a: Array) -> Array:
        slope: Array = 2 * z
        return slope


class LogCosh(RegressionLoss):
    """A custom loss."""

    def value(self, y: Array, z: Array) -> Array:
        return np.asarray(np.log(np.cosh(z - y)).sum(axis=-1))

    def gradient(self, y: Array, z: Array) -> Array:
        slope: Array = np.tanh(z - y)
        return slope


class Descent(Optimizer):
    """A custom optimizer."""

    def __init__(self, learning_rate: float = 0.1) -> None:
        self.learning_rate = learning_rate

    @staticmethod
    def rule(g: Any, lr: float) -> tuple[Any, ...]:
        """Return the step of gradient descent."""
        return (lr * g,)


def classify(X: Array, y: Array, folder: Path) -> float:
    """Fit, save and load a classifier, and register the ONNX converters."""
    model = MLPClassifier(
        (16, 8),
        [Square(), PReLU(0.1)],
        initializer=HeNormal(),
        bias_initializer=VarianceScaling(1.0, "in", "normal"),
        learn_scales=True,
        normalization=BatchNorm(),
        dropout=[0.1, 0.2],
        loss=FocalLoss(gamma=1.0),
        optimizer=AdamW(weight_decay=0.1),
        schedule=Warmup(Plateau(), steps=10),
        gradient_clip=ClipByNorm(1.0),
        averaging=EMA(0.9),
        scoring="accuracy",
    )
    assert_type(model.fit(X, y), MLPClassifier)
    assert_type(model.fit(X, y, X_val=X, y_val=y).partial_fit(X, y), MLPClassifier)
    assert_type(model.set_params(optimizer__learning_rate=0.01), MLPClassifier)
    weights: list[Array] = model.coefs_
    assert_type(model.loss_curve_, list[float])
    history: History = model.history_
    save(model, folder / "model.skops")
    try:
        again: MLPClassifier = load(folder / "model.skops")
    except ArchiveError as error:
        raise SystemExit(str(error)) from error
    register()
    return float(again.score(X, y)) + len(history) + len(TRUSTED_TYPES) + len(weights)


def regress(X: Array, y: Array) -> MLPClassifier | MLPRegressor:
    """Fit regressors with different losses and optimizers."""
    for loss in ("huber", QuantileLoss((0.1, 0.9)), LogCosh()):
        MLPRegressor("32x2", loss=loss, target_scaling=False, optimizer="adam").fit(X, y)
    for optimizer in (SGD(0.1, momentum=0.9), Adam(), RMSprop(), Muon(), LBFGS(), Descent()):
        model = MLPRegressor(64, optimizer=optimizer, dtype="float32", random_state=0)
        assert_type(model.score(X, y), float)
        print(__version__, model.predict(X, return_std=False), optimizer.learning_rate)
    Checkpoint("run.checkpoint", every=2)
    return from_sklearn(to_sklearn(MLPRegressor()), n_samples=100)


def several(X: Array, y: Array) -> float:
    """Cross-fit several networks and use their predictions."""
    model = MLPClassifier(cv=3, early_stopping=True).fit(X, y, groups=y)
    print(model.member_predictions(X), model.oof_prediction_, model.best_iter_)
    return float(model.oof_score_)


def choose(search: Any) -> Any:
    """Create a search space; convert the results of a search to a table."""
    space = search_space(MLPClassifier(alpha=0.1), "random")
    print(space, Range(0.1, 1.0))
    return results_frame(search)
