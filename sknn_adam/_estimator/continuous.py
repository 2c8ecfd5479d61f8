"""Regression targets: scaling, and predictions from raw outputs."""

from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import column_or_1d

from sknn_adam._utils.validation import check_labels, check_numbers
from sknn_adam.losses import Loss

__all__ = ["Continuous"]


class Continuous:
    """Continuous targets, scaled to ``(y - shift) / scale`` for training.

    Parameters
    ----------
    shift, scale : ndarray of shape (n_outputs,)
        Shift and scale of each output.
    """

    numeric: ClassVar[bool] = True

    def __init__(self, shift: np.ndarray, scale: np.ndarray):
        self.shift, self.scale = shift, scale

    @staticmethod
    def check(y: Any) -> None:
        """Raise ValueError for missing, masked or non-numeric targets."""
        check_labels(y)
        check_numbers(y, "y")

    @staticmethod
    def learn(
        estimator: Any, y: np.ndarray, weight: Any, loss: Any, classes: Any = None
    ) -> "Continuous":
        """Learn the scaling from the first `y`, ignoring samples with weight zero."""
        if weight is not None:
            used = weight > 0
            y, weight = y[used], weight[used]
        columns = _as_matrix(y)
        loss.check_targets(columns, True)
        if estimator.target_scaling:
            return Continuous(*loss.scaling(columns, weight))
        return Continuous(np.zeros(columns.shape[1]), np.ones(columns.shape[1]))

    def published(self) -> dict[str, Any]:
        """Return the fitted attributes of an estimator with these targets."""
        return {"n_outputs_": self.n_outputs}

    @property
    def n_outputs(self) -> int:
        """Number of outputs."""
        return len(self.shift)

    def loss(self, loss: Loss) -> Loss:
        """Return the loss to train with."""
        return loss

    # -- targets --------------------------------------------------------------------------------

    def encode(
        self, y: np.ndarray, loss: Any, classes: Any = None, learned: bool = False
    ) -> np.ndarray:
        """Return the scaled targets, float64 of shape (n_samples, n_outputs).

        Parameters
        ----------
        y : ndarray
            Targets.
        loss : RegressionLoss
            The loss, which checks the targets.
        classes : None
            Ignored.
        learned : bool, default=False
            Whether the scaling was learned from `y`.
        """
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        columns = _as_matrix(y)
        if not learned:
            loss.check_targets(columns, False)
        if columns.shape[1] != self.n_outputs:
            raise ValueError(
                f"y has {columns.shape[1]} outputs, but MLPRegressor was fitted with "
                f"{self.n_outputs}."
            )
        with np.errstate(over="ignore"):
            distance = columns - self.shift
        # Divide first if the difference overflows.
        if np.isfinite(distance).all():
            return distance / self.scale
        return columns / self.scale - self.shift / self.scale

    def check_resumed(self, y: Any) -> None:
        """Do nothing: training can be resumed with any targets."""

    def missing(self, y: np.ndarray) -> list:
        """Return an empty list: there are no classes that `y` could lack."""
        return []

    def weights(self, estimator: Any, weight: Any, codes: np.ndarray, partial: bool = False) -> Any:
        """Return the sample weights; there are no class weights."""
        return weight

    # -- predictions ----------------------------------------------------------------------------

    def predictions(self, loss: Any, z: np.ndarray, dtype: Any) -> np.ndarray:
        """Return predictions, averaged over members."""
        return self._unscaled(_mean(loss.predict(z)), self.shift, dtype)

    def points(self, loss: Any, z: np.ndarray, dtype: Any) -> np.ndarray:
        """Return a single prediction per output, even for losses that predict several quantiles."""
        return self._unscaled(_mean(loss.point(z)), self.shift, dtype)

    def deviations(self, loss: Any, z: np.ndarray, dtype: Any) -> np.ndarray:
        """Return standard deviations; for several members, those of their mixture."""
        deviation = loss.deviation(z)
        if z.ndim == 3:
            between = loss.predict(z).var(axis=0)
            deviation = np.sqrt((deviation**2).mean(axis=0) + between)
        return self._unscaled(deviation, 0, dtype)

    def _unscaled(self, predicted: np.ndarray, shift: Any, dtype: Any) -> np.ndarray:
        """Return finite predictions in the scale and shape of the targets."""
        dtype = self.dtype(dtype)
        largest = np.finfo(dtype).max
        with np.errstate(over="ignore"):
            predicted = np.clip(predicted * self.scale + shift, -largest, largest)
        predicted = predicted.astype(dtype, copy=False)
        return predicted.ravel() if predicted.shape[1] == 1 else predicted

    def dtype(self, dtype: Any) -> Any:
        """Return `dtype`, or float64 if the scale of the targets is out of range for float32."""
        largest = max(self.scale.max(), np.abs(self.shift).max())
        return dtype if largest < 1e35 and self.scale.min() > 1e-35 else np.dtype(np.float64)

    def folded(self, loss: Any, coef: np.ndarray, intercept: np.ndarray) -> list[np.ndarray]:
        """Return weights and biases of the last layer with the scaling folded in."""
        if not self.shift.any() and (self.scale == 1).all():
            return [coef, intercept]
        dtype = self.dtype(coef.dtype)
        factor, offset = loss.raw_scaling(self.shift, self.scale)
        largest = np.finfo(dtype).max
        with np.errstate(over="ignore"):
            scaled = coef * factor, intercept * factor + offset
        return [np.clip(array, -largest, largest).astype(dtype) for array in scaled]


def _as_matrix(y: np.ndarray) -> np.ndarray:
    return y.reshape(len(y), -1).astype(np.float64, copy=False)


def _mean(predicted: np.ndarray) -> np.ndarray:
    """Average predictions over members, if there are several."""
    return predicted if predicted.ndim == 2 else predicted.mean(axis=0)
