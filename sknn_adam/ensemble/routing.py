"""Splits, sample weights and metadata routing of estimators that cross-fit others."""

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    get_routing_for_object,
    process_routing,
)
from sklearn.utils.validation import check_is_fitted

from sknn_adam._estimator.scoring import takes_weights
from sknn_adam._training.splits import Folds, make_folds
from sknn_adam._utils.validation import group_codes

__all__ = ["CrossFitting", "is_dropped"]


class CrossFitting(BaseEstimator):
    """Base class of estimators that cross-fit one or more others."""

    cv: Any
    random_state: Any
    # As for the networks: passed on to fit only if set_fit_request or the splitter requests it.
    __metadata_request__fit: ClassVar = {"groups": False}

    @property
    def _named(self) -> list[tuple[str, Any]]:
        """Names and unfitted estimators."""
        raise NotImplementedError

    def _when_fitted(self, name: str) -> Any:
        """Return this estimator; raise AttributeError for an attribute that ``fit`` sets."""
        try:
            check_is_fitted(self)
        except NotFittedError as error:
            raise AttributeError(f"{type(self).__name__} object has no attribute {name}") from error
        return self

    @property
    def _splitter(self) -> Any:
        """Number of folds, splitter or splits."""
        return self.cv

    @property
    def _fold_state(self) -> Any:
        """Random state of the folds."""
        return self.random_state

    def _folds(self, X: Any, y: Any, classes: Any, groups: Any, weight: Any) -> Folds:
        codes = None if classes is None else np.searchsorted(classes, y)
        cv = self._splitter
        groups = None if groups is None else group_codes(groups)
        if isinstance(cv, Integral):
            splitter: Any = KFold if codes is None else StratifiedKFold
            if groups is not None:
                splitter = GroupKFold if codes is None else StratifiedGroupKFold
            cv = splitter(int(cv), shuffle=True, random_state=self._fold_state)
        table = X if hasattr(X, "shape") else np.empty((len(y), 0))
        return make_folds(cv, 1, table, y, codes, groups, weight, 1, None)

    def _fit_params(self, sample_weight: Any, groups: Any) -> dict[str, dict[str, Any]]:
        """Return the metadata of ``fit`` for each estimator."""
        given = {} if sample_weight is None else {"sample_weight": np.asarray(sample_weight)}
        if get_config()["enable_metadata_routing"]:
            requested = get_routing_for_object(self).consumes("fit", ["groups"])
            if groups is not None and requested:
                given["groups"] = groups
            if not given:
                return {name: {} for name, _ in self._named}
            routed = process_routing(self, "fit", **given)
            return {name: dict(routed[name].fit) for name in routed if name != "splitter"}
        return {
            name: {_weight_name(name, estimator): given["sample_weight"]} if given else {}
            for name, estimator in self._named
        }

    def get_metadata_routing(self) -> Any:
        """Return the metadata that this estimator, those inside it and the splitter request.

        Returns
        -------
        routing : MetadataRouter
            The routing of the metadata of ``fit``.
        """
        router = MetadataRouter(owner=self).add_self_request(self)
        for name, estimator in self._named:
            if not is_dropped(estimator):
                to_fit = MethodMapping().add(caller="fit", callee="fit")
                router.add(**{name: estimator}, method_mapping=to_fit)
        if hasattr(self._splitter, "split"):
            to_split = MethodMapping().add(caller="fit", callee="split")
            router.add(splitter=self._splitter, method_mapping=to_split)
        return router


def is_dropped(estimator: Any) -> bool:
    """Return whether an entry of `estimators` is ``"drop"``."""
    return isinstance(estimator, str) and estimator == "drop"


def _weight_name(name: str, estimator: Any) -> str:
    """Return the name of the sample weights in ``fit`` of an estimator, without routing."""
    if is_dropped(estimator):
        return "sample_weight"
    prefix = ""
    while isinstance(estimator, Pipeline):
        step, estimator = estimator.steps[-1]
        prefix += f"{step}__"
    if not takes_weights(estimator.fit):
        raise TypeError(f"Underlying estimator {name!r} does not support sample weights.")
    return f"{prefix}sample_weight"
