r"""Losses, which measure the error of raw outputs for given targets.

A loss takes raw outputs ``z`` of shape (..., n_samples, n_raw), never probabilities, so that it is
finite for any finite ``z``. It returns one value per sample, summed over outputs, and the gradient
with respect to ``z``. Sample weights and the mean over samples are applied in the base class only,
so that the value and the gradient use the same reduction.
"""

from sknn_adam._component.registry import Table
from sknn_adam.losses._base import ClassificationLoss, Loss, RegressionLoss
from sknn_adam.losses.classification import FocalLoss, LogLoss
from sknn_adam.losses.positive import GammaLoss, PoissonLoss, TweedieLoss
from sknn_adam.losses.regression import (
    AbsoluteError,
    GaussianLoss,
    HuberLoss,
    QuantileLoss,
    SquaredError,
)

__all__ = [
    "CLASSIFICATION_LOSSES",
    "REGRESSION_LOSSES",
    "AbsoluteError",
    "ClassificationLoss",
    "FocalLoss",
    "GammaLoss",
    "GaussianLoss",
    "HuberLoss",
    "LogLoss",
    "Loss",
    "PoissonLoss",
    "QuantileLoss",
    "RegressionLoss",
    "SquaredError",
    "TweedieLoss",
]

CLASSIFICATION_LOSSES = Table(
    "loss",
    ClassificationLoss,
    {"log_loss": LogLoss, "focal": FocalLoss},
    familiar={
        **dict.fromkeys(("cross_entropy", "crossentropy", "bce", "ce", "nll"), "log_loss"),
        "binary_crossentropy": "log_loss",
        "categorical_crossentropy": "log_loss",
        "sparse_categorical_crossentropy": "log_loss",
        "focal_loss": "focal",
    },
)
REGRESSION_LOSSES = Table(
    "loss",
    RegressionLoss,
    {
        "squared_error": SquaredError,
        "absolute_error": AbsoluteError,
        "huber": HuberLoss,
        "quantile": QuantileLoss,
        "gaussian": GaussianLoss,
        "poisson": PoissonLoss,
        "gamma": GammaLoss,
        "tweedie": TweedieLoss,
    },
    familiar={
        **dict.fromkeys(
            ("mse", "l2", "mean_squared_error", "squared_loss", "rmse"), "squared_error"
        ),
        **dict.fromkeys(("mae", "l1", "mean_absolute_error"), "absolute_error"),
        **dict.fromkeys(("smooth_l1", "huber_loss"), "huber"),
        **dict.fromkeys(("pinball", "pinball_loss"), "quantile"),
        **dict.fromkeys(("gaussian_nll", "normal"), "gaussian"),
    },
)
