"""Raw outputs and derived attributes of a fitted estimator."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sknn_adam._utils.validation import is_plain, validate_input

__all__ = ["Published", "joined"]


def joined(first: Any, second: Any, order: np.ndarray) -> Any:
    """Concatenate two arrays, or two lists of arrays, with their samples in the given order."""
    if isinstance(first, list):
        return [joined(*pair, order) for pair in zip(first, second, strict=True)]
    return np.concatenate([first, second])[order]


class Published(BaseEstimator):
    """Predictions and derived attributes of both estimators."""

    _network: Any
    _run: Any
    _loss: Any
    _targets: Any
    n_iter_: int
    t_: int
    history_: Any
    best_validation_score_: float | None

    def member_predictions(self, X: Any) -> Any:
        """Return the predictions of each member; their spread indicates uncertainty.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        predictions : ndarray of shape (n_members, n_samples, ...)
            The result of ``predict_proba`` of a classifier, or ``predict`` of a regressor, for each
            member. For multioutput classification, a list with one array per column of `y`.
        """
        z, dtype = self._raw(X)
        members = z if z.ndim == 3 else z[None]
        each = [self._targets.predictions(self._loss, member, dtype) for member in members]
        if isinstance(each[0], list):
            return [np.stack(column) for column in zip(*each, strict=True)]
        return np.stack(each)

    def _raw(self, X: Any) -> tuple[np.ndarray, Any]:
        """Return the raw outputs and the dtype of the validated X."""
        known = vars(self)
        wanted = 0 if "feature_names_in_" in known else known.get("n_features_in_", 0)
        if not is_plain(X, wanted):
            check_is_fitted(self)
            X = validate_input(self, X, accept_sparse="csr", reset=False)
        return self._network.predict(X), X.dtype

    # -- derived attributes ---------------------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_network")

    @property
    def coefs_(self) -> list[np.ndarray]:
        """Weight matrix of each layer, shape (fan_in, fan_out), for a plain forward pass.

        For several members, shape (n_members, fan_in, fan_out).
        """
        return self._published("coefs_")[0]

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """Bias vector of each layer, shape (fan_out,) or (n_members, fan_out)."""
        return self._published("intercepts_")[1]

    def _published(self, name: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"{type(self).__name__} is not fitted yet: it has no {name}.")
        return self._weights()

    def _weights(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return self._network.folded()

    @property
    def loss_curve_(self) -> list[float]:
        """Training loss of each epoch, including the penalty: the mean over its minibatches."""
        return self.history_["loss"]

    @property
    def loss_(self) -> float:
        """Loss of the last epoch."""
        return self.loss_curve_[-1] if self.loss_curve_ else float("inf")

    @property
    def best_loss_(self) -> float | None:
        """Smallest loss of any epoch; None with early stopping, which uses the score instead."""
        if self.best_validation_score_ is not None:
            return None
        return min(self.loss_curve_, default=float("inf"))
