"""Results of searches: one table of the candidates, comparisons, and a file for the table."""

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
        A table of results is returned as it is.
    metric : str, default=None
        The scorer of a search with several ones; by default that of `refit`.

    Returns
    -------
    DataFrame
        One row per candidate, in the order in which they were tried. Columns: the parameters by
        their full names, typed, missing where a candidate does not have one; ``candidate``
        (from 1), ``score`` and ``score_std`` (mean and standard deviation over the splits),
        ``rank`` (1 is best), ``fit_seconds`` and ``score_seconds`` (means over the splits),
        ``n_splits``, ``resource`` (what a halving search gave it, or the epochs after which a
        pruning search stopped it; 0 to 1 of the largest), ``seconds`` (all its splits together)
        and ``elapsed`` (seconds of all candidates up to this one; with several processes the
        search itself took less).

    Raises
    ------
    NotFittedError
        If the search is not fitted.

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
            f"results_frame wants a fitted search, or a table of results. Got "
            f"{type(search).__name__}{'' if isinstance(search, type) else ', which is not one'}."
        )
    names = dict.fromkeys(key for candidate in params for key in candidate)
    columns = {n: _typed(pd, [candidate.get(n, np.nan) for candidate in params]) for n in names}
    frame = pd.DataFrame(columns, index=range(len(params)))
    figures["rank"] = pd.Series(figures["score"]).rank(ascending=False, method="min")
    if "iteration" in figures:  # halving: those of a later round come first
        order = np.lexsort((-np.asarray(figures["score"]), -np.asarray(figures.pop("iteration"))))
        figures["rank"] = np.argsort(order) + 1
    seconds = np.add(figures["fit_seconds"], figures["score_seconds"]) * figures["n_splits"]
    figures |= {"seconds": seconds, "elapsed": np.nancumsum(seconds)}
    figures["candidate"] = np.arange(1, len(params) + 1)
    return frame.assign(**{name: np.asarray(figures[name]) for name in FIGURES})


def _of_sklearn(search: Any, metric: str | None) -> tuple[list, dict]:
    found = search.cv_results_
    names = [n.removeprefix("mean_test_") for n in found if n.startswith("mean_test_")]
    if metric is None:
        metric = search.refit if isinstance(search.refit, str) else "score"
    if metric not in names:
        raise ValueError(f"metric={metric!r} is no score of this search. It has: {names}.")
    means = (np.asarray(found[name.format(metric)], float) for name in THEIR_MEANS)
    figures: dict[str, Any] = dict(zip(MEANS, means, strict=True))
    figures["n_splits"] = getattr(search, "n_splits_", None) or sum(
        n.startswith("split") and n.endswith(f"_test_{metric}") for n in found
    )
    figures["resource"] = 1.0
    if "n_resources" in found:
        figures["resource"] = np.divide(found["n_resources"], np.max(found["n_resources"]))
        figures["iteration"] = np.asarray(found["iter"])
    return [dict(candidate) for candidate in found["params"]], figures


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
    if pruning:  # a pruned trial does not compete with those that were trained to the end
        figures["iteration"] = np.array([t.state.name != "PRUNED" for t in trials], int)
    return [dict(trial.params) for trial in trials], figures


def _typed(pd: Any, values: list) -> Any:
    """Return a column: numbers and booleans as such, anything else as objects."""
    column = pd.Series(values, dtype=object)
    # None is a value of a parameter, not a missing one.
    return column if any(value is None for value in values) else column.infer_objects()


def compare_searches(searches: Any) -> Any:
    """Return how the best score of several searches grew, candidate by candidate.

    Parameters
    ----------
    searches : dict of str to search, or to list of searches, or a single search
        Fitted searches or tables of results by name; a list holds repetitions, with other seeds
        say. All must have the same score. A single one is named after its class.

    Returns
    -------
    DataFrame
        One row per candidate: ``search`` (the name), ``repeat`` (from 0), ``candidate``,
        ``elapsed`` (seconds of computing so far), ``score`` and ``best``, the best score so far.
        Candidates of early rounds of a halving search, and pruned ones, cost their time but do
        not compete: ``best`` is missing until one was trained in full.

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
        raise ValueError(f"Give a dict of at least one search by name. Got {searches!r}.")
    found = []
    for name, given in searches.items():
        for repeat, search in enumerate(given if isinstance(given, list | tuple) else [given]):
            frame = results_frame(search)
            whole = frame["score"].where(frame["resource"] >= 1.0)
            curve = frame[["candidate", "elapsed", "score"]].copy()
            curve.insert(0, "search", name)
            curve.insert(1, "repeat", repeat)
            found.append(curve.assign(best=whole.cummax().ffill()))
    return pd.concat(found, ignore_index=True)


def parameter_importance(search: Any, *, n_repeats: int = 20, random_state: Any = 0) -> Any:
    """Return how much of the differences in score each parameter explains.

    A forest of regression trees learns the score from the parameters; the importance of a
    parameter is how much its explained variance (R²) falls when the values of that parameter are
    shuffled. A hint, not a test: with few candidates the forest also explains chance.

    Parameters
    ----------
    search : search or DataFrame
        A fitted search, or a table of results.
    n_repeats : int, default=20
        How often each parameter is shuffled.
    random_state : int, RandomState instance or None, default=0
        Of the forest and the shuffling.

    Returns
    -------
    DataFrame
        ``parameter``, ``importance`` and ``std`` (over the repetitions), the greatest first.

    References
    ----------
    .. [1] Breiman, L. (2001). Random forests. Machine Learning 45. Section 10.
    .. [2] Hutter, F., Hoos, H., Leyton-Brown, K. (2014). An efficient approach for assessing
       hyperparameter importance. ICML. (The question; the measure here is that of [1]_.)

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
            f"Importance needs at least 4 candidates and a parameter that varies. Got {len(frame)} "
            f"candidates, {len(names)} such parameters."
        )
    codes = pd.DataFrame({name: _as_numbers(frame[name]) for name in names})
    forest = RandomForestRegressor(n_estimators=200, random_state=random_state)
    forest.fit(codes, frame["score"])
    found = permutation_importance(
        forest, codes, frame["score"], n_repeats=n_repeats, random_state=random_state
    )
    table = pd.DataFrame({"parameter": names, "importance": found.importances_mean})
    table["std"] = found.importances_std
    return table.sort_values("importance", ascending=False, ignore_index=True)


def varied(frame: Any) -> list[str]:
    """Return the parameters that have more than one value."""
    names = [name for name in frame if name not in FIGURES]
    return [n for n in names if len({repr(value) for value in frame[n]}) > 1]


def _as_numbers(column: Any) -> np.ndarray:
    """Return numbers as they are (missing as the lowest), other values by their order of name."""
    if column.dtype.kind in "iufb":
        values = np.asarray(column, float)
        gap = np.nanmin(values, initial=0.0) - 1.0
        return np.where(np.isnan(values), gap, values)
    return np.unique([str(value) for value in column], return_inverse=True)[1].astype(float)


# -- files ------------------------------------------------------------------------------------


def save_results(search: Any, path: Any) -> None:
    """Write the candidates of a search to a file, as JSON: readable, and safe to load.

    Parameters
    ----------
    search : search or DataFrame
        A fitted search, or a table of results.
    path : str or path
        The file. It is written under a temporary name, then renamed: never half there.

    See Also
    --------
    load_results : Reads it.

    Notes
    -----
    Numbers, booleans, None and strings come back as they were; other values (a scaler, an
    optimizer) as their text, such as ``"Adam(learning_rate=0.01)"``.

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
    """Read a table of results.

    Parameters
    ----------
    path : str or path
        A file that `save_results` wrote.

    Returns
    -------
    DataFrame
        As of `results_frame`; all functions that take a search take it too.

    Raises
    ------
    ValueError
        If the file is no such table, or of a later version.

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
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        version, dtypes, rows = found["sknn_adam_results"], found["columns"], found["rows"]
        columns = {
            name: pd.Series([_decoded(row.get(name, np.nan)) for row in rows], dtype=dtype)
            for name, dtype in dtypes.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no file that save_results wrote: {error}") from error
    if version != FORMAT:
        raise ValueError(
            f"{path} has format {version}, this release reads {FORMAT}: update sknn_adam."
        )
    return pd.DataFrame(columns, index=range(len(rows)))


def _missing(value: Any) -> bool:
    return isinstance(value, float) and value != value


def _plain(value: Any) -> Any:
    """Return a value that JSON has: infinities by name, objects as text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Real):
        return float(value) if isfinite(value) else {"number": str(float(value))}
    return repr(value)


def _decoded(value: Any) -> Any:
    return float(value["number"]) if isinstance(value, dict) else value
