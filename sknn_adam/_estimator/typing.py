"""Types of estimators and their parameters, for type checkers."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from sknn_adam._component.registry import Table
from sknn_adam.activations import Activation
from sknn_adam.averaging import EMA
from sknn_adam.clipping import Clipping
from sknn_adam.initializers import Initializer
from sknn_adam.layers import Layers
from sknn_adam.losses import ClassificationLoss, RegressionLoss
from sknn_adam.normalization import Normalization
from sknn_adam.optimizers import Optimizer
from sknn_adam.schedules import Schedule

__all__: list[str] = []

Sizes = int | str | Sequence[int] | Layers
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
Arrays = Any  # any input that scikit-learn accepts: arrays, lists, dataframes, sparse matrices


class MLP(Protocol):
    """Parameters common to both estimators."""

    hidden_layer_sizes: Sizes
    activation: Activations
    initializer: Initial
    bias_initializer: Initial
    learn_scales: bool
    normalization: Normal
    dropout: Rates
    optimizer: Optimizing
    schedule: Scheduling
    gradient_clip: Clip
    averaging: Averaging
    alpha: float | str
    l1_ratio: float | str
    batch_size: int | str
    max_iter: int | str
    shuffle: bool
    early_stopping: bool
    validation_fraction: float
    scoring: Scoring
    n_iter_no_change: float
    tol: float
    warm_start: bool
    n_members: int
    cv: Any
    record: bool | str
    dtype: str
    verbose: int | str
    random_state: Any

    @property
    def _tables(self) -> dict[str, Table]: ...

    def _validate_params(self) -> None: ...
