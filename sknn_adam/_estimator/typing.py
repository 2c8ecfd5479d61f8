"""What the parameters of the estimators take, for type checkers."""

from collections.abc import Callable, Sequence
from typing import Any

from sknn_adam.activations import Activation
from sknn_adam.averaging import EMA
from sknn_adam.clipping import Clipping
from sknn_adam.initializers import Initializer
from sknn_adam.losses import ClassificationLoss, RegressionLoss
from sknn_adam.normalization import Normalization
from sknn_adam.optimizers import Optimizer
from sknn_adam.schedules import Schedule

__all__: list[str] = []

Sizes = int | str | Sequence[int]
Activations = str | Activation | Sequence[str | Activation]
Initial = str | Initializer
Normal = str | Normalization | None
Rates = float | Sequence[float]
ClassLoss = str | ClassificationLoss
NumberLoss = str | RegressionLoss
Optimizing = str | Optimizer
Scheduling = str | Schedule
Clip = float | str | Clipping | None
Averaging = str | EMA | None
Scoring = str | Callable[..., float] | None
Arrays = Any  # arrays, lists, tables, sparse matrices: what scikit-learn takes
