"""Finding the fitted networks inside an estimator, and the way back to their parameters."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError

__all__ = ["Inside", "fitted_network", "fitted_networks"]

# Fitted attribute that holds one estimator, and the parameter that it was cloned from.
ONE = {
    "best_estimator_": "estimator",
    "regressor_": "regressor",
    "estimator_": "estimator",
    "classifier_": "classifier",
    "estimator": "estimator",
}
SPACES = ("param_grid", "param_distributions", "search_spaces")


@dataclass
class Inside:
    """A fitted network and its place in the outermost estimator.

    Parameters
    ----------
    network : MLPClassifier or MLPRegressor
        The network itself.
    X, y : array-like or None
        The given samples, as they reach the network.
    prefix : str, default=""
        Prefix of its parameters in ``set_params`` of the outermost estimator.
    around : list of (str, estimator)
        The estimators around it from outside to inside, with the prefix of their parameters.
    """

    network: Any
    X: Any = None
    y: Any = None
    prefix: str = ""
    around: list[tuple[str, Any]] = field(default_factory=list)

    def named(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return parameters of the network as those of the outermost estimator.

        A search would overwrite the parameters that it searches, so they leave its space.
        """
        full = {f"{self.prefix}{name}": value for name, value in params.items()}
        for prefix, search in self.around:
            attribute = next((name for name in SPACES if hasattr(search, name)), None)
            if attribute is None:
                continue
            inner = [name.removeprefix(f"{prefix}estimator__") for name in full]
            space, kept = _without(getattr(search, attribute), inner)
            for name in kept:  # components keep the values that the search found best
                value = search.best_params_[name]
                value = clone(value) if isinstance(value, BaseEstimator) else value
                full = {f"{prefix}estimator__{name}": value, **full}
            if space is not None:
                full[f"{prefix}{attribute}"] = space
        return full


def _without(space: Any, names: list[str]) -> tuple[Any, set[str]]:
    """Return a space without these parameters, and the components in it that have them.

    The space is None where it has none of them, or nothing else.
    """
    changed: list[Any] = []
    taken: set[str] = set()
    left = False
    for subspace in space if isinstance(space, list) else [space]:
        inner, *n_iter = subspace if isinstance(subspace, tuple) else (subspace,)
        found = {key for key in inner if any(f"{n}__".startswith(f"{key}__") for n in names)}
        rest = {key: value for key, value in inner.items() if key not in found}
        taken, left = taken | found, left or bool(rest)
        changed.append((rest, *n_iter) if n_iter else rest)
    if not (taken and left):
        return None, set()
    return changed if isinstance(space, list) else changed[0], taken - set(names)


def fitted_networks(estimator: Any, X: Any = None, y: Any = None) -> list[Inside]:
    """Return the fitted networks inside an estimator.

    Parameters
    ----------
    estimator : estimator
        A network, a Pipeline, a search, or an estimator with fitted estimators inside.
    X : array-like of shape (n_samples, n_features), optional
        Samples for the estimator, transformed on their way to the networks.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
        Their targets; None for networks that are trained with other targets.

    Returns
    -------
    list of Inside
        Several for ensembles; never empty.

    Raises
    ------
    NotFittedError
        If there is no fitted network inside.
    TypeError
        If it is not an estimator.
    """
    found = list(_walk(estimator, Inside(None)))
    if found:
        return found if X is None else list(_walk(estimator, Inside(None, X, y)))
    if isinstance(estimator, BaseEstimator):
        raise NotFittedError(
            f"{type(estimator).__name__} holds no fitted MLPClassifier or MLPRegressor. Call fit "
            "first (of a search, with refit=True), and give a Pipeline whose last step is an MLP."
        )
    raise TypeError(
        "A fitted MLPClassifier or MLPRegressor, or a Pipeline or search that holds one, is "
        f"wanted. Got {type(estimator).__name__}."
    )


def _walk(found: Any, at: Inside) -> Iterator[Inside]:
    """Yield the networks in an estimator at a place."""
    if hasattr(found, "history_"):
        yield Inside(found, at.X, at.y, at.prefix, at.around)
        return
    around = [*at.around, (at.prefix, found)]

    def step(name: str, inner: Any, X: Any, y: Any) -> Iterator[Inside]:
        return _walk(inner, Inside(None, X, y, f"{at.prefix}{name}__", around))

    one = next((name for name in ONE if hasattr(found, name)), None)
    if hasattr(found, "steps"):
        name, last = found.steps[-1]
        X = at.X if at.X is None or len(found.steps) == 1 else found[:-1].transform(at.X)
        yield from step(name, last, X, at.y)
    elif hasattr(found, "named_estimators_"):  # voting, stacking
        for name, inner in found.named_estimators_.items():
            yield from step(name, inner, at.X, _class_numbers(found, at.y))
        if hasattr(found, "final_estimator_"):
            yield from step("final_estimator", found.final_estimator_, None, None)
    elif hasattr(found, "calibrated_classifiers_"):
        for each in found.calibrated_classifiers_:
            yield from step("estimator", each.estimator, at.X, at.y)
    elif hasattr(found, "estimators_"):  # bagging; one for each class or output
        features = getattr(found, "estimators_features_", None)
        members = found.estimators_  # a Pipeline has a length: np.ravel would take it apart
        for i, inner in enumerate(members.flat if isinstance(members, np.ndarray) else members):
            X = at.X
            if X is not None and features is not None and not _all_columns(X, features[i]):
                X = (X if issparse(X) else np.asarray(X))[:, features[i]]
            y = None if features is None else _class_numbers(found, at.y)
            yield from step("estimator", inner, X, y)
    elif one == "regressor_" and at.y is not None:  # TransformedTargetRegressor
        y = found.transformer_.transform(np.reshape(at.y, (len(at.y), -1)))
        yield from step("regressor", found.regressor_, at.X, y.reshape(np.shape(at.y)))
    elif one is not None:
        yield from step(ONE[one], getattr(found, one), at.X, at.y)


def _class_numbers(ensemble: Any, y: Any) -> Any:
    """Return the numbers of the classes, with which ensembles train."""
    classes = getattr(ensemble, "classes_", None)
    return y if y is None or classes is None else np.searchsorted(classes, y)


def _all_columns(X: Any, features: np.ndarray) -> bool:
    return np.array_equal(features, np.arange(X.shape[1]))


def fitted_network(estimator: Any) -> Any:
    """Return the fitted MLPClassifier or MLPRegressor inside an estimator.

    Parameters
    ----------
    estimator : estimator
        The MLP itself, a Pipeline that ends with one, a search (its ``best_estimator_``), or a
        meta-estimator with fitted estimators, such as TransformedTargetRegressor; of several
        networks the first is returned.

    Returns
    -------
    MLPClassifier or MLPRegressor
        The network itself, not a copy.

    Raises
    ------
    NotFittedError
        If there is no fitted MLP inside.
    TypeError
        If it is not an estimator.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.inspection import fitted_network
    >>> model = make_pipeline(StandardScaler(), MLPClassifier(max_iter=2, random_state=0))
    >>> type(fitted_network(model.fit(*load_iris(return_X_y=True)))).__name__
    'MLPClassifier'
    """
    return fitted_networks(estimator)[0].network
