"""Conversion of estimator parameters to components, architecture and plan."""

from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import get_scorer_names

from sknn_adam._component.registry import did_you_mean
from sknn_adam._estimator.typing import MLP
from sknn_adam._nn.network import Network, build
from sknn_adam._training.plan import Plan
from sknn_adam._utils.validation import FRACTION
from sknn_adam.activations import ACTIVATIONS, Activation
from sknn_adam.averaging import EMA
from sknn_adam.clipping import Clipping
from sknn_adam.initializers import Initializer
from sknn_adam.layers import parse_sizes
from sknn_adam.losses import Loss
from sknn_adam.normalization import Normalization
from sknn_adam.optimizers import OPTIMIZERS, Optimizer
from sknn_adam.schedules import Schedule

__all__ = ["Architecture", "Sizes", "choose_sizes", "has_partial_fit", "make_plan"]

# With fewer elements, float64 is hardly slower than float32.
SMALL_TABLE = 2**13
FEW_SAMPLES, SMALL_BATCH = 128, 32
# Epochs for "auto" with early stopping, or a fixed number without, for up to this many samples, and
# the minima.
EPOCHS, MANY_SAMPLES, FEWEST_EPOCHS = {True: 60, False: 15}, 8000, {True: 5, False: 4}


def has_partial_fit(estimator: MLP) -> bool:
    """Return True if ``partial_fit`` is supported; raise AttributeError otherwise."""
    if estimator.cv is not None:
        raise AttributeError(
            "partial_fit does not support cv, because its samples are no cross-validation. Use "
            "fit, or set cv=None."
        )
    optimizer = OPTIMIZERS.make(estimator.optimizer)
    if optimizer.full_batch:
        raise AttributeError(
            f"{type(optimizer).__name__} minimizes over all samples and does not support "
            "partial_fit. Use fit, or another optimizer."
        )
    return True


@dataclass(frozen=True)
class Architecture:
    """The validated components of an estimator and the sizes of its network.

    Parameters
    ----------
    widths : tuple of int
        Units of each hidden layer.
    activations, dropout : list
        One activation and one dropout rate per hidden layer.
    learn_scales : bool
        Whether the first layer learns a factor for each feature.
    dtype : {"auto", "float32", "float64"}
        The estimator's parameter `dtype`.
    n_members : int
        Number of networks, for each split if `crossed`.
    crossed : bool
        Whether the networks are cross-fitted.
    """

    widths: tuple[int, ...]
    activations: list[Activation]
    dropout: list[float]
    initializer: Initializer
    bias_initializer: Initializer
    learn_scales: bool
    normalization: Normalization | None
    loss: Loss
    optimizer: Optimizer
    schedule: Schedule
    clip: Clipping | None
    averaging: EMA | None
    dtype: str
    n_members: int
    crossed: bool

    @classmethod
    def of(cls, estimator: MLP) -> "Architecture":
        """Validate the parameters of an estimator and return its architecture."""
        estimator._validate_params()
        _check_scoring(estimator.scoring)
        components: dict[str, Any] = {
            name: table.resolve(getattr(estimator, name))
            for name, table in estimator._tables.items()
            # The activation can differ between layers.
            if name not in ("activation", "hidden_layer_sizes")
        }
        widths = parse_sizes(estimator.hidden_layer_sizes)
        values = _per_layer("activation", estimator.activation, len(widths))
        activations = [ACTIVATIONS.resolve(value) for value in values]
        optimizer = components["optimizer"]
        dropout = _dropout_rates(estimator, len(widths), optimizer)
        crossed = estimator.cv is not None
        if optimizer.full_batch and (estimator.n_members > 1 or crossed):
            got = f"cv={estimator.cv!r}" if crossed else f"n_members={estimator.n_members}"
            raise ValueError(
                f"{type(optimizer).__name__} minimizes the objective of one network: set "
                f"n_members=1 and cv=None, or use another optimizer. Got {got}."
            )
        if optimizer.full_batch or (estimator.averaging == "auto" and optimizer.averages):
            components["averaging"] = None
        components["clip"] = components.pop("gradient_clip")
        return cls(
            widths=widths,
            activations=activations,
            dropout=dropout,
            learn_scales=bool(estimator.learn_scales),
            dtype=estimator.dtype,
            n_members=estimator.n_members,
            crossed=crossed,
            **components,
        )

    def network(self, X: Any, n_raw: int, rng: np.random.Generator, members: int) -> Network:
        """Return a network for X with its initial weights."""
        network = build(
            X.shape[1],
            self.widths,
            n_raw,
            self.activations,
            learn_scales=self.learn_scales,
            normalization=self.normalization,
            dropout=self.dropout,
            dtype=_choose_dtype(self.dtype, X, self.optimizer.full_batch),
            members=members if members > 1 or self.crossed else None,
        )
        network.initialize(self.initializer, self.bias_initializer, rng)
        return network

    def described(self) -> dict[str, str]:
        """Return descriptions of the parameters that must not change when training is resumed."""
        return {
            "hidden_layer_sizes": repr(self.widths),
            "activation": repr(self.activations),
            "learn_scales": str(self.learn_scales),
            "normalization": repr(self.normalization),
            "dropout": repr(self.dropout),
            "loss": repr(self.loss),
            "averaging": repr(self.averaging),
            "optimizer": f"{type(self.optimizer).__name__} with state {self.optimizer.slots}",
            "schedule": self.schedule.kind,
            "n_members": str(self.n_members),
            "cv": "set" if self.crossed else "None",
        }

    def check_unchanged(self, before: dict[str, str], dtype: np.dtype) -> None:
        """Raise ValueError if training described by `before` cannot be resumed here."""
        now = self.described()
        if self.dtype != "auto":
            now["dtype"], before = self.dtype, before | {"dtype": dtype.name}
        for name, value in now.items():
            if value != before.get(name, value):
                raise ValueError(
                    f"Training cannot be resumed with another {name}: it was {before[name]} and is "
                    f"now {value}. Restore it, or start over with warm_start=False or a clone."
                )


def _check_scoring(scoring: Any) -> None:
    known = ("loss", *get_scorer_names())
    if isinstance(scoring, str) and scoring not in known:
        raise ValueError(
            f"scoring={scoring!r} is not a known score.{did_you_mean(scoring, known)} Known names: "
            "'loss' and those in sklearn.metrics.get_scorer_names(). A callable and None are also "
            "allowed."
        )


def _per_layer(name: str, value: Any, n_hidden: int) -> list:
    """Return one value per hidden layer, from a single value or a sequence."""
    if not isinstance(value, tuple | list | np.ndarray):
        return [value] * n_hidden
    if len(value) != n_hidden:
        raise ValueError(
            f"{name}={value!r} has {len(value)} values, but there are {n_hidden} hidden layers."
        )
    return list(value)


def _dropout_rates(estimator: MLP, n_hidden: int, optimizer: Optimizer) -> list[float]:
    given = estimator.dropout
    rates = _per_layer("dropout", given, n_hidden)
    if not all(FRACTION.is_satisfied_by(rate) for rate in rates):
        raise ValueError(
            f"The 'dropout' parameter of {type(estimator).__name__} must be a float in the range "
            f"[0.0, 1.0), or one per hidden layer. Got {given!r} instead."
        )
    if any(rates) and optimizer.full_batch:
        raise ValueError(
            f"{type(optimizer).__name__} needs the same objective in every evaluation: set "
            f"dropout=0.0. Got dropout={given!r}."
        )
    return [float(rate) for rate in rates]


def _choose_dtype(dtype: str, X: Any, full_batch: bool) -> str:
    if dtype != "auto":
        return dtype
    if full_batch:
        # Line searches compare losses that differ only in their last digits.
        return "float64"
    small = X.shape[0] * X.shape[1] < SMALL_TABLE
    return "float64" if small and X.dtype != np.float32 else "float32"


class Sizes(NamedTuple):
    """Numbers of a plan that can depend on the number of samples."""

    batch_size: int
    alpha: float
    l1_ratio: float
    max_iter: int


def choose_sizes(
    loss: Loss,
    optimizer: Optimizer,
    n_samples: int,
    batch_size: int | str = "auto",
    alpha: float | str = "auto",
    l1_ratio: float | str = "auto",
    max_iter: int | str = "auto",
    *,
    crossed: bool = False,
    early_stopping: bool = False,
) -> Sizes:
    """Return these parameters with ``"auto"`` replaced by numbers."""
    full, regress = optimizer.full_batch, loss.task == "regression"
    many = n_samples > MANY_SAMPLES
    batch: Any = batch_size
    # A fixed number of epochs is small, so "auto" compensates by more steps.
    brief = max_iter == "auto" and not early_stopping
    if batch == "auto" and brief and not full:
        batch = min(256, n_samples // 128) if many else SMALL_BATCH
    elif batch == "auto":
        # In benchmarks on small tables, one step per epoch was enough for regression, but not for
        # classification. Cross-fitted networks use a part of each batch.
        few = n_samples if regress else min(n_samples, SMALL_BATCH)
        few = min(n_samples, 2 * SMALL_BATCH) if crossed else few
        batch = few if n_samples < FEW_SAMPLES else min(256, max(64, n_samples // 128))
        batch = n_samples if full else batch
    elif full and batch < n_samples:
        raise ValueError(
            f"{type(optimizer).__name__} needs all {n_samples} samples in every iteration: set "
            f"batch_size='auto'. Got batch_size={batch}."
        )
    # In benchmarks, a smooth penalty was best for regression, and a sparse one for classification
    # (weaker, except on small tables).
    if alpha == "auto":
        alpha = min(0.0015, 10 / n_samples) if regress else 1 / max(500, n_samples)
    if l1_ratio == "auto":
        # Line searches need a smooth penalty.
        l1_ratio = 0.0 if full or regress else 0.15
    if max_iter == "auto":
        # With more samples, an epoch has more steps, and fewer epochs are needed.
        less = (MANY_SAMPLES / n_samples) ** (1.0 if brief else 0.5) if many else 1.0
        max_iter = max(FEWEST_EPOCHS[early_stopping], round(EPOCHS[early_stopping] * less))
    return Sizes(min(int(batch), n_samples), float(alpha), float(l1_ratio), int(max_iter))


def make_plan(estimator: MLP, architecture: Architecture, loss: Loss, n_samples: int) -> Plan:
    """Return the plan for training on `n_samples` samples."""
    given = estimator.batch_size, estimator.alpha, estimator.l1_ratio, estimator.max_iter
    crossed, stops = architecture.crossed, estimator.early_stopping
    sizes = choose_sizes(
        loss, architecture.optimizer, n_samples, *given, crossed=crossed, early_stopping=stops
    )
    # The training loss of the other networks depends on the samples that a network holds out, so it
    # must not determine how long the network is trained.
    fixed = crossed and not estimator.early_stopping
    return Plan(
        loss=loss,
        optimizer=architecture.optimizer,
        schedule=architecture.schedule,
        clip=architecture.clip,
        averaging=architecture.averaging,
        **sizes._asdict(),
        shuffle=estimator.shuffle,
        tol=float(estimator.tol),
        n_iter_no_change=inf if fixed else estimator.n_iter_no_change,
        early_stopping=estimator.early_stopping,
        record=estimator.record,
    )
