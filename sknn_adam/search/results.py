"""Search results: a table of candidates, comparisons, and files."""

import json
from math import isfinite
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError

from sknn_adam._utils.files import replacing
from sknn_adam._utils.optional import optional

__all__ = [
    "compare_searches",
    "load_results",
    "parameter_importance",
    "results_frame",
    "save_results",
]

FORMAT = 1
MEANS = ["score", "score_std", "fit_seconds", "score_seconds"]
THEIR_MEANS = ["mean_test_{}", "std_test_{}", "mean_fit_time", "mean_score_time"]
FIGURES = ["candidate", "score", "score_std", "rank", "fit_seconds", "score_seconds", "n_splits"]
FIGURES += ["resource", "seconds", "elapsed"]


def _pandas(name: str) -> Any:
    return optional("pandas", name, "pandas", "search")


def results_frame(search: Any, metric: str | None = None) -> Any:
    """Return the candidates of a search as a table.

    Parameters
    ----------
    search : estimator or DataFrame
        A fitted GridSearchCV, RandomizedSearchCV, halving search, BayesSearchCV or OptunaSearchCV.
        A table of results is returned unchanged.
    metric : str, default=None
        The metric to use if the search has several. By default, the metric that `refit` names.

    Returns
    -------
    DataFrame
        One row per candidate, in the order of evaluation. There is one typed column per parameter,
        named after it in full, with missing values for candidates without this parameter. The
        other columns are:

        * ``candidate``: number of the candidate, from 1;
        * ``score`` and ``score_std``: mean and standard deviation over splits;
        * ``rank``: 1 is best;
        * ``fit_seconds`` and ``score_seconds``: mean times over splits;
        * ``n_splits``: number of splits;
        * ``resource``: resource in a halving search, or number of epochs in a pruning search, as a
          fraction of the maximum;
        * ``seconds``: total time of all splits;
        * ``elapsed``: total time of all candidates up to this one. A parallel
          search takes less.

    Raises
    ------
    NotFittedError
        If the search is not fitted.
    ValueError
        If `metric` is not a metric of the search.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.search import results_frame
    >>> search = GridSearchCV(MLPClassifier(max_iter=5), {"alpha": [0.0, 0.001]}, cv=3)
    >>> frame = results_frame(search.fit(*load_iris(return_X_y=True)))
    >>> list(frame["alpha"])
    [0.0, 0.001]
    """
    pd = _pandas("results_frame")
    if isinstance(search, pd.DataFrame):
        return search
    if hasattr(search, "study_"):
        params, figures = _of_optuna(search)
    elif hasattr(search, "cv_results_"):
        params, figures = _of_sklearn(search, metric)
    else:
        raise NotFittedError(
            f"results_frame requires a fitted search or a table of results. Got "
            f"{type(search).__name__}{'' if isinstance(search, type) else ', which is neither'}."
        )
    names = dict.fromkeys(key for candidate in params for key in candidate)
    columns = {n: _typed(pd, [candidate.get(n, np.nan) for candidate in params]) for n in names}
    frame = pd.DataFrame(columns, index=range(len(params)))
    figures["rank"] = pd.Series(figures["score"]).rank(ascending=False, method="min")
    if "iteration" in figures:
        # Candidates of later halving rounds, and those that were not pruned, rank first.
        order = np.lexsort((-np.asarray(figures["score"]), -np.asarray(figures.pop("iteration"))))
        figures["rank"] = np.argsort(order) + 1
    seconds = np.add(figures["fit_seconds"], figures["score_seconds"]) * figures["n_splits"]
    figures |= {"seconds": seconds, "elapsed": np.nancumsum(seconds)}
    figures["candidate"] = np.arange(1, len(params) + 1)
    return frame.assign(**{name: np.asarray(figures[name]) for name in FIGURES})


def _of_sklearn(search: Any, metric: str | None) -> tuple[list, dict]:
    results = search.cv_results_
    names = [n.removeprefix("mean_test_") for n in results if n.startswith("mean_test_")]
    if metric is None:
        metric = search.refit if isinstance(search.refit, str) else "score"
    if metric not in names:
        raise ValueError(
            f"metric={metric!r} is not a metric of this search. Set metric to one of: "
            f"{', '.join(names)}."
        )
    means = (np.asarray(results[name.format(metric)], float) for name in THEIR_MEANS)
    figures: dict[str, Any] = dict(zip(MEANS, means, strict=True))
    figures["n_splits"] = getattr(search, "n_splits_", None) or sum(
        n.startswith("split") and n.endswith(f"_test_{metric}") for n in results
    )
    figures["resource"] = 1.0
    if "n_resources" in results:
        figures["resource"] = np.divide(results["n_resources"], np.max(results["n_resources"]))
        figures["iteration"] = np.asarray(results["iter"])
    return [dict(candidate) for candidate in results["params"]], figures


def _of_optuna(search: Any) -> tuple[list, dict]:
    trials = [trial for trial in search.trials_ if trial.state.is_finished()]
    figures: dict[str, Any] = {}
    for name, theirs in zip(MEANS, THEIR_MEANS, strict=True):
        values = [trial.user_attrs.get(theirs.format("score"), np.nan) for trial in trials]
        figures[name] = np.array(values, float)
    steps = np.array([np.nan if t.last_step is None else t.last_step + 1.0 for t in trials])
    pruning = search.enable_pruning and len(steps)
    figures["n_splits"] = search.n_splits_
    figures["resource"] = steps / search.max_iter if pruning else 1.0
    if pruning:
        # Pruned trials rank below trials that were trained to the end.
        figures["iteration"] = np.array([t.state.name != "PRUNED" for t in trials], int)
    return [dict(trial.params) for trial in trials], figures


def _typed(pd: Any, values: list) -> Any:
    """Return a column with a numeric or boolean dtype if possible, otherwise of objects."""
    column = pd.Series(values, dtype=object)
    # None is a parameter value, not a missing value.
    return column if any(value is None for value in values) else column.infer_objects()


def compare_searches(searches: Any) -> Any:
    """Return the best score so far of several searches after each candidate.

    Parameters
    ----------
    searches : dict of str to search, or to list of searches, or a single search
        Fitted searches or tables of results by name. A list contains repetitions, for example with
        different seeds. All searches must use the same metric. A single search is named after its
        class.

    Returns
    -------
    DataFrame
        One row per candidate: ``search`` (the name), ``repeat`` (from 0), ``candidate``,
        ``elapsed`` (computing time so far, in seconds), ``score`` and ``best`` (best score so far).
        Pruned candidates, and candidates of the early rounds of a halving search, count towards the
        time but not towards ``best``, which is missing until a candidate has been fully trained.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.search import compare_searches, search_space
    >>> X, y = load_iris(return_X_y=True)
    >>> mlp = MLPClassifier(max_iter=5, random_state=0)
    >>> space = search_space(mlp, "random", include="learning_rate")
    >>> random = RandomizedSearchCV(mlp, space, n_iter=3, cv=3, random_state=0).fit(X, y)
    >>> grid = GridSearchCV(mlp, search_space(mlp, "grid", include="learning_rate"), cv=3)
    >>> frame = compare_searches({"grid": grid.fit(X, y), "random": random})
    >>> frame.groupby("search")["best"].count().to_dict()
    {'grid': 3, 'random': 3}
    """
    pd = _pandas("compare_searches")
    if isinstance(searches, pd.DataFrame) or hasattr(searches, "get_params"):
        searches = {type(searches).__name__: searches}
    if not isinstance(searches, dict) or not searches:
        raise ValueError(
            f"searches must be a non-empty dict of names to searches. Got {searches!r}."
        )
    curves = []
    for name, given in searches.items():
        for repeat, search in enumerate(given if isinstance(given, list | tuple) else [given]):
            frame = results_frame(search)
            full = frame["score"].where(frame["resource"] >= 1.0)
            curve = frame[["candidate", "elapsed", "score"]].copy()
            curve.insert(0, "search", name)
            curve.insert(1, "repeat", repeat)
            curves.append(curve.assign(best=full.cummax().ffill()))
    return pd.concat(curves, ignore_index=True)


def parameter_importance(search: Any, *, n_repeats: int = 20, random_state: Any = 0) -> Any:
    """Return the permutation importance of each parameter for the score.

    A random forest learns the score from the parameters. The importance of a parameter is the
    decrease of the forest's R² when the values of this parameter are shuffled [1]_. It is a hint,
    not a test: with few candidates, the forest also fits noise.

    Parameters
    ----------
    search : search or DataFrame
        A fitted search, or a table of results.
    n_repeats : int, default=20
        Number of times to shuffle each parameter.
    random_state : int, RandomState instance or None, default=0
        Random state of the forest and the shuffling.

    Returns
    -------
    DataFrame
        One row per parameter, most important first, with the columns ``parameter``, ``importance``
        and ``std`` (standard deviation over the repetitions).

    References
    ----------
    .. [1] Breiman, L. (2001). Random forests. Machine Learning 45. Section 10.
    .. [2] Hutter, F., Hoos, H., Leyton-Brown, K. (2014). An efficient approach for assessing
       hyperparameter importance. ICML. (A different measure for the same question.)

    Examples
    --------
    >>> import pandas as pd
    >>> from sknn_adam.search import parameter_importance
    >>> rates = [0.001, 0.01, 0.1, 1.0] * 3
    >>> frame = pd.DataFrame({"rate": rates, "seed": range(12), "score": [-r for r in rates]})
    >>> parameter_importance(frame)["parameter"][0]
    'rate'
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    pd = _pandas("parameter_importance")
    frame = results_frame(search)
    frame = frame[frame["score"].notna()]
    names = varied(frame)
    if len(frame) < 4 or not names:
        raise ValueError(
            f"Importance requires at least 4 candidates with a score and a parameter that varies. "
            f"Got candidates with a score: {len(frame)}, parameters that vary: {len(names)}."
        )
    codes = pd.DataFrame({name: _as_numbers(frame[name]) for name in names})
    forest = RandomForestRegressor(n_estimators=200, random_state=random_state)
    forest.fit(codes, frame["score"])
    result = permutation_importance(
        forest, codes, frame["score"], n_repeats=n_repeats, random_state=random_state
    )
    table = pd.DataFrame({"parameter": names, "importance": result.importances_mean})
    table["std"] = result.importances_std
    return table.sort_values("importance", ascending=False, ignore_index=True)


def varied(frame: Any) -> list[str]:
    """Return the names of parameters with more than one value."""
    names = [name for name in frame if name not in FIGURES]
    return [n for n in names if len({repr(value) for value in frame[n]}) > 1]


def _as_numbers(column: Any) -> np.ndarray:
    """Return numbers with missing values lowest; replace other values by the rank of their text."""
    if column.dtype.kind in "iufb":
        values = np.asarray(column, float)
        gap = np.nanmin(values, initial=0.0) - 1.0
        return np.where(np.isnan(values), gap, values)
    return np.unique([str(value) for value in column], return_inverse=True)[1].astype(float)


# -- files ------------------------------------------------------------------------------------


def save_results(search: Any, path: Any) -> None:
    """Save the candidates of a search to a JSON file, which is readable and safe to load.

    Parameters
    ----------
    search : search or DataFrame
        A fitted search, or a table of results.
    path : str or path
        Path of the file. It is written under a temporary name and then renamed, so that it is never
        incomplete.

    See Also
    --------
    load_results : Load the file.

    Notes
    -----
    Numbers, booleans, None and strings are restored exactly. Other values, such as a scaler or an
    optimizer, are replaced by their repr, for example ``"Adam(learning_rate=0.01)"``.

    Examples
    --------
    >>> import pandas as pd, tempfile, pathlib
    >>> from sknn_adam.search import load_results, save_results
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "search.json"
    >>> save_results(pd.DataFrame({"alpha": [0.1, 0.2], "score": [0.8, 0.9]}), path)
    >>> load_results(path)["alpha"].tolist()
    [0.1, 0.2]
    """
    frame = results_frame(search)
    rows = [
        {name: _plain(value) for name, value in row.items() if not _missing(value)}
        for row in frame.astype(object).to_dict("records")
    ]
    dtypes = {name: str(frame[name].dtype) for name in frame}
    text = json.dumps({"sknn_adam_results": FORMAT, "columns": dtypes, "rows": rows}, indent=1)
    with replacing(path) as file:
        file.write(text.encode() + b"\n")


def load_results(path: Any) -> Any:
    """Load a table of results.

    Parameters
    ----------
    path : str or path
        A file written by `save_results`.

    Returns
    -------
    DataFrame
        As returned by `results_frame`. All functions that take a search also take this table.

    Raises
    ------
    ValueError
        If the file was not written by `save_results`, or has another format version.

    Examples
    --------
    >>> import pandas as pd, tempfile, pathlib
    >>> from sknn_adam.search import load_results, save_results
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "search.json"
    >>> save_results(pd.DataFrame({"activation": ["relu", "silu"], "score": [0.8, 0.9]}), path)
    >>> load_results(path)["activation"].tolist()
    ['relu', 'silu']
    """
    pd = _pandas("load_results")
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        version, dtypes, rows = data["sknn_adam_results"], data["columns"], data["rows"]
        columns = {
            name: pd.Series([_decoded(row.get(name, np.nan)) for row in rows], dtype=dtype)
            for name, dtype in dtypes.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a file written by save_results: {error}") from error
    if version != FORMAT:
        raise ValueError(
            f"{path} has format {version}, but this release reads {FORMAT}. Update sknn_adam."
        )
    return pd.DataFrame(columns, index=range(len(rows)))


def _missing(value: Any) -> bool:
    return isinstance(value, float) and value != value


def _plain(value: Any) -> Any:
    """Convert a value for JSON: infinities become dicts, objects become text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Real):
        return float(value) if isfinite(value) else {"number": str(float(value))}
    return repr(value)


def _decoded(value: Any) -> Any:
    return float(value["number"]) if isinstance(value, dict) else value
