"""The elastic-net penalty on the weights."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sknn_adam._backends.numpy_backend import NUMPY, Backend

__all__ = ["Penalty"]


@dataclass(frozen=True)
class Penalty:
    """The penalty ``alpha ((1 - l1_ratio) / 2 |W|^2 + l1_ratio |W|_1)``."""

    alpha: float
    l1_ratio: float

    @property
    def factors(self) -> tuple[float, float]:
        """The factors of ``|W|^2 / 2`` and ``|W|_1``."""
        return self.alpha * (1 - self.l1_ratio), self.alpha * self.l1_ratio

    def of_norms(self, squares: Any, absolute: Any) -> Any:
        """Return the penalty for given sums of squares and of absolute values."""
        l2, l1 = self.factors
        return l2 / 2 * squares + l1 * absolute

    def __call__(self, weights: np.ndarray) -> float:
        """Return the penalty of a vector of weights, in double precision."""
        weights = weights.astype(np.float64)
        return float(self.of_norms(np.dot(weights, weights), np.abs(weights).sum()))

    def add(
        self,
        value: Any,
        weights: np.ndarray,
        grad: np.ndarray,
        bounds: np.ndarray | None = None,
        kernels: Backend = NUMPY,
    ) -> Any:
        """Return `value` plus the penalty; add the gradient of the penalty to `grad`.

        `bounds` are the limits of the members' weight matrices. With them, `value` has one entry
        per member.
        """
        return kernels.penalize(value, weights, bounds, grad, *self.factors)
