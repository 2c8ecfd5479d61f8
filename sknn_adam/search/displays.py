"""Displays of hyper-parameter searches."""

from math import ceil
from typing import Any

import numpy as np

from sknn_adam.inspection._display import check_matplotlib
from sknn_adam.search.results import compare_searches, parameter_importance, results_frame, varied

__all__ = ["ComparisonDisplay", "SearchDisplay"]

COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]  # Okabe and Ito
DASHES = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1))]
MOST_TICKS = 14


class SearchDisplay:
    """Plots of one search: its progress, parameter importances, and the score per parameter.

    Create it with :meth:`from_search`.

    Parameters
    ----------
    frame : DataFrame
        The candidates, as returned by `sknn_adam.search.results_frame`.
    parameters : list of str
        The parameters to plot, most important first.
    importance : DataFrame or None
        As returned by `sknn_adam.search.parameter_importance`; None if there were too few
        candidates.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    axes_ : list of matplotlib Axes
        Axes with the progress of the search, the importances if available, and each parameter.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import RandomizedSearchCV
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.search import SearchDisplay, search_space
    >>> mlp = MLPClassifier(max_iter=5, random_state=0)
    >>> space = search_space(mlp, include=["learning_rate", "width"])
    >>> search = RandomizedSearchCV(mlp, space, n_iter=5, cv=3, random_state=0)
    >>> display = SearchDisplay.from_search(search.fit(*load_iris(return_X_y=True)))
    >>> len(display.axes_)
    4
    """

    def __init__(self, frame: Any, parameters: Any, importance: Any = None) -> None:
        self.frame, self.parameters, self.importance = frame, parameters, importance

    @classmethod
    def from_search(
        cls, search: Any, *, parameters: Any = None, random_state: Any = 0
    ) -> "SearchDisplay":
        """Plot the results of a search.

        Parameters
        ----------
        search : search or DataFrame
            A fitted search, or a table of results.
        parameters : list of str, default=None
            Full names of the parameters to plot; by default all that vary.
        random_state : int, RandomState instance or None, default=0
            Random state for the parameter importances.

        Returns
        -------
        display : SearchDisplay
        """
        frame = results_frame(search)
        importance, names = None, varied(frame)
        if names and frame["score"].notna().sum() >= 4:
            importance = parameter_importance(frame, random_state=random_state)
            names = list(importance["parameter"])
        unknown = [name for name in parameters or () if name not in frame]
        if unknown:
            raise ValueError(
                f"Unknown search parameters: {', '.join(unknown)}. Known names: {', '.join(names)}."
            )
        return cls(frame, parameters or names, importance).plot()

    def plot(self, *, figure: Any = None) -> "SearchDisplay":
        """Plot the results.

        Parameters
        ----------
        figure : matplotlib Figure, default=None
            An empty figure to plot on; a new one by default.

        Returns
        -------
        self : object
        """
        plt = check_matplotlib(type(self).__name__)
        count = 1 + (self.importance is not None) + len(self.parameters)
        wide = min(3, count)
        high = ceil(count / wide)
        if figure is None:
            figure = plt.figure(figsize=(4 * wide, 2.9 * high), layout="constrained")
        self.figure_ = figure
        self.axes_ = [figure.add_subplot(high, wide, i + 1) for i in range(count)]
        axes = iter(self.axes_)
        self._course(next(axes))
        if self.importance is not None:
            self._importances(next(axes))
        for name in self.parameters:
            self._parameter(next(axes), name)
        return self

    def _course(self, ax: Any) -> None:
        course = compare_searches({"": self.frame}).set_index("candidate")
        ax.plot(course["score"], ".", color="#888888", label="candidate")
        ax.step(course.index, course["best"], where="post", color=COLORS[0], label="best so far")
        ax.set(title="Search progress", xlabel="candidate", ylabel="score")
        scores = np.asarray(course["score"], float)
        scores = scores[np.isfinite(scores)]
        if len(scores) > 8:
            # A single bad candidate must not hide the differences between the others.
            low, high = np.quantile(scores, 0.1), scores.max()
            margin = 0.1 * (high - low or 1)
            ax.set_ylim(low - margin, high + margin)
        ax.legend(loc="lower right", fontsize="small")

    def _importances(self, ax: Any) -> None:
        table = self.importance.iloc[::-1]
        labels = [short(name, list(table["parameter"])) for name in table["parameter"]]
        ax.barh(labels, table["importance"], xerr=table["std"], color=COLORS[0])
        ax.set(title="Importance", xlabel="decrease of R² when shuffled")

    def _parameter(self, ax: Any, name: str) -> None:
        frame = self.frame[self.frame["score"].notna()]
        best = frame["rank"] == frame["rank"].min()
        values = frame[name]
        if values.dtype.kind in "iuf":
            places = np.asarray(values, float)
            shown = np.isfinite(places)
            if shown.any() and places[shown].min() > 0 and np.ptp(np.log(places[shown])) > 3:
                ax.set_xscale("log")
        else:
            shown = np.array([not (isinstance(v, float) and np.isnan(v)) for v in values])
            levels, codes = np.unique([str(v) for v in values[shown]], return_inverse=True)
            places = np.full(len(values), -1)
            places[shown] = codes
            step = ceil(len(levels) / MOST_TICKS)
            ax.set_xticks(range(0, len(levels), step), [_cut(v) for v in levels[::step]])
            if max(map(len, map(_cut, levels))) * len(levels) > 28:
                ax.tick_params(axis="x", rotation=45)
        scores = np.asarray(frame["score"], float)
        ax.plot(places[shown], scores[shown], ".", color="#888888")
        here = shown & np.asarray(best)
        ax.plot(places[here], scores[here], "*", color=COLORS[1], markersize=12, label="best")
        ax.set(title=short(name, self.parameters), ylabel="score")
        ax.set_ylim(*self.axes_[0].get_ylim())


class ComparisonDisplay:
    """Plot of the best score so far of several searches, over candidates and over time.

    Create it with :meth:`from_searches`.

    Parameters
    ----------
    frame : DataFrame
        As returned by `sknn_adam.search.compare_searches`.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    axes_ : ndarray of two matplotlib Axes
        Axes with the best score over the number of candidates, and over the computing time.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> import pandas as pd
    >>> from sknn_adam.search import ComparisonDisplay
    >>> frame = pd.DataFrame({"search": "random", "repeat": 0, "candidate": [1, 2, 3]})
    >>> frame = frame.assign(elapsed=[1.0, 2.0, 3.0], best=[0.8, 0.8, 0.9])
    >>> [ax.get_xlabel() for ax in ComparisonDisplay(frame).plot().axes_]
    ['candidates', 'computing time (s)']
    """

    def __init__(self, frame: Any) -> None:
        self.frame = frame

    @classmethod
    def from_searches(cls, searches: Any) -> "ComparisonDisplay":
        """Compare searches and plot them.

        Parameters
        ----------
        searches : dict of str to search, or to list of searches, or a single search
            See `sknn_adam.search.compare_searches`. For repeated searches, the plot shows the
            mean and a band from the worst to the best.

        Returns
        -------
        display : ComparisonDisplay
        """
        return cls(compare_searches(searches)).plot()

    def plot(self, *, axes: Any = None) -> "ComparisonDisplay":
        """Plot the comparison.

        Parameters
        ----------
        axes : sequence of two matplotlib Axes, default=None
            Axes to plot on; a new figure by default.

        Returns
        -------
        self : object
        """
        plt = check_matplotlib(type(self).__name__)
        if axes is None:
            _, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
        self.axes_, self.figure_ = axes, axes[0].figure
        for ax, column in zip(axes, ("candidate", "elapsed"), strict=True):
            for i, (name, curves) in enumerate(self.frame.groupby("search", sort=False)):
                style = {"color": COLORS[i % 6], "ls": DASHES[i % 6], "label": str(name)}
                self._curve(ax, curves, column, style)
        axes[0].set(xlabel="candidates", ylabel="best score so far")
        axes[1].set(xlabel="computing time (s)", xscale="log")
        axes[0].legend(fontsize="small", loc="lower right")
        return self

    @staticmethod
    def _curve(ax: Any, frame: Any, column: str, style: dict[str, Any]) -> None:
        """Plot the mean over repetitions, starting where all of them have a score."""
        places = np.unique(frame[column])
        curves = []
        for _, run in frame.groupby("repeat"):
            run = run[run["best"].notna()]
            if len(run):
                at = np.searchsorted(run[column], places, side="right") - 1
                best = np.asarray(run["best"], float)
                curves.append(np.where(at < 0, np.nan, best[np.maximum(at, 0)]))
        if not curves:
            return
        table = np.array(curves)
        full = np.isfinite(table).all(axis=0)
        places, table = places[full], table[:, full]
        ax.plot(places, table.mean(0), drawstyle="steps-post", **style)
        if len(table) > 1:
            band = {"step": "post", "color": style["color"], "alpha": 0.12, "lw": 0}
            ax.fill_between(places, table.min(0), table.max(0), **band)


def short(name: str, names: list[str]) -> str:
    """Return the shortest suffix that identifies a parameter among `names`."""
    words = name.split("__")
    for count in range(1, len(words)):
        end = "__".join(words[-count:])
        if sum(other == end or other.endswith(f"__{end}") for other in names) == 1:
            return end
    return name


def _cut(value: str) -> str:
    return value if len(value) <= 18 else value[:16] + "…"
