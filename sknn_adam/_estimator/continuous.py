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
        Shift and scale of each output; of shape (n_members, 1, n_outputs) if each member of a
        cross-fitted estimator has its own, which do not depend on the samples that it holds out.
    double : bool, default=False
        Whether predictions are float64 whatever the dtype of X is, because the targets were.
    """

    numeric: ClassVar[bool] = True
    double: bool = False

    def __init__(self, shift: np.ndarray, scale: np.ndarray, double: bool = False):
        self.shift, self.scale = shift, scale
        # The archives of earlier versions have no such attribute.
        if double:
            self.double = double

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
        columns, double = _as_matrix(y), y.dtype == np.float64
        loss.check_targets(columns, True)
        shift, scale = np.zeros(columns.shape[1]), np.ones(columns.shape[1])
        if estimator.target_scaling:
            shift, scale = loss.scaling(columns, weight)
        return Continuous(shift, scale, double)

    def published(self) -> dict[str, Any]:
        """Return the fitted attributes of an estimator with these targets."""
        return {"n_outputs_": self.n_outputs}

    @property
    def n_outputs(self) -> int:
        """Number of outputs."""
        return self.shift.shape[-1]

    def per_network(self, estimator: Any, y: np.ndarray, weights: Any, loss: Any) -> "Continuous":
        """Return targets scaled for each network by the samples with positive weight.

        `weights` has shape (n_networks, n_samples).
        """
        if not estimator.target_scaling:
            return self
        columns, known = _as_matrix(y), {}
        for weight in weights:
            used = weight > 0
            # Networks of the same split have equal weights.
            if weight.tobytes() not in known:
                known[weight.tobytes()] = loss.scaling(columns[used], weight[used])
        scalings = [known[weight.tobytes()] for weight in weights]
        shift, scale = (np.stack(values)[:, None] for values in zip(*scalings, strict=True))
        return Continuous(shift, scale, self.double)

    def of(self, members: Any) -> "Continuous":
        """Return the targets of a member, or of an array with one member per prediction."""
        if self.shift.ndim == 1:
            return self
        return Continuous(self.shift[:, 0][members], self.scale[:, 0][members], self.double)

    def loss(self, loss: Loss) -> Loss:
        """Return the loss to train with."""
        return loss

    # -- targets --------------------------------------------------------------------------------

    def encode(
        self, y: np.ndarray, loss: Any, classes: Any = None, learned: bool = False
    ) -> np.ndarray:
        """Return the scaled targets, float64 of shape ([n_members,] n_samples, n_outputs).

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
        return self._unscaled(loss.predict(z), dtype)

    def points(self, loss: Any, z: np.ndarray, dtype: Any) -> np.ndarray:
        """Return a single prediction per output, even for losses that predict several quantiles."""
        return self._unscaled(loss.point(z), dtype)

    def deviations(self, loss: Any, z: np.ndarray, dtype: Any) -> np.ndarray:
        """Return standard deviations; for several members, those of their mixture."""
        deviation, common = loss.deviation(z), self.scale
        if z.ndim == 3:
            centers = loss.predict(z)
            if self.scale.ndim > 1:
                # Squares of extreme scales would overflow.
                common = self.scale.max(axis=0)
                factor = self.scale / common
                deviation, offset = deviation * factor, (self.shift - self.shift[0]) / common
                centers = centers * factor + offset
            deviation = np.sqrt((deviation**2).mean(axis=0) + centers.var(axis=0))
        return self._shaped(deviation, common, 0, dtype)

    def _unscaled(self, predicted: np.ndarray, dtype: Any) -> np.ndarray:
        """Return finite predictions, averaged over members, in the scale of the targets."""
        if predicted.ndim == 2:
            return self._shaped(predicted, self.scale, self.shift, dtype)
        if self.scale.ndim == 1:
            return self._shaped(predicted.mean(axis=0), self.scale, self.shift, dtype)
        with np.errstate(over="ignore"):
            # Dividing first avoids an overflow of the sum.
            mean = (predicted * (self.scale / len(predicted)) + self.shift / len(predicted)).sum(0)
        return self._shaped(mean, 1, 0, dtype)

    def _shaped(self, predicted: np.ndarray, scale: Any, shift: Any, dtype: Any) -> np.ndarray:
        """Return finite values in the scale and shape of the targets."""
        dtype = np.dtype(np.float64) if self.double else self.dtype(dtype)
        largest = np.finfo(dtype).max
        with np.errstate(over="ignore"):
            predicted = np.clip(predicted * scale + shift, -largest, largest)
        predicted = predicted.astype(dtype, copy=False)
        return predicted.ravel() if predicted.shape[1] == 1 else predicted

    def dtype(self, dtype: Any) -> Any:
        """Return `dtype`, or float64 if float32 cannot represent the targets.

        They are out of range, or differences of a thousandth of the scale would be rounded, as for
        times in seconds since 1970.
        """
        size, scale = np.abs(self.shift), self.scale
        in_range = max(scale.max(), size.max()) < 1e35 and scale.min() > 1e-35
        fine = in_range and (np.spacing(size.astype(np.float32)) < 1e-3 * scale).all()
        return dtype if fine else np.dtype(np.float64)

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
