"""A portfolio of networks for raw tables, and the ensemble that weights them."""

from collections.abc import Collection
from typing import Any

from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from sknn_adam._component.registry import did_you_mean
from sknn_adam.ensemble.weighted import WeightedEnsembleClassifier, WeightedEnsembleRegressor
from sknn_adam.tabular import make_tabular_pipeline

__all__ = ["make_tabular_ensemble"]

NO_BINS = {"columns__numbers__bins": "passthrough", "columns__dates__bins": "passthrough"}
# Changes to the recipe "default". They were chosen on 58 tables, see benchmarks/portfolio.py and
# benchmarks/results/portfolio.
PORTFOLIO: dict[str, dict[str, Any]] = {
    "default": {},
    "mish": {**NO_BINS, "model__normalization": "layer", "model__activation": "mish"},
    "dropout": {"model__batch_size": 32, "model__dropout": 0.2},
    "l1": {"model__alpha": "auto", "model__l1_ratio": 1.0},
    "fast_learning": {"model__optimizer__learning_rate": 0.006},
}
ENSEMBLES: dict[str, Any] = {
    "classifier": (WeightedEnsembleClassifier, HistGradientBoostingClassifier),
    "regressor": (WeightedEnsembleRegressor, HistGradientBoostingRegressor),
}
FAMILIES = ("networks", "boosting")


def make_tabular_ensemble(
    task: str,
    *,
    include: Collection[str] = ("networks",),
    column_types: Any = None,
    cv: Any = 8,
    time_limit: float | None = None,
    n_jobs: int | None = None,
    random_state: Any = None,
    verbose: int = 0,
) -> Any:
    """Make a weighted ensemble of cross-fitted pipelines for raw tables.

    The networks are five variants of the recipe ``"default"`` of `make_tabular_pipeline`: the
    recipe itself; without bins, but with layer normalization and Mish activations; with dropout and
    smaller batches; with an L1 penalty; and with twice the learning rate.

    Parameters
    ----------
    task : {"classifier", "regressor"}
        The task.
    include : collection of {"networks", "boosting"}, default=("networks",)
        The estimators. ``"boosting"`` adds scikit-learn's histogram gradient boosting, as the mean
        of the fits for the splits.
    column_types : dict of str or int to str, optional
        Types of columns; see `make_tabular_pipeline`.
    cv : int, splitter or iterable, default=8
        Cross-validation splits of all estimators.
    time_limit : float, optional
        Time limit for ``fit`` in seconds, see `WeightedEnsembleClassifier`. The first network and
        boosting are fitted first.
    n_jobs, random_state, verbose : object
        Parameters of the ensemble. `random_state` is also that of all estimators.

    Returns
    -------
    WeightedEnsembleClassifier or WeightedEnsembleRegressor
        The unfitted ensemble.

    Raises
    ------
    ValueError
        If `task` or an entry of `include` is unknown, or if `include` is empty.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.ensemble import make_tabular_ensemble
    >>> model = make_tabular_ensemble("classifier", include=["networks", "boosting"])
    >>> [name for name, _ in model.estimators]
    ['default', 'boosting', 'mish', 'dropout', 'l1', 'fast_learning']
    """
    if task not in ENSEMBLES:
        raise ValueError(
            f"task must be 'classifier' or 'regressor'.{did_you_mean(str(task), ENSEMBLES)} "
            f"Got {task!r}."
        )
    names = [include] if isinstance(include, str) else list(include)
    if not names or not set(names) <= set(FAMILIES):
        raise ValueError(f"include must contain 'networks', 'boosting' or both. Got {include!r}.")
    ensemble, boosting = ENSEMBLES[task]
    options = {"column_types": column_types, "random_state": random_state}
    estimators = []
    if "networks" in names:
        for name, params in PORTFOLIO.items():
            pipeline = make_tabular_pipeline(task, recipe="default", **options)
            estimators.append((name, pipeline.set_params(**params)))
    if "boosting" in names:
        pipeline = make_tabular_pipeline(boosting(random_state=random_state), **options)
        # Boosting contributes more than further networks, if there is time for few estimators.
        estimators.insert(1, ("boosting", pipeline.set_params(**NO_BINS)))
    return ensemble(
        estimators,
        cv=cv,
        refit=False,
        time_limit=time_limit,
        n_jobs=n_jobs,
        random_state=random_state,
        verbose=verbose,
    )
