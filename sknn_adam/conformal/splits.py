"""Cross-fitting of any estimator, and its predictions by split."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.parallel import Parallel, delayed

from sknn_adam.ensemble.base import WeightedEnsemble
from sknn_adam.ensemble.cross_fit import FoldResult, Job, TrainingSet, do_task, fit_split
from sknn_adam.ensemble.fold_mean import FoldMean, mean_of_folds
from sknn_adam.ensemble.networks import cross_fitting_network, encodes_by_target, refit_split

__all__ = ["cross_fit", "last_step", "predict_by_split", "sets_of_splits"]


def cross_fit(
    estimator: Any, data: TrainingSet, params: dict[str, Any], n_jobs: int | None
) -> tuple[Any, list[FoldResult]]:
    """Fit an estimator so that it can predict each sample without having been trained on it.

    Parameters
    ----------
    estimator : estimator
        The estimator; a clone of it is fitted.
    data : TrainingSet
        The data and the splits.
    params : dict
        Metadata of ``fit`` with one entry per sample.
    n_jobs : int or None
        Number of parallel jobs for separate fits.

    Returns
    -------
    final : estimator
        The fitted estimator.
    fits : list of FoldResult
        A fit for each split. Empty for an ensemble and for a network with `cv`, unless a step
        before it might use the targets: `final` then has predictions for each split itself.
    """
    final, network = clone(estimator), cross_fitting_network(estimator)
    job: Callable[..., FoldResult] = fit_split
    options: list[tuple] = [(split, True) for split in range(len(data.splits))]
    if isinstance(final, WeightedEnsemble):
        final.set_params(cv=data.splits).fit(data.X, data.y, **params)
        return final, []
    if network is not None:
        cross_fitting_network(final).set_params(cv=data.splits)
        final.fit(data.X, data.y, **params)
        if not encodes_by_target(final):
            return final, []
        job, options = refit_split, [(split,) for split in data.splits]
    tasks = [Job(job, "estimator", estimator, params, each).task(data) for each in options]
    fits = Parallel(n_jobs=n_jobs)(delayed(do_task)(*task) for task in tasks)
    if network is None:
        final = mean_of_folds([fit.fitted for fit in fits])
    return final, fits


def last_step(estimator: Any, X: Any) -> tuple[Any, Any]:
    """Return the last step of a Pipeline and its input, or other estimators and X."""
    if not isinstance(estimator, Pipeline):
        return estimator, X
    return last_step(estimator[-1], X if len(estimator) == 1 else estimator[:-1].transform(X))


def predict_by_split(
    final: Any, fits: list[Any], n_splits: int, X: Any, predict: Callable[[Any, Any], np.ndarray]
) -> np.ndarray:
    """Return the predictions of the estimators fitted for each split, stacked.

    Parameters
    ----------
    final : estimator
        The fitted estimator that `cross_fit` returned.
    fits : list of estimators
        The estimators fitted for the splits, if `final` does not contain them.
    n_splits : int
        Number of splits.
    X : array-like of shape (n_samples, n_features)
        Features.
    predict : callable
        Returns an array for an estimator and its input.

    Returns
    -------
    ndarray of shape (n_splits, n_per_split, ...)
        `n_per_split` is the number of networks for each split, or 1. The part of an ensemble that
        was fitted to all samples has the same prediction for each split.
    """
    if isinstance(final, WeightedEnsemble):
        total: Any = 0.0
        weights = final.weights_[final.weights_ > 0]
        for weight, inner in zip(weights, final.estimators_, strict=True):
            values = predict_by_split(inner, [], n_splits, X, predict)
            total = total + weight * values.mean(axis=1, keepdims=True)
        return total
    if not fits and isinstance(final, FoldMean):
        fits = final.estimators
    if fits:
        return np.stack([predict(each, X) for each in fits])[:, None]
    last, inputs = last_step(final, X)
    networks = last.members_ if cross_fitting_network(last) is not None else [last]
    values = np.stack([predict(network, inputs) for network in networks])
    if len(values) == 1:
        values = np.repeat(values, n_splits, axis=0)
    return values.reshape(n_splits, -1, *values.shape[1:])


def sets_of_splits(splits: list, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which splits hold out each row: the distinct sets of splits, and that of each row.

    Parameters
    ----------
    splits : list of (ndarray, ndarray)
        Row indices of the training set and the test set of each split.
    n_rows : int
        Number of rows.

    Returns
    -------
    sets : ndarray of bool of shape (n_sets, n_splits)
        The distinct sets.
    number : ndarray of int of shape (n_rows,)
        The set of each row; -1 if no split holds it out.
    """
    held = np.zeros((n_rows, len(splits)), dtype=bool)
    for split, (_, rows) in enumerate(splits):
        held[rows, split] = True
    packed = np.packbits(held, axis=1)
    _, first, number = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    number, sets = number.ravel(), held[first]
    if not sets[0].any():
        return sets[1:], number - 1
    return sets, number
