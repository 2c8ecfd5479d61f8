"""A range test of the learning rate: the loss of a short training while the rate rises."""

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
MEMORY = 0.9  # of the running mean of the losses
TOO_HIGH = 4.0  # the test ends where the loss is so many times the smallest one


@dataclass(frozen=True)
class LearningRateRange:
    """What a range test found.

    Parameters
    ----------
    learning_rates : ndarray of shape (n_steps,)
        The learning rate of every step, rising.
    losses : ndarray of shape (n_steps,)
        The loss before the step, as a running mean.
    suggestion : float
        A tenth of the learning rate that had the smallest loss.
    params : dict
        The suggestion for ``set_params`` of the estimator that was given.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.inspection import learning_rate_range
    >>> X, y = load_digits(return_X_y=True)
    >>> model = MLPClassifier(random_state=0)
    >>> found = learning_rate_range(model, X / 16, y)
    >>> bool(1e-4 < found.suggestion < 1e-1)
    True
    >>> model = model.set_params(**found.params)
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
    """Train a copy while its learning rate rises from step to step, and look at the loss [1]_.

    Parameters
    ----------
    estimator : estimator
        An MLPClassifier or MLPRegressor, or a Pipeline or search that ends with one; fitted or
        not. It is left as it is.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Features.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    lowest, highest : float, optional
        Range of the learning rates; by default from a thousandth of the optimizer's learning rate
        to ten thousand times it.
    n_steps : int, default=100
        How many steps to do at most; the test ends where the loss explodes.

    Returns
    -------
    LearningRateRange
        Learning rates, losses, a suggestion, and the parameters that set it.

    Raises
    ------
    ValueError
        If the optimizer takes no learning rate (L-BFGS), the range is empty or `n_steps` is
        below 10.
    TypeError
        If there is no network at the end of `estimator`.

    Notes
    -----
    The suggestion is a tenth of the rate with the smallest loss: there the loss falls, and rates
    some times as large do no harm. (Where it falls fastest, as others suggest, is lost in the noise
    of the batches on small tables.) The schedule, early stopping and the averaging of weights play
    no part.

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
            f"The loss exploded at a learning rate of {first:.2g} already. "
            "Scale X, or give a smaller `lowest`."
        )
    suggestion = float(f"{rates[int(np.argmin(losses))] / 10:.2g}")
    return LearningRateRange(rates, losses, suggestion, {f"{prefix}{RATE}": suggestion})


def _last(estimator: Any, X: Any, y: Any) -> tuple[str, Any, Any]:
    """Return prefix and copy of the network at the end, and X as it reaches it."""
    prefix, found = "", estimator
    while not isinstance(found, BaseMLP):
        if hasattr(found, "steps"):
            name, last = found.steps[-1]
            if len(found.steps) > 1:
                X = clone(found[:-1]).fit_transform(X, y)
            prefix, found = f"{prefix}{name}__", last
        elif isinstance(getattr(found, "estimator", None), BaseEstimator):
            prefix, found = f"{prefix}estimator__", found.estimator
        else:
            raise TypeError(
                "learning_rate_range wants an MLPClassifier or MLPRegressor, or a Pipeline or "
                f"search that ends with one. Got {type(estimator).__name__}."
            )
    plain = {"warm_start": False, "early_stopping": False, "averaging": None, "record": False}
    return prefix, clone(found).set_params(**plain), X


def _rates(model: Any, lowest: float | None, highest: float | None, n_steps: int) -> np.ndarray:
    """Return the learning rates of the test."""
    optimizer = Architecture.of(model).optimizer
    rate = model.get_params().get(RATE)
    if rate is None or optimizer.full_batch:
        raise ValueError(
            f"{type(optimizer).__name__} takes no learning rate: there is nothing to find. "
            "Use another optimizer, such as 'adam'."
        )
    lowest = rate / 1e3 if lowest is None else lowest
    highest = rate * 1e4 if highest is None else highest
    if not 0 < lowest < highest or n_steps < 10:
        raise ValueError(
            "learning_rate_range wants 0 < lowest < highest and n_steps >= 10. Got "
            f"lowest={lowest}, highest={highest}, n_steps={n_steps}."
        )
    return np.geomspace(lowest, highest, n_steps)


def _losses(model: Any, X: Any, y: Any, rates: np.ndarray) -> np.ndarray:
    """Return running means of the loss, one for each learning rate until it explodes."""
    session = prepare(model, X, y)
    run, plan, data = session.run, session.plan, session.data
    run.prepare(plan, choose_kernels(run.network, data))
    found: list[float] = []
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
            found.append(smooth)
            best = min(found)
            if smooth - best > (TOO_HIGH - 1) * max(abs(best), 1e-12) and i > 5:
                break
    return np.array(found)


class LearningRateFinderDisplay:
    """The loss against the learning rate, with the suggestion.

    Make it by :meth:`from_estimator`.

    Parameters
    ----------
    learning_rates : array-like of shape (n_steps,)
        The learning rate of every step.
    losses : array-like of shape (n_steps,)
        Running mean of the losses.
    suggestion : float
        The learning rate to mark.

    Attributes
    ----------
    ax_ : matplotlib Axes
        With the curve.
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
        """Do the range test and draw it.

        Parameters
        ----------
        estimator : estimator
            As for :func:`learning_rate_range`.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.
        **options : dict
            For :func:`learning_rate_range`.

        Returns
        -------
        display : LearningRateFinderDisplay
        """
        found = learning_rate_range(estimator, X, y, **options)
        return cls(found.learning_rates, found.losses, found.suggestion).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> "LearningRateFinderDisplay":
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.

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
