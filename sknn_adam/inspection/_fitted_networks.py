"""Search for fitted networks inside an estimator, with the path to their parameters."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError

__all__ = ["Inside", "fitted_network", "fitted_networks"]

# Fitted attributes that contain one estimator, and the parameter it was cloned from.
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
    """A fitted network and its position in the outermost estimator.

    Parameters
    ----------
    network : MLPClassifier or MLPRegressor
        The network itself.
    X, y : array-like or None
        The given samples, transformed by the enclosing estimators.
    prefix : str, default=""
        Prefix of its parameters in ``set_params`` of the outermost estimator.
    around : list of (str, estimator)
        The parameter prefixes and the enclosing estimators, from outermost to innermost.
    """

    network: Any
    X: Any = None
    y: Any = None
    prefix: str = ""
    around: list[tuple[str, Any]] = field(default_factory=list)

    def named(self, params: dict[str, Any]) -> dict[str, Any]:
        """Convert parameters of the network to parameters of the outermost estimator.

        Parameters that an enclosing search tunes are removed from its search space, because the
        search would overwrite them.
        """
        full = {f"{self.prefix}{name}": value for name, value in params.items()}
        for prefix, search in self.around:
            attribute = next((name for name in SPACES if hasattr(search, name)), None)
            if attribute is None:
                continue
            inner = [name.removeprefix(f"{prefix}estimator__") for name in full]
            space, kept = _without(getattr(search, attribute), inner)
            for name in kept:
                # The components that own the parameters get the best values of the search.
                value = search.best_params_[name]
                value = clone(value) if isinstance(value, BaseEstimator) else value
                full = {f"{prefix}estimator__{name}": value, **full}
            if space is not None:
                full[f"{prefix}{attribute}"] = space
        return full


def _without(space: Any, names: list[str]) -> tuple[Any, set[str]]:
    """Return a space without these parameters, and the names of the components that own them.

    The space is None if it contains none of these parameters, or no others.
    """
    changed: list[Any] = []
    removed: set[str] = set()
    nonempty = False
    for subspace in space if isinstance(space, list) else [space]:
        inner, *n_iter = subspace if isinstance(subspace, tuple) else (subspace,)
        matching = {key for key in inner if any(f"{n}__".startswith(f"{key}__") for n in names)}
        rest = {key: value for key, value in inner.items() if key not in matching}
        removed, nonempty = removed | matching, nonempty or bool(rest)
        changed.append((rest, *n_iter) if n_iter else rest)
    if not (removed and nonempty):
        return None, set()
    return changed if isinstance(space, list) else changed[0], removed - set(names)


def fitted_networks(estimator: Any, X: Any = None, y: Any = None) -> list[Inside]:
    """Return the fitted networks inside an estimator.

    Parameters
    ----------
    estimator : estimator
        A network, a Pipeline, a search, or another meta-estimator.
    X : array-like of shape (n_samples, n_features), optional
        Samples in the form that `estimator` takes. They are transformed for each network.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
        Targets of these samples. In the result, y is None for networks that were trained on other
        targets.

    Returns
    -------
    list of Inside
        At least one; several for ensembles.

    Raises
    ------
    NotFittedError
        If `estimator` contains no fitted network.
    TypeError
        If `estimator` is not an estimator.
    """
    networks = list(_walk(estimator, Inside(None)))
    if networks:
        return networks if X is None else list(_walk(estimator, Inside(None, X, y)))
    if isinstance(estimator, BaseEstimator):
        raise NotFittedError(
            f"{type(estimator).__name__} contains no fitted MLPClassifier or MLPRegressor. Call "
            "fit first (with refit=True for a search). A Pipeline must end with an MLP."
        )
    raise TypeError(
        "Expected a fitted MLPClassifier or MLPRegressor, or a Pipeline or search that contains "
        f"one. Got {type(estimator).__name__}."
    )


def _walk(estimator: Any, at: Inside) -> Iterator[Inside]:
    """Yield the networks in an estimator at the position `at`."""
    if hasattr(estimator, "history_"):
        yield Inside(estimator, at.X, at.y, at.prefix, at.around)
        return
    around = [*at.around, (at.prefix, estimator)]

    def step(name: str, inner: Any, X: Any, y: Any) -> Iterator[Inside]:
        return _walk(inner, Inside(None, X, y, f"{at.prefix}{name}__", around))

    one = next((name for name in ONE if hasattr(estimator, name)), None)
    if hasattr(estimator, "steps"):
        name, last = estimator.steps[-1]
        X = at.X if at.X is None or len(estimator.steps) == 1 else estimator[:-1].transform(at.X)
        yield from step(name, last, X, at.y)
    elif hasattr(estimator, "named_estimators_"):  # voting, stacking
        for name, inner in estimator.named_estimators_.items():
            # WeightedEnsembleClassifier does not encode the labels.
            known = getattr(inner, "classes_", None)
            same = known is not None and np.array_equal(known, estimator.classes_)
            yield from step(name, inner, at.X, at.y if same else _class_numbers(estimator, at.y))
        if hasattr(estimator, "final_estimator_"):
            yield from step("final_estimator", estimator.final_estimator_, None, None)
    elif hasattr(estimator, "calibrated_classifiers_"):
        for each in estimator.calibrated_classifiers_:
            yield from step("estimator", each.estimator, at.X, at.y)
    elif getattr(estimator, "estimators", ()) is getattr(estimator, "estimators_", None):
        # The fits of one entry of a WeightedEnsembleClassifier with refit=False.
        for inner in estimator.estimators_:
            yield from _walk(inner, at)
    elif hasattr(estimator, "estimators_"):  # bagging, or one estimator per class or output
        features = getattr(estimator, "estimators_features_", None)
        # Not np.ravel: it would split a Pipeline, which has a length, into its steps.
        members = estimator.estimators_
        for i, inner in enumerate(members.flat if isinstance(members, np.ndarray) else members):
            X = at.X
            if X is not None and features is not None and not _all_columns(X, features[i]):
                X = (X if issparse(X) else np.asarray(X))[:, features[i]]
            y = None if features is None else _class_numbers(estimator, at.y)
            yield from step("estimator", inner, X, y)
    elif one == "regressor_" and at.y is not None:  # TransformedTargetRegressor
        y = estimator.transformer_.transform(np.reshape(at.y, (len(at.y), -1)))
        yield from step("regressor", estimator.regressor_, at.X, y.reshape(np.shape(at.y)))
    elif one is not None:
        yield from step(ONE[one], getattr(estimator, one), at.X, at.y)


def _class_numbers(ensemble: Any, y: Any) -> Any:
    """Return class codes, which are the targets of the members of an ensemble."""
    classes = getattr(ensemble, "classes_", None)
    return y if y is None or classes is None else np.searchsorted(classes, y)


def _all_columns(X: Any, features: np.ndarray) -> bool:
    return np.array_equal(features, np.arange(X.shape[1]))


def fitted_network(estimator: Any) -> Any:
    """Return the fitted MLPClassifier or MLPRegressor inside an estimator.

    Parameters
    ----------
    estimator : estimator
        The MLP itself, a Pipeline that ends with one, a search (its ``best_estimator_`` is used),
        or another meta-estimator, such as TransformedTargetRegressor. If there are several
        networks, the first is returned.

    Returns
    -------
    MLPClassifier or MLPRegressor
        The network itself, not a copy.

    Raises
    ------
    NotFittedError
        If `estimator` contains no fitted MLP.
    TypeError
        If `estimator` is not an estimator.

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
