"""Targets of regression: their scaling, and predictions from raw outputs."""

from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import column_or_1d

from sknn_adam._utils.validation import check_labels, check_numbers
from sknn_adam.losses import Loss

__all__ = ["Continuous"]


class Continuous:
    """One or several columns of numbers; the network is trained with ``(y - shift) / scale``.

    Parameters
    ----------
    shift, scale : ndarray of shape (n_outputs,)
        The scaling.
    """

    numeric: ClassVar[bool] = True

    def __init__(self, shift: np.ndarray, scale: np.ndarray):
        self.shift, self.scale = shift, scale

    @staticmethod
    def check(y: Any) -> None:
        """Raise ValueError for targets that are missing, masked or not numbers."""
        check_labels(y)
        check_numbers(y, "y")

    @staticmethod
    def learn(
        estimator: Any, y: np.ndarray, weight: Any, loss: Any, classes: Any = None
    ) -> "Continuous":
        """Return the scaling of the first `y`; samples without weight do not count."""
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
        """Return the number of columns."""
        return len(self.shift)

    def loss(self, loss: Loss) -> Loss:
        """Return the loss that the network is trained with."""
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
            The loss, which may refuse targets.
        classes : None
            Numbers have no classes.
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
        if np.isfinite(distance).all():
            return distance / self.scale
        return columns / self.scale - self.shift / self.scale

    def check_resumed(self, y: Any) -> None:
        """Do nothing: training can be resumed with any targets."""

    def missing(self, y: np.ndarray) -> list:
        """Return the classes that `y` lacks: none."""
        return []

    def weights(self, estimator: Any, weight: Any, codes: np.ndarray, partial: bool = False) -> Any:
        """Return the sample weights: there are no class weights."""
        return weight

    # -- predictions ----------------------------------------------------------------------------

    def predictions(self, loss: Any, z: np.ndarray, dtype: Any) -> np.ndarray:
        """Return predictions, averaged over members."""
        return self._unscaled(_mean(loss.predict(z)), self.shift, dtype)

    def points(self, loss: Any, z: np.ndarray, dtype: Any) -> np.ndarray:
        """Return one prediction for each output, where the loss may predict several."""
        return self._unscaled(_mean(loss.point(z)), self.shift, dtype)

    def deviations(self, loss: Any, z: np.ndarray, dtype: Any) -> np.ndarray:
        """Return standard deviations, for members those of the mixture."""
        deviation = loss.deviation(z)
        if z.ndim == 3:
            between = loss.predict(z).var(axis=0)
            deviation = np.sqrt((deviation**2).mean(axis=0) + between)
        return self._unscaled(deviation, 0, dtype)

    def _unscaled(self, predicted: np.ndarray, shift: Any, dtype: Any) -> np.ndarray:
        """Return finite predictions on the scale, and in the shape, of the targets."""
        dtype = self.dtype(dtype)
        largest = np.finfo(dtype).max
        with np.errstate(over="ignore"):
            predicted = np.clip(predicted * self.scale + shift, -largest, largest)
        predicted = predicted.astype(dtype, copy=False)
        return predicted.ravel() if predicted.shape[1] == 1 else predicted

    def dtype(self, dtype: Any) -> Any:
        """Return `dtype`, or float64 if float32 cannot hold numbers on the scale of the targets."""
        largest = max(self.scale.max(), np.abs(self.shift).max())
        return dtype if largest < 1e35 and self.scale.min() > 1e-35 else np.dtype(np.float64)

    def folded(self, loss: Any, coef: np.ndarray, intercept: np.ndarray) -> list[np.ndarray]:
        """Return the weights of the last layer with the scaling folded in."""
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
    """Return the mean over the members, where there are several."""
    return predicted if predicted.ndim == 2 else predicted.mean(axis=0)
