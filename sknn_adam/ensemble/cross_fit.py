"""Out-of-fold predictions of the estimators of an ensemble."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_array
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from sknn_adam._utils.sklearn_compat import safe_indexing
from sknn_adam._utils.validation import check_labels

__all__ = [
    "FoldResult",
    "Job",
    "TrainingSet",
    "aligned",
    "checked_labels",
    "checked_numbers",
    "do_task",
    "fit_split",
    "in_columns",
    "out_of_fold",
    "subset",
]


def checked_labels(name: str, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels of a single column and their classes; `name` is that of the estimator."""
    check_labels(y)
    y = check_array(y, ensure_2d=False, dtype=None, input_name="y")
    if y.ndim > 1 and y.shape[1] > 1:
        raise ValueError(
            f"{name} supports a single column of classes. Got y with shape {y.shape}. Use "
            f"MultiOutputClassifier({name}(...)), or one {name} per column."
        )
    y = column_or_1d(y, warn=True)
    check_classification_targets(y)
    return y, np.unique(y)


def checked_numbers(y: Any) -> np.ndarray:
    """Return numeric targets, with one dimension if there is a single column."""
    check_labels(y)
    y = check_array(y, ensure_2d=False, dtype="numeric", input_name="y")
    return column_or_1d(y, warn=True) if y.ndim == 1 or y.shape[1] == 1 else y


@dataclass(frozen=True)
class TrainingSet:
    """The data of ``fit``, with the splits of the ensemble.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Features.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    splits : list of (ndarray, ndarray)
        Row indices of the training set and the test set of each split.
    classes : ndarray or None
        The classes; None for regressors.
    n_columns : int
        Number of classes or of outputs.
    """

    X: Any
    y: np.ndarray
    splits: list[tuple[np.ndarray, np.ndarray]]
    classes: np.ndarray | None
    n_columns: int


@dataclass
class FoldResult:
    """Predictions of one fit.

    Parameters
    ----------
    rows : ndarray of int
        The predicted rows of X.
    prediction : ndarray of shape (n_rows, n_columns)
        The predictions.
    seconds : float
        Duration of the fit.
    fitted : estimator or None
        The fitted estimator, if it is the final estimator or one of those to average.
    stopped : bool
        Whether the time limit ended the training.
    """

    rows: np.ndarray
    prediction: np.ndarray
    seconds: float
    fitted: Any = None
    stopped: bool = False


class Job(NamedTuple):
    """A fit that is still to be done, perhaps in another process.

    It is done by ``function(name, estimator, data, params, *options)``.
    """

    function: Callable[..., FoldResult]
    name: str
    estimator: Any
    params: dict[str, Any]
    options: tuple

    def task(self, data: TrainingSet) -> tuple:
        """Return the arguments of `do_task`.

        Joblib sends a large array only once to the processes of a cluster if it is an argument of
        its own.
        """
        rows = [part for split in data.splits for part in split]
        others = replace(data, X=None, y=np.empty(0), splits=[])
        job = self._replace(params=dict.fromkeys(self.params))
        return job, others, data.X, data.y, *rows, *self.params.values()


def do_task(job: Job, others: TrainingSet, X: Any, y: np.ndarray, *arrays: Any) -> FoldResult:
    """Do a job with the arguments that `Job.task` returns."""
    n_params = len(job.params)
    rows, values = arrays[: len(arrays) - n_params], arrays[len(arrays) - n_params :]
    data = replace(others, X=X, y=y, splits=list(zip(rows[::2], rows[1::2], strict=True)))
    params = dict(zip(job.params, values, strict=True))
    return job.function(job.name, job.estimator, data, params, *job.options)


def fit_split(
    name: str, estimator: Any, data: TrainingSet, params: dict[str, Any], split: int, keep: bool
) -> FoldResult:
    """Fit an estimator to the training set of a split, and predict its test set.

    Parameters
    ----------
    name : str
        Name of the estimator, for the message of an error.
    estimator : estimator
        The estimator; a clone of it is fitted.
    data : TrainingSet
        The data.
    params : dict
        Metadata of ``fit`` with one entry per sample.
    split : int
        Number of the split.
    keep : bool
        Whether to return the fitted estimator.
    """
    start, (train, held) = monotonic(), data.splits[split]
    fitted = clone(estimator)
    fitted.fit(safe_indexing(data.X, train), data.y[train], **subset(params, train))
    method = fitted.predict if data.classes is None else fitted.predict_proba
    values = method(safe_indexing(data.X, held))
    prediction = aligned(name, fitted, values, data.classes, data.n_columns)
    return FoldResult(held, prediction, monotonic() - start, fitted if keep else None)


def aligned(
    name: str, fitted: Any, values: Any, classes: np.ndarray | None, n_columns: int
) -> np.ndarray:
    """Return predictions as float64 of shape (n_samples, n_columns).

    Parameters
    ----------
    name : str
        Name of the estimator, for the message of an error.
    fitted : estimator
        The fitted estimator. If it is a classifier, its `classes_` are the columns of `values`.
    values : array-like
        Probabilities, or the predictions of a regressor.
    classes : ndarray or None
        The classes of the columns to return; the probability of classes that the estimator has not
        seen is zero. None for regressors.
    n_columns : int
        Number of columns.

    Raises
    ------
    ValueError
        If a regressor predicts another number of columns, or if a prediction is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values.reshape(len(values), -1)
    if not np.isfinite(values).all():
        raise ValueError(f"The predictions of estimator {name!r} contain NaN or infinity.")
    if classes is not None:
        return in_columns(values, fitted.classes_, classes)
    if values.shape[1] != n_columns:
        raise ValueError(
            f"Estimator {name!r} predicts {values.shape[1]} values per sample, but y has "
            f"{n_columns}."
        )
    return values


def in_columns(values: Any, seen: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return probabilities of the classes `seen` with a column for each of `classes`."""
    full = np.zeros((len(values), len(classes)))
    full[:, np.searchsorted(classes, seen)] = values
    return full


def out_of_fold(results: list[FoldResult], n_rows: int) -> np.ndarray:
    """Return the mean prediction of each row of X; NaN for rows without a prediction."""
    total = np.zeros((n_rows, results[0].prediction.shape[1]))
    count = np.zeros((n_rows, 1))
    for result in results:
        total[result.rows] += result.prediction
        count[result.rows] += 1
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def subset(params: dict[str, Any], rows: np.ndarray) -> dict[str, Any]:
    """Return metadata for a subset of the samples."""
    return {name: safe_indexing(values, rows) for name, values in params.items()}
