"""Weights and scores of the estimators of an ensemble."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sknn_adam.inspection._display import check_matplotlib

__all__ = ["WeightsDisplay"]

BAR_COLOR, DOT_COLOR, ENSEMBLE_COLOR = "#0072B2", "#D55E00", "#666666"  # Okabe-Ito palette


class WeightsDisplay:
    """Plot of the weights and the out-of-fold scores of the estimators of an ensemble.

    Create it with :meth:`from_estimator`.

    Parameters
    ----------
    names : list of str
        Names of the estimators.
    weights : array-like of shape (n_estimators,)
        Their weights.
    scores : array-like of shape (n_estimators,)
        Their out-of-fold scores; NaN for estimators without one.
    ensemble_score : float or None, default=None
        Nested out-of-fold score of the ensemble, marked by a vertical line.
    score_name : str, default="score"
        Label of the axis of the scores.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (2,)
        Axes with the weights and with the scores.
    figure_ : matplotlib Figure
        Figure of the axes.
    bars_ : matplotlib BarContainer
        The bars of the weights, in the order of `names`.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sknn_adam.ensemble import WeightedEnsembleClassifier
    >>> from sknn_adam.inspection import WeightsDisplay
    >>> estimators = [
    ...     ("linear", LogisticRegression(max_iter=1000)),
    ...     ("neighbors", KNeighborsClassifier()),
    ... ]
    >>> ensemble = WeightedEnsembleClassifier(estimators, random_state=0)
    >>> display = WeightsDisplay.from_estimator(ensemble.fit(*load_iris(return_X_y=True)))
    >>> len(display.bars_)
    2
    """

    def __init__(
        self,
        names: Any,
        weights: Any,
        scores: Any,
        *,
        ensemble_score: float | None = None,
        score_name: str = "score",
    ) -> None:
        self.names, self.weights, self.scores = names, weights, scores
        self.ensemble_score, self.score_name = ensemble_score, score_name

    @classmethod
    def from_estimator(cls, estimator: Any, *, axes: Any = None) -> "WeightsDisplay":
        """Plot the weights and scores of a fitted ensemble.

        Parameters
        ----------
        estimator : WeightedEnsembleClassifier or WeightedEnsembleRegressor
            A fitted ensemble.
        axes : sequence of two matplotlib Axes, default=None
            Axes to plot on; a new figure by default.

        Returns
        -------
        display : WeightsDisplay
        """
        check_is_fitted(estimator, "weights_")
        scoring = estimator.scoring
        if scoring is None:
            scoring = "neg_log_loss" if hasattr(estimator, "classes_") else "neg_mean_squared_error"
        display = cls(
            list(estimator.named_estimators_),
            estimator.weights_,
            estimator.estimator_scores_,
            ensemble_score=estimator.nested_oof_score_,
            score_name=f"out-of-fold score ({scoring if isinstance(scoring, str) else 'scoring'})",
        )
        return display.plot(axes=axes)

    def plot(self, *, axes: Any = None) -> "WeightsDisplay":
        """Plot the weights and scores.

        Parameters
        ----------
        axes : sequence of two matplotlib Axes, default=None
            Axes to plot on; a new figure by default.

        Returns
        -------
        self : object
        """
        plt = check_matplotlib(type(self).__name__)
        positions = np.arange(len(self.names))
        if axes is None:
            size = (8, 1.2 + 0.4 * len(positions))
            _, axes = plt.subplots(1, 2, figsize=size, sharey=True, layout="constrained")
        left, right = axes
        self.axes_, self.figure_ = axes, left.figure
        self.bars_ = left.barh(positions, self.weights, color=BAR_COLOR)
        left.bar_label(self.bars_, fmt="%.2f", padding=3)
        left.set(xlabel="weight", xlim=(0, 1.15 * max(self.weights)))
        # Scores have no meaningful zero, so they are points.
        right.plot(self.scores, positions, "o", color=DOT_COLOR)
        right.set(xlabel=self.score_name)
        right.grid(axis="y", alpha=0.3)
        if self.ensemble_score is not None and np.isfinite(self.ensemble_score):
            label = f"ensemble, nested: {self.ensemble_score:.4g}"
            right.axvline(self.ensemble_score, color=ENSEMBLE_COLOR, ls=":", label=label)
            right.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
        for ax in (left, right):
            ax.set_yticks(positions, self.names)
        # The first estimator is at the top.
        left.set_ylim(len(positions) - 0.5, -0.5)
        right.set_ylim(len(positions) - 0.5, -0.5)
        return self
