"""Raw outputs and derived attributes of a fitted estimator."""

from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sknn_adam._utils.validation import is_plain, validate_input

__all__ = ["Published", "joined"]

RENAMED_ATTRIBUTES = {
    "t_": "The number of optimizer steps is called 'n_steps_'; scikit-learn's t_ counts samples.",
}


def joined(parts: list, order: np.ndarray) -> Any:
    """Concatenate arrays, or the columns of lists of arrays, with samples in the given order."""
    if isinstance(parts[0], list):
        return [joined(list(column), order) for column in zip(*parts, strict=True)]
    return np.concatenate(parts)[order]


class Published(BaseEstimator):
    """Predictions and derived attributes of both estimators."""

    _network: Any
    _run: Any
    _loss: Any
    _targets: Any
    _structure: dict[str, str]
    best_iter_: Any
    n_iter_: int
    n_steps_: int
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
        each = [
            self._targets.of(m).predictions(self._loss, member, dtype)
            for m, member in enumerate(z if z.ndim == 3 else z[None])
        ]
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

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in RENAMED_ATTRIBUTES:
                raise AttributeError(
                    f"{type(self).__name__!r} object has no attribute {name!r}. "
                    f"{RENAMED_ATTRIBUTES[name]}"
                )
            # Raises the error of the property or method, or the standard one.
            return object.__getattribute__(self, name)

    # -- derived attributes ---------------------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_network")

    @property
    def members_(self) -> list[Any]:
        """The networks as fitted estimators with ``n_members=1`` and ``cv=None``."""
        self._check_published("members_")
        # The list must not contain the estimator itself: tools such as skl2onnx look for estimators
        # in all attributes, recursively.
        if self._network.members is None:
            raise AttributeError(
                f"This {type(self).__name__} has a single network: use the estimator itself."
            )
        return [self._member(m) for m in range(self._network.members)]

    def _member(self, m: int) -> Any:
        """Return an estimator whose only network is member `m`."""
        member = self._with(
            n_members=1,
            cv=None,
            _network=self._network.member(m),
            _targets=self._targets.of(m),
            _structure={**self._structure, "n_members": "1", "cv": "None"},
            _run=None,
            best_iter_=int(np.broadcast_to(self.best_iter_, self._network.members)[m]),
        )
        for name in ("oof_prediction_", "oof_std_", "oof_score_", "oof_loss_"):
            vars(member).pop(name, None)
        return member

    def _with(self, **values: Any) -> Any:
        """Return a copy with other attributes."""
        other = copy(self)
        other.__dict__.update(values)
        return other

    @property
    def coefs_(self) -> list[np.ndarray]:
        """Weight matrix of each layer, shape (fan_in, fan_out), for a plain forward pass."""
        return self._published("coefs_")[0]

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """Bias vector of each layer, shape (fan_out,)."""
        return self._published("intercepts_")[1]

    def _check_published(self, name: str) -> None:
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"{type(self).__name__} is not fitted yet: it has no {name}.")

    def _published(self, name: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
        self._check_published(name)
        if self._network.members is not None:
            n_networks = self._network.members
            raise AttributeError(
                f"This {type(self).__name__} has {n_networks} network{'s' * (n_networks > 1)} in "
                f"members_: use members_[i].{name}."
            )
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
