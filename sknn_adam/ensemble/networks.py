"""Networks that make their out-of-fold predictions themselves, alone or in a Pipeline."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from time import monotonic
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import get_routing_for_object

from sknn_adam._estimator.base import BaseMLP
from sknn_adam._utils.sklearn_compat import safe_indexing
from sknn_adam.ensemble.cross_fit import FoldResult, TrainingSet, aligned, subset

__all__ = [
    "can_stop_in_time",
    "cross_fitting_network",
    "encodes_by_target",
    "fit_network",
    "last_estimator",
    "refit_split",
]

# Modules whose transformers ignore the targets unless their tags require them. In other modules,
# such as sklearn.feature_selection, some use the targets although their tags do not require them.
UNSUPERVISED = (
    "sklearn.preprocessing.",
    "sklearn.impute.",
    "sklearn.decomposition.",
    "sklearn.feature_extraction.",
    "sklearn.kernel_approximation",
    "sklearn.random_projection",
    "sknn_adam.preprocessing",
    "sknn_adam.tabular.",
)


def cross_fitting_network(estimator: Any) -> Any:
    """Return the network that makes out-of-fold predictions, or None for other estimators.

    Such an estimator is a network of this package with `cv`, or a Pipeline that ends with one.
    """
    last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    return last if isinstance(last, BaseMLP) and last.cv is not None else None


def last_estimator(estimator: Any) -> Any:
    """Return the estimator with which a Pipeline ends, also if Pipelines are nested."""
    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[-1][1]
    return estimator


def can_stop_in_time(estimator: Any) -> bool:
    """Return whether an estimator ends its training when its time is over."""
    # Callbacks need scikit-learn 1.9.
    return hasattr(cross_fitting_network(estimator), "set_callbacks")


def fit_network(
    name: str,
    estimator: Any,
    data: TrainingSet,
    params: dict[str, Any],
    seconds: float | None,
) -> FoldResult:
    """Cross-fit a network, or a Pipeline that ends with one, with the splits of the ensemble.

    The fitted network is the final estimator as well. If a preceding step might use the targets,
    for example to encode categories, the network's own predictions would not be honest. They then
    come from a second fit for each split, in which all steps are fitted to the training set.

    Parameters
    ----------
    name : str
        Name of the estimator.
    estimator : estimator
        The network or the Pipeline; a clone of it is fitted.
    data : TrainingSet
        The data; its splits replace those of the network.
    params : dict
        Metadata of ``fit`` with one entry per sample.
    seconds : float or None
        Time limit for training.
    """
    start, fitted = monotonic(), clone(estimator)
    network = cross_fitting_network(fitted).set_params(cv=data.splits)
    with _stopping_after(network, seconds, lambda: encodes_by_target(fitted)) as stopped:
        fitted.fit(data.X, data.y, **params)
    if encodes_by_target(fitted):
        results = list[FoldResult]()
        for split in data.splits:
            each = None
            if seconds is not None:
                # If a fit exceeds its time, the following ones get less.
                each = (start + seconds - monotonic()) / (len(data.splits) - len(results))
            results.append(refit_split(name, estimator, data, params, split, each))
        rows = np.concatenate([result.rows for result in results])
        prediction = np.concatenate([result.prediction for result in results])
        ended = stopped() or any(result.stopped for result in results)
        return FoldResult(rows, prediction, monotonic() - start, fitted, ended)
    rows = np.unique(np.concatenate([held for _, held in data.splits]))
    values = network.oof_prediction_[rows]
    prediction = aligned(name, network, values, data.classes, data.n_columns)
    return FoldResult(rows, prediction, monotonic() - start, fitted, stopped())


def refit_split(
    name: str,
    pipeline: Pipeline,
    data: TrainingSet,
    params: dict[str, Any],
    split: tuple[np.ndarray, np.ndarray],
    seconds: float | None = None,
) -> FoldResult:
    """Fit the steps of a Pipeline to the training set of a split, and cross-fit its network.

    The network still holds out the test set itself, because it may use it for early stopping. It
    chooses the epoch that predicts a sample by the other samples.

    Parameters
    ----------
    name : str
        Name of the estimator.
    pipeline : Pipeline
        Pipeline that ends with a network with `cv`.
    data : TrainingSet
        The data; its splits are ignored.
    params : dict
        Metadata of ``fit`` with one entry per sample.
    split : tuple of ndarray of int
        The rows of the training set and of the test set.
    seconds : float or None
        Time limit for training.

    Returns
    -------
    FoldResult
        The prediction of the test set, and the fitted Pipeline, whose network has out-of-fold
        predictions of its training set, which are NaN, and of the test set, in this order.
    """
    start, (train, held) = monotonic(), split
    steps, network = clone(pipeline[:-1]), clone(pipeline[-1])
    prefix = f"{pipeline.steps[-1][0]}__"
    given = {key.removeprefix(prefix): params[key] for key in params if key.startswith(prefix)}
    given |= _consumed(network, "fit", params)
    X = steps.fit_transform(
        safe_indexing(data.X, train),
        data.y[train],
        **subset(_consumed(steps, "fit_transform", params), train),
    )
    blocks = [X, steps.transform(safe_indexing(data.X, held))]
    both = sparse.vstack(blocks, "csr") if sparse.issparse(X) else np.concatenate(blocks)
    rows, positions = np.concatenate([train, held]), np.arange(len(train) + len(held))
    network.set_params(cv=[(positions[: len(train)], positions[len(train) :])])
    left = None if seconds is None else seconds - (monotonic() - start)
    with _stopping_after(network, left) as stopped:
        network.fit(both, data.y[rows], **subset(given, rows))
    values = network.oof_prediction_[len(train) :]
    prediction = aligned(name, network, values, data.classes, data.n_columns)
    fitted = Pipeline([*steps.steps, (pipeline.steps[-1][0], network)])
    return FoldResult(held, prediction, monotonic() - start, fitted, stopped())


def _consumed(estimator: Any, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata that an estimator requests."""
    names = get_routing_for_object(estimator).consumes(method, params)
    return {name: params[name] for name in names}


def encodes_by_target(estimator: Any) -> bool:
    """Return whether a step before the last might use the targets."""
    steps = estimator.steps[:-1] if isinstance(estimator, Pipeline) else []
    return any(_uses_target(step) for _, step in steps)


def _uses_target(step: Any) -> bool:
    """Return whether a transformer, or one that it contains, might use the targets.

    A fitted ColumnTransformer uses only the transformers that have columns.
    """
    if step is None or isinstance(step, str):
        return False
    if isinstance(step, ColumnTransformer):
        chosen = getattr(step, "transformers_", step.transformers)
        return any(_uses_target(inner) for _, inner, columns in chosen if not _is_empty(columns))
    if isinstance(step, Pipeline | FeatureUnion):
        pairs = step.steps if isinstance(step, Pipeline) else step.transformer_list
        return any(_uses_target(inner) for _, inner in pairs)
    if not type(step).__module__.startswith(UNSUPERVISED) or get_tags(step).target_tags.required:
        return True
    inner = [value for value in step.get_params(deep=False).values() if hasattr(value, "fit")]
    return any(map(_uses_target, inner))


def _is_empty(columns: Any) -> bool:
    if isinstance(columns, slice) or np.isscalar(columns) or not hasattr(columns, "__len__"):
        return False
    array = np.asarray(columns)
    return not (array.any() if array.dtype == bool else array.size)


# -- time limit ----------------------------------------------------------------------------------


class StopAfter:
    """Callback that ends the training of a network at the first epoch after the time limit.

    Parameters
    ----------
    seconds : float
        The time limit, counted from the creation of the callback.
    has_second_fits : callable
        Returns whether half of the time is reserved for second fits. It is called once, when the
        steps before the network have been fitted.
    """

    def __init__(self, seconds: float, has_second_fits: Callable[[], bool]):
        self.start, self.seconds, self.has_second_fits = monotonic(), seconds, has_second_fits

    @cached_property
    def end(self) -> float:
        """Time at which training ends."""
        return self.start + self.seconds / (2 if self.has_second_fits() else 1)

    def setup(self, estimator: Any, context: Any) -> None:
        """Do nothing; required by the callback protocol."""

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing; required by the callback protocol."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing; required by the callback protocol."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        """Return whether the time is over."""
        return context.task_name == "epoch" and monotonic() > self.end


@contextmanager
def _stopping_after(
    network: Any, seconds: float | None, has_second_fits: Callable[[], bool] = lambda: False
) -> Iterator[Callable[[], bool]]:
    """Stop the training of a network after a time, if scikit-learn supports callbacks.

    Yields a function that returns whether training was stopped.
    """
    if seconds is None or not hasattr(network, "set_callbacks"):
        yield lambda: False
        return
    callbacks, stop = getattr(network, "_skl_callbacks", []), StopAfter(seconds, has_second_fits)
    network.set_callbacks(*callbacks, stop)
    try:
        yield lambda: network.stop_reason_ == "callback" and monotonic() > stop.end
    finally:
        network.set_callbacks(*callbacks)
