"""Learning rate range test: the loss of a short training at increasing learning rates."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_consistent_length

from sknn_adam._estimator.base import BaseMLP
from sknn_adam._estimator.parameters import Architecture
from sknn_adam._estimator.setup import prepare
from sknn_adam._training.loop import choose_kernels, step
from sknn_adam.inspection._display import check_matplotlib

__all__ = ["LearningRateFinderDisplay", "LearningRateRange", "learning_rate_range"]

RATE = "optimizer__learning_rate"
BLUE, ORANGE = "#0072B2", "#D55E00"
MEMORY = 0.9  # decay of the running mean of the losses
TOO_HIGH = 4.0  # the test ends when the loss is this many times the smallest loss


@dataclass(frozen=True)
class LearningRateRange:
    """Result of a learning rate range test.

    Parameters
    ----------
    learning_rates : ndarray of shape (n_steps,)
        Learning rate of each step, in increasing order.
    losses : ndarray of shape (n_steps,)
        Running mean of the losses, each evaluated before its step.
    suggestion : float
        A tenth of the learning rate with the smallest loss.
    params : dict
        The suggestion, for ``set_params`` of the estimator that was passed in.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.inspection import learning_rate_range
    >>> X, y = load_digits(return_X_y=True)
    >>> model = MLPClassifier(random_state=0)
    >>> result = learning_rate_range(model, X / 16, y)
    >>> bool(1e-4 < result.suggestion < 1e-1)
    True
    >>> model = model.set_params(**result.params)
    """

    learning_rates: np.ndarray
    losses: np.ndarray
    suggestion: float
    params: dict[str, float]


def learning_rate_range(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    lowest: float | None = None,
    highest: float | None = None,
    n_steps: int = 100,
) -> LearningRateRange:
    """Suggest a learning rate from a range test [1]_.

    The test trains a copy of the estimator while the learning rate increases with each step.

    Parameters
    ----------
    estimator : estimator
        An MLPClassifier or MLPRegressor, or a Pipeline or search that ends with one; fitted or
        not. It is unchanged.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Features.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    lowest, highest : float, optional
        Smallest and largest learning rate. By default, one thousandth of the optimizer's learning
        rate, and ten thousand times this rate.
    n_steps : int, default=100
        Maximum number of steps. The test ends earlier if the loss explodes.

    Returns
    -------
    LearningRateRange
        Learning rates, losses, the suggestion, and the parameters that set it.

    Raises
    ------
    ValueError
        If the optimizer has no learning rate (L-BFGS), the range is empty, `n_steps` is below
        10, or the loss explodes at the first learning rates.
    TypeError
        If `estimator` does not end with a network.

    Notes
    -----
    The suggestion is a tenth of the learning rate with the smallest loss. At this rate the loss
    falls, and rates a few times larger do no harm. Other implementations suggest the rate at which
    the loss falls fastest, but on small tables the noise of the batches hides that rate. The
    schedule, early stopping and weight averaging are not used.

    References
    ----------
    .. [1] Smith, L. N. (2017). Cyclical learning rates for training neural networks. WACV.
       Section 3.3.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.inspection import learning_rate_range
    >>> X, y = load_wine(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), MLPClassifier(random_state=0))
    >>> list(learning_rate_range(model, X, y).params)
    ['mlpclassifier__optimizer__learning_rate']
    """
    check_consistent_length(X, y)
    prefix, model, X = _last(estimator, X, y)
    rates = _rates(model, lowest, highest, n_steps)
    losses = _losses(model, X, y, rates)
    first, rates = rates[0], rates[: len(losses)]
    if len(losses) < 3:
        raise ValueError(
            f"The loss already exploded at a learning rate of {first:.2g}. "
            "Scale X, or pass a smaller `lowest`."
        )
    suggestion = float(f"{rates[int(np.argmin(losses))] / 10:.2g}")
    return LearningRateRange(rates, losses, suggestion, {f"{prefix}{RATE}": suggestion})


def _last(estimator: Any, X: Any, y: Any) -> tuple[str, Any, Any]:
    """Return the parameter prefix and a copy of the final network, and X transformed for it."""
    prefix, inner = "", estimator
    while not isinstance(inner, BaseMLP):
        if hasattr(inner, "steps"):
            name, last = inner.steps[-1]
            if len(inner.steps) > 1:
                X = clone(inner[:-1]).fit_transform(X, y)
            prefix, inner = f"{prefix}{name}__", last
        elif isinstance(getattr(inner, "estimator", None), BaseEstimator):
            prefix, inner = f"{prefix}estimator__", inner.estimator
        else:
            raise TypeError(
                "learning_rate_range requires an MLPClassifier or MLPRegressor, or a Pipeline or "
                f"search that ends with one. Got {type(estimator).__name__}."
            )
    plain = {"warm_start": False, "early_stopping": False, "averaging": None, "record": False}
    plain["cv"] = None
    return prefix, clone(inner).set_params(**plain), X


def _rates(model: Any, lowest: float | None, highest: float | None, n_steps: int) -> np.ndarray:
    """Return the learning rates to test."""
    optimizer = Architecture.of(model).optimizer
    rate = model.get_params().get(RATE)
    if rate is None or optimizer.full_batch:
        raise ValueError(
            f"{type(optimizer).__name__} has no learning rate. "
            "Use another optimizer, such as 'adam'."
        )
    lowest = rate / 1e3 if lowest is None else lowest
    highest = rate * 1e4 if highest is None else highest
    if not 0 < lowest < highest or n_steps < 10:
        raise ValueError(
            "learning_rate_range requires 0 < lowest < highest and n_steps >= 10. Got "
            f"lowest={lowest}, highest={highest}, n_steps={n_steps}."
        )
    return np.geomspace(lowest, highest, n_steps)


def _losses(model: Any, X: Any, y: Any, rates: np.ndarray) -> np.ndarray:
    """Return running means of the loss, one per learning rate until the loss explodes."""
    session = prepare(model, X, y)
    run, plan, data = session.run, session.plan, session.data
    run.prepare(plan, choose_kernels(run.network, data))
    losses: list[float] = []
    mean, order = 0.0, None
    with np.errstate(all="ignore"):
        for i, factor in enumerate(rates / plan.optimizer.learning_rate):
            if i % data.n_batches == 0:
                order = data.order(run.rng)
            batch = data.batch(i % data.n_batches, order, run.network.kernels)
            value = step(run, plan, batch, float(factor))
            mean = MEMORY * mean + (1 - MEMORY) * value
            smooth = mean / (1 - MEMORY ** (i + 1))
            if not np.isfinite(value):
                break
            losses.append(smooth)
            best = min(losses)
            if smooth - best > (TOO_HIGH - 1) * max(abs(best), 1e-12) and i > 5:
                break
    return np.array(losses)


class LearningRateFinderDisplay:
    """Plot of the loss against the learning rate, with the suggestion.

    Create it with :meth:`from_estimator`.

    Parameters
    ----------
    learning_rates : array-like of shape (n_steps,)
        Learning rate of each step.
    losses : array-like of shape (n_steps,)
        Running mean of the losses.
    suggestion : float
        Learning rate to mark.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the curve.
    figure_ : matplotlib Figure
        Figure of the axes.
    line_ : matplotlib Line2D
        The curve.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> from sklearn.datasets import load_digits
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.inspection import LearningRateFinderDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> model = MLPClassifier(random_state=0)
    >>> display = LearningRateFinderDisplay.from_estimator(model, X / 16, y)
    >>> display.ax_.get_xscale()
    'log'
    """

    def __init__(self, learning_rates: Any, losses: Any, suggestion: Any) -> None:
        self.learning_rates, self.losses, self.suggestion = learning_rates, losses, suggestion

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, ax: Any = None, **options: Any
    ) -> "LearningRateFinderDisplay":
        """Run the range test and plot it.

        Parameters
        ----------
        estimator : estimator
            As in :func:`learning_rate_range`.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        ax : matplotlib Axes, default=None
            Axes to plot on; a new figure by default.
        **options : dict
            Other arguments of :func:`learning_rate_range`.

        Returns
        -------
        display : LearningRateFinderDisplay
        """
        result = learning_rate_range(estimator, X, y, **options)
        return cls(result.learning_rates, result.losses, result.suggestion).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> "LearningRateFinderDisplay":
        """Plot the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on; a new figure by default.

        Returns
        -------
        self : object
        """
        plt = check_matplotlib(type(self).__name__)
        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        (self.line_,) = ax.plot(self.learning_rates, self.losses, color=BLUE)
        ax.axvline(self.suggestion, color=ORANGE, ls="--", label=f"suggestion: {self.suggestion:g}")
        losses = np.asarray(self.losses, float)
        height = max(losses[: max(1, len(losses) // 3)].max() - losses.min(), 1e-12)
        ax.set(xscale="log", xlabel="learning rate", ylabel="loss (running mean)")
        ax.set_ylim(losses.min() - 0.1 * height, losses.min() + 1.5 * height)
        ax.legend(loc="best")
        return self
