"""What both estimators share: translation between scikit-learn and the training function.

Validate, encode targets, build, train, publish fitted attributes, predict. No maths here.
"""

import re
import warnings
from abc import ABCMeta, abstractmethod
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from sknn_adam._component import NestedNames, Table
from sknn_adam._validation import (
    NON_NEGATIVE,
    POSITIVE_INTEGER,
    UNIT_INTERVAL,
    Interval,
    StrOptions,
    check_parameters,
    check_sample_weight,
    unchanged_on_error,
)
from sknn_adam.activations import ACTIVATIONS
from sknn_adam.clipping import CLIPPINGS
from sknn_adam.initializers import INITIALIZERS
from sknn_adam.network import Network, build
from sknn_adam.normalization import NORMALIZATIONS
from sknn_adam.optimizers import OPTIMIZERS
from sknn_adam.schedules import SCHEDULES
from sknn_adam.training import Data, Plan, Run, train

SMALL_TABLE = 2**16  # elements: below this, float64 costs nothing
SIZES = re.compile(r"[1-9]\d*(x[1-9]\d*)?(-[1-9]\d*(x[1-9]\d*)?)*")


def parse_sizes(sizes: Any) -> tuple[int, ...]:
    """Return the widths of the hidden layers.

    Parameters
    ----------
    sizes : int, sequence of int, or str
        ``100``, ``(128, 64)``, ``"128-64"``, or ``"256x3"`` for three layers of 256.

    Returns
    -------
    widths : tuple of int
        One positive integer per hidden layer; empty for a linear model.
    """
    if isinstance(sizes, str):
        if SIZES.fullmatch(sizes):
            pairs = (part.partition("x") for part in sizes.split("-"))
            return tuple(int(w) for w, _, times in pairs for _ in range(int(times or 1)))
    elif isinstance(sizes, Integral) and not isinstance(sizes, bool):
        if int(sizes) > 0:
            return (int(sizes),)
    elif isinstance(sizes, tuple | list | np.ndarray) and all(
        isinstance(w, Integral) and not isinstance(w, bool) and int(w) > 0 for w in sizes
    ):
        return tuple(int(w) for w in sizes)
    raise ValueError(
        "hidden_layer_sizes must be a positive int, a sequence of positive ints, or a string "
        f"such as '128-64' or '256x3'. Got {sizes!r} instead."
    )


class BaseMLP(NestedNames, BaseEstimator, metaclass=ABCMeta):
    """Base of MLPClassifier and MLPRegressor."""

    _tables: ClassVar[dict[str, Table]] = {
        "activation": ACTIVATIONS,
        "initializer": INITIALIZERS,
        "bias_initializer": INITIALIZERS,
        "normalization": NORMALIZATIONS,
        "optimizer": OPTIMIZERS,
        "schedule": SCHEDULES,
        "gradient_clip": CLIPPINGS,
    }
    _renamed: ClassVar[dict[str, str]] = {
        "solver": "'optimizer'",
        "learning_rate_init": "'optimizer__learning_rate'",
        "learning_rate": "'optimizer__learning_rate' (a number) and 'schedule' (its course)",
        "power_t": "'schedule'",
        "momentum": "'optimizer__momentum'",
        "nesterovs_momentum": "'optimizer__nesterov'",
        "beta_1": "'optimizer__beta_1'",
        "beta_2": "'optimizer__beta_2'",
        "epsilon": "'optimizer__epsilon'",
        "max_fun": "'max_iter'",
    }
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "alpha": [NON_NEGATIVE],
        "l1_ratio": [UNIT_INTERVAL],
        "batch_size": [StrOptions({"auto"}), POSITIVE_INTEGER],
        "max_iter": [POSITIVE_INTEGER],
        "shuffle": ["boolean"],
        "n_iter_no_change": [Interval(Real, 1, np.inf, closed="both")],
        "tol": [NON_NEGATIVE],
        "warm_start": ["boolean"],
        "on_divergence": [StrOptions({"warn", "raise"})],
        "dtype": [StrOptions({"auto", "float32", "float64"})],
        "random_state": ["random_state"],
    }

    # -- what the two estimators do differently -------------------------------------------------

    @abstractmethod
    def _encode(self, y: np.ndarray, weight: Any, first: bool, classes: Any) -> np.ndarray:
        """Return the targets as the loss takes them; on the first call learn how."""

    # -- fitting --------------------------------------------------------------------------------

    @unchanged_on_error
    def fit(self, X, y, sample_weight=None):
        """Fit the network to data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features. float32 and float64 are taken as they are, other types are converted.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets: numbers for a regressor, labels or a 0/1 matrix of labels for a classifier.
        sample_weight : array-like of shape (n_samples,), optional
            Weights, not negative, with a positive sum. Only their ratios matter; rows of weight
            zero are left out from the start.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        first = not (self.warm_start and hasattr(self, "_run"))
        plan, data = self._prepare(X, y, sample_weight, first)
        run = self._run
        if run.stop_reason is not None or first:
            run.new_fit()
        train(run, plan, data, self.max_iter - (run.clock.epoch - run.first_epoch))
        run.stop_reason = run.stop_reason or "max_iter"
        self._publish(plan)
        if not self.warm_start:
            del self._run
            self._network.release()
        return self

    def _partial_fit(self, X, y, sample_weight, classes=None):
        optimizer = OPTIMIZERS.resolve(self.optimizer)
        if optimizer.full_batch:
            raise ValueError(
                f"{type(optimizer).__name__} minimizes over all rows and has no partial_fit. Use "
                "fit, or another optimizer."
            )
        plan, data = self._prepare(X, y, sample_weight, not hasattr(self, "_run"), classes)
        self._run.stop_reason = None
        train(self._run, plan, data, 1)
        if self._run.stop_reason == "tol":  # whoever calls decides when to stop
            self._run.stop_reason = None
        self._publish(plan)
        return self

    def _prepare(self, X, y, sample_weight, first, classes=None) -> tuple[Plan, Data]:
        """Check everything that can be wrong; make the run if it is the first call."""
        check_parameters(self)
        parts = {name: table.resolve(getattr(self, name)) for name, table in self._tables.items()}
        widths = parse_sizes(self.hidden_layer_sizes)
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            multi_output=True,
            y_numeric=self._tables["loss"].base.task == "regression",
            ensure_min_samples=2 if first and classes is None else 1,
            reset=first,
        )
        weight = None
        if sample_weight is not None:
            weight = check_sample_weight(sample_weight, X)
            if not weight.all():
                rows = np.flatnonzero(weight)
                X, y, weight = X[rows], y[rows], weight[rows]
            weight = weight / weight.mean()
        batch_size = self._choose_batch_size(parts["optimizer"], X.shape[0])
        targets = self._encode(y, weight, first, classes)
        if first:
            self._run = Run(*self._start(X, widths, parts))
        run = self._run
        self._check_architecture(run.network, widths)
        dtype = run.network.dtype
        plan = Plan(
            parts["loss"],
            parts["optimizer"],
            parts["schedule"],
            parts["gradient_clip"],
            self.alpha,
            self.l1_ratio,
            batch_size,
            self.max_iter,
            self.shuffle,
            self.tol,
            self.n_iter_no_change,
        )
        if first:
            run.begin(plan)
        if targets.dtype.kind == "f":
            targets = targets.astype(dtype, copy=False)
        weight = None if weight is None else weight.astype(dtype)
        return plan, Data(X, targets, weight, plan.batch_size, dtype)

    def _start(self, X, widths, parts) -> tuple[Network, np.random.Generator]:
        """Return a new network with its first weights, and the run's random generator."""
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        rng = np.random.default_rng(seed)
        network = build(
            X.shape[1],
            widths,
            parts["loss"].n_raw(self.n_outputs_),
            [parts["activation"]] * len(widths),
            normalization=parts["normalization"],
            dtype=self._choose_dtype(X, parts["optimizer"]),
        )
        network.initialize(parts["initializer"], parts["bias_initializer"], rng)
        return network, rng

    def _choose_batch_size(self, optimizer, n_rows: int) -> int:
        if self.batch_size == "auto":
            return n_rows if optimizer.full_batch else min(200, n_rows)
        if optimizer.full_batch and self.batch_size < n_rows:
            raise ValueError(
                f"{type(optimizer).__name__} needs all {n_rows} rows in every iteration: set "
                f"batch_size='auto'. Got batch_size={self.batch_size}."
            )
        return self.batch_size

    def _choose_dtype(self, X, optimizer) -> str:
        if self.dtype != "auto":
            return self.dtype
        if optimizer.full_batch:  # line searches compare values that differ in the last digits
            return "float64"
        small = X.shape[0] * X.shape[1] < SMALL_TABLE
        return "float64" if small and X.dtype != np.float32 else "float32"

    def _check_architecture(self, network: Network, widths: tuple[int, ...]) -> None:
        found = tuple(layer.fan_out for layer in network.dense()[:-1])
        if found != widths:
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes!r} does not fit the network of "
                f"{found} that training would go on with. Set warm_start=False or clone the "
                "estimator to start anew."
            )

    def _publish(self, plan: Plan) -> None:
        """Set the fitted attributes from the run; warn if training diverged."""
        run = self._run
        point = plan.optimizer.evaluation_point(run.network.theta, run.optimizer_state)
        self._network = run.network.at(point)
        self._loss = plan.loss
        self.optimizer_ = plan.optimizer
        self.history_ = run.history
        self.n_iter_ = run.clock.epoch - run.first_epoch
        self.t_ = run.clock.step
        self.n_layers_ = len(run.network.dense()) + 1
        self.stop_reason_ = run.stop_reason
        self.converged_ = run.stop_reason in ("tol", "early_stopping")
        if run.stop_reason == "diverged":
            message = (
                f"Training diverged in epoch {run.clock.epoch + 1} with {plan.optimizer!r}, "
                f"batch_size={plan.batch_size}. Scale X, lower learning_rate, or set "
                "gradient_clip=1.0. The best finite weights were kept."
            )
            if self.on_divergence == "raise":
                raise FloatingPointError(message)
            warnings.warn(message, ConvergenceWarning, stacklevel=3)

    # -- predicting -----------------------------------------------------------------------------

    def _raw(self, X) -> tuple[np.ndarray, Any]:
        """Return the raw outputs and the dtype of the checked X."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)
        return self._network.predict(X), X.dtype

    # -- fitted attributes that follow from others ----------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_network")

    @property
    def coefs_(self) -> list[np.ndarray]:
        """Weight matrices (fan_in, fan_out): a plain forward pass through them predicts."""
        return self._weights()[0]

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """Biases (fan_out,), one vector per layer."""
        return self._weights()[1]

    def _weights(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return self._network.folded()

    @property
    def loss_curve_(self) -> list[float]:
        """Mean loss of each epoch: of the minibatches before their updates, plus the penalty."""
        return self.history_["loss"] if len(self.history_) else []

    @property
    def loss_(self) -> float:
        """Loss of the last epoch."""
        return self.loss_curve_[-1] if self.loss_curve_ else float("inf")

    @property
    def best_loss_(self) -> float:
        """Smallest loss of an epoch."""
        return min(self.loss_curve_, default=float("inf"))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        return tags
