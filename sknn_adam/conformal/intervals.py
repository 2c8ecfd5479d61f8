"""Prediction intervals of cross-fitted regressors."""

from math import ceil
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from sknn_adam._utils.sklearn_compat import safe_indexing
from sknn_adam.conformal.base import Conformal, check_coverage, inner_network
from sknn_adam.conformal.ranks import kth_smallest
from sknn_adam.conformal.splits import last_step, predict_by_split
from sknn_adam.ensemble.base import WeightedEnsemble
from sknn_adam.ensemble.cross_fit import FoldResult, TrainingSet, checked_numbers
from sknn_adam.ensemble.networks import cross_fitting_network

__all__ = ["ConformalRegressor"]

# Samples that determine the width of intervals around the mean, and the largest part of the squared
# error that is attributed to the variance between networks.
MOST_ROWS, MOST_OF_ERROR = 10_000, 0.75


class Outputs(NamedTuple):
    """What an estimator predicts before calibration.

    Parameters
    ----------
    lower, upper : ndarray of shape (..., n_samples, n_outputs)
        The lowest and the highest predicted quantile; both are the prediction if there is only one.
    std : ndarray of shape (..., n_samples, n_outputs) or None
        Predicted standard deviation, if there is one.
    """

    lower: np.ndarray
    upper: np.ndarray
    std: np.ndarray | None

    @classmethod
    def of(cls, values: Any, std: Any = None, n_levels: int = 1) -> "Outputs":
        """Return outputs for predictions, with a column for each level of several quantiles."""
        values = np.asarray(values, dtype=np.float64)
        columns = values.reshape(len(values), -1)
        if std is not None:
            std = np.asarray(std, dtype=np.float64).reshape(columns.shape)
        if n_levels > 1:
            return cls(columns[:, :1], columns[:, -1:], std)
        return cls(columns, columns, std)

    @property
    def scale(self) -> Any:
        """Unit of the distances between targets and predictions."""
        return 1.0 if self.std is None else self.std

    @property
    def middle(self) -> np.ndarray:
        """Middle between lower and upper prediction."""
        return (self.lower + self.upper) / 2

    def scores(self, targets: np.ndarray) -> np.ndarray:
        """Return the distance of targets from both predictions; negative between them."""
        return np.maximum(self.lower - targets, targets - self.upper) / self.scale

    def take(self, rows: np.ndarray) -> "Outputs":
        """Return the outputs of some samples."""
        std = None if self.std is None else self.std[rows]
        return Outputs(self.lower[rows], self.upper[rows], std)

    def mean(self, members: Any, mixed: bool = True) -> "Outputs":
        """Return the mean outputs of some members, which are the entries of axis 0.

        If `mixed`, the standard deviation includes the variance of the members' predictions.
        """
        lower, std = self.lower[members], self.std
        if std is not None:
            # Squares of extreme scales would overflow.
            unit = np.maximum(std.max(), np.finfo(float).tiny)
            between = (lower / unit).var(axis=0) if mixed else 0.0
            std = unit * np.sqrt(((std[members] / unit) ** 2).mean(axis=0) + between)
        return Outputs(lower.mean(axis=0), self.upper[members].mean(axis=0), std)

    def half_width(self, quantile: np.ndarray) -> np.ndarray:
        """Return half the width of intervals for a quantile of the scores of each output."""
        return (self.upper - self.lower) / 2 + quantile * self.scale


class ConformalRegressor(RegressorMixin, Conformal):
    r"""Regressor with prediction intervals of a stated coverage, by cross-conformal prediction.

    The intervals are those of CV+ [1]_: each sample is predicted by the fit that did not train on
    it, and the interval of a new sample is derived from the distribution of these errors around
    the predictions of the same fits. A network of this package with `cv` is fitted only once.

    Parameters
    ----------
    estimator : estimator
        A regressor with one prediction per output. The intervals have the same width everywhere,
        except for a network of this package, alone or at the end of a Pipeline:

        * with ``loss="gaussian"``, errors are divided by the predicted standard deviation;
        * with ``loss=QuantileLoss([...])`` of several levels, errors are the distances to the
          interval between the lowest and the highest predicted quantile [2]_.
    method : {"plus", "mean"}, default="plus"
        ``"plus"`` is CV+, which has a guarantee, see Notes. ``"mean"`` places the interval around
        the mean of all fits and narrows it by the part of the out-of-fold errors that this mean
        averages out. It has no guarantee, but its coverage was closer to the stated one in
        benchmarks, because networks differ much. With few samples and skewed targets, such as
        small counts, it can be too narrow.
    cv : int, splitter or iterable of splits, default=None
        Splits of the samples. An int is the number of shuffled folds. None means the `cv` of a
        network or ensemble of this package, and 5 folds for other estimators.
    n_jobs : int or None, default=None
        Number of parallel jobs for estimators that are fitted once per split.
    random_state : int, RandomState instance or None, default=None
        Determines the folds if `cv` is an int. None means that of the network or ensemble.

    Attributes
    ----------
    estimator_ : estimator
        The fitted estimator, which ``predict`` uses: the network or ensemble itself, or the mean of
        the fits for the splits.
    conformity_scores_ : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Distance of each target from its out-of-fold prediction or interval, divided by the
        predicted standard deviation if there is one. NaN for samples that are in no test set or
        have weight zero.
    n_features_in_ : int
        Number of features of the fitted estimator, if it has this attribute.
    feature_names_in_ : ndarray of shape (n_features,)
        Feature names of the fitted estimator, if it has this attribute.

    See Also
    --------
    ConformalClassifier : Sets of classes.

    Notes
    -----
    If the samples and the new sample are exchangeable, an interval of coverage :math:`1 - \alpha`
    contains the target with probability of at least :math:`1 - 2 \alpha - \sqrt{2 / n}` [1]_. In
    practice, it is close to :math:`1 - \alpha`. The probability is an average over training sets
    and new samples; it need not hold for each group of samples. Four choices weaken the guarantee:

    * with `early_stopping`, a network chooses its epoch on the samples that it holds out. The epoch
      that predicts a sample is chosen by the others;
    * with `cv` for groups, the new sample must be from a new group; with an ordered `cv`, such as
      TimeSeriesSplit, samples are not exchangeable, and there is no guarantee;
    * if a sample is in several test sets, its prediction is the mean of those fits;
    * the weights of an ensemble of this package are chosen on the same out-of-fold predictions, and
      its steps that use targets, and with ``refit=True`` other estimators, are fitted to all
      samples. Pass a single pipeline, which is then fitted for each split, to avoid this.

    With fewer than :math:`1 / \alpha - 1` samples, the intervals are infinite.

    References
    ----------
    .. [1] Barber, R. F., Candès, E. J., Ramdas, A., Tibshirani, R. J. (2021). Predictive inference
       with the jackknife+. Annals of Statistics 49(1).
    .. [2] Romano, Y., Patterson, E., Candès, E. J. (2019). Conformalized quantile regression.
       NeurIPS.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sknn_adam import make_tabular_pipeline
    >>> from sknn_adam.conformal import ConformalRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> network = make_tabular_pipeline("regressor", random_state=0)
    >>> model = ConformalRegressor(network).fit(X[:400], y[:400])
    >>> interval = model.predict_interval(X[400:], coverage=0.9)
    >>> interval.shape
    (42, 2)
    """

    def __init__(
        self,
        estimator: Any,
        *,
        method: str = "plus",
        cv: Any = None,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state

    def predict_interval(self, X: Any, coverage: float = 0.9) -> np.ndarray:
        """Predict intervals that contain the targets.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Features.
        coverage : float, default=0.9
            Fraction of the intervals that should contain their target, for each output.

        Returns
        -------
        interval : ndarray of shape (n_samples, 2) or (n_samples, n_outputs, 2)
            Lower and upper bound.
        """
        check_is_fitted(self)
        # The tolerance keeps 0.9 * 10, for example, from being rounded up to 10.
        rank = ceil(check_coverage(coverage) * (self._n_scores + 1) - 1e-9)
        outputs = _by_network(self.estimator_, self._fits, self._n_splits, X)
        intervals = self._around_mean if self.method == "mean" else self._plus
        interval = np.stack(intervals(outputs, rank), axis=-1)
        return interval if self.conformity_scores_.ndim == 2 else interval[:, 0]

    def _plus(self, outputs: Outputs, rank: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the bounds of CV+, of shape (n_samples, n_outputs)."""
        n_per_split = len(outputs.lower) // self._n_splits
        means = [outputs.mean(np.repeat(splits, n_per_split)) for splits in self._sets]
        low, high = (np.stack([getattr(each, n) for each in means]) for n in ("lower", "upper"))
        scale = np.stack([np.broadcast_to(each.scale, low.shape[1:]) for each in means])
        lower, upper = np.empty(low.shape[1:]), np.empty(low.shape[1:])
        for output in range(low.shape[2]):
            each = [scores.reshape(len(scores), -1)[:, output] for scores in self._scores]
            factor = scale[..., output]
            lower[:, output] = -kth_smallest(-low[..., output], factor, each, rank)
            upper[:, output] = kth_smallest(high[..., output], factor, each, rank)
        # With negative scores, the bounds can cross: the interval then is their middle.
        crossed = lower > upper
        lower[crossed] = upper[crossed] = (lower[crossed] + upper[crossed]) / 2
        return lower, upper

    def _around_mean(self, outputs: Outputs, rank: int) -> tuple[np.ndarray, np.ndarray]:
        """Return bounds around the mean of all networks, of shape (n_samples, n_outputs)."""
        mean = outputs.mean(slice(None), mixed=False)
        scores = np.concatenate([each.reshape(len(each), -1) for each in self._scores])
        half = np.maximum(mean.half_width(_of_rank(scores, rank)), 0) * self._factor
        return mean.middle - half, mean.middle + half

    def _checked_targets(self, y: Any) -> tuple[np.ndarray, None]:
        return checked_numbers(y), None

    def _n_columns(self, y: np.ndarray, classes: Any) -> int:
        network = inner_network(self.estimator)
        levels = 1 if network is None else n_levels(network)
        return levels if levels > 1 else y.reshape(len(y), -1).shape[1]

    def _calibrated(
        self,
        data: TrainingSet,
        final: Any,
        results: list[FoldResult],
        sets: np.ndarray,
        used: np.ndarray,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        targets = data.y.reshape(len(data.y), -1).astype(np.float64)
        found = _outputs_out_of_fold(data, final, results)
        with np.errstate(over="ignore"):
            scores = found.scores(targets)
        factor = np.ones(1)
        if self.method == "mean":
            rows = np.flatnonzero(used)
            rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS)).astype(int)]
            fits = [result.fitted for result in results]
            seen = _by_network(final, fits, len(data.splits), safe_indexing(data.X, rows))
            factor = _narrowing(targets[rows], found.take(rows), seen, sets.mean())
        return scores[:, 0] if data.y.ndim == 1 else scores, {"_factor": factor}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.target_tags.multi_output = inner.target_tags.multi_output
        tags.input_tags = inner.input_tags
        return tags


def _narrowing(targets: np.ndarray, found: Outputs, seen: Outputs, held: float) -> np.ndarray:
    """Return the factor that narrows intervals around the mean, for each output.

    An out-of-fold prediction is the mean of the networks that hold out the sample, which are the
    fraction `held` of all K of them, but a new sample is predicted by all. If their predictions
    have the variance ``v``, the mean squared error of the latter is smaller by
    ``v / (held * K) - v / K``. Samples of training show ``v``, but underestimate it if the
    estimators memorize targets. Both are relative to the squared width of the interval.

    Parameters
    ----------
    targets : ndarray of shape (n_samples, n_outputs)
        Targets of training samples.
    found : Outputs
        Their out-of-fold outputs.
    seen : Outputs
        Their outputs by each network.
    held : float
        Fraction of the networks that hold out a sample.
    """
    n_all = len(seen.lower)
    scores = found.scores(targets)
    rank = min(len(scores), ceil(0.9 * (len(scores) + 1)))
    half = seen.mean(slice(None), mixed=False).half_width(_of_rank(scores, rank))
    unit = np.maximum(half, np.finfo(float).tiny)
    variance = (seen.middle / unit).var(axis=0, ddof=int(n_all > 1)).mean(axis=0)
    error = (((targets - found.middle) / unit) ** 2).mean(axis=0)
    less = np.divide(variance, error, out=np.zeros_like(error), where=error > 0)
    less = np.minimum(less * (1 / held - 1) / n_all, MOST_OF_ERROR)
    return np.sqrt(1 - less)


def _of_rank(scores: np.ndarray, rank: int) -> np.ndarray:
    """Return the score of this rank, from 1, for each output; infinity if there are fewer."""
    if rank > len(scores):
        return np.full(scores.shape[1], np.inf)
    return np.partition(scores, rank - 1, axis=0)[rank - 1]


def _by_network(final: Any, fits: list[Any], n_splits: int, X: Any) -> Outputs:
    """Return the outputs of all networks, those of one split after the other."""
    # An ensemble predicts no standard deviations, even if its estimators do.
    predict = _points if isinstance(final, WeightedEnsemble) else _outputs
    stacked = predict_by_split(final, fits, n_splits, X, predict)
    lower, upper, std = np.moveaxis(stacked.reshape(-1, *stacked.shape[2:]), 1, 0)
    return Outputs(lower, upper, None if np.isnan(std).all() else std)


def n_levels(network: Any) -> int:
    """Return the number of quantiles that a network predicts, or 1."""
    loss = network._component("loss", network.loss)
    return int(np.size(getattr(loss, "level", 0.5)))


def _outputs(estimator: Any, X: Any) -> np.ndarray:
    """Return lower and upper prediction and standard deviation, stacked; NaN without the latter."""
    last, inputs = last_step(estimator, X)
    network, std = inner_network(last), None
    if network is not None and network._loss.predicts_deviations:
        values, std = network.predict(inputs, return_std=True)
    else:
        values = last.predict(inputs)
    outputs = Outputs.of(values, std, 1 if network is None else n_levels(network))
    missing = np.full(outputs.lower.shape, np.nan)
    return np.stack([outputs.lower, outputs.upper, missing if std is None else outputs.scale])


def _points(estimator: Any, X: Any) -> np.ndarray:
    """Return the same as `_outputs` for an estimator of which only the prediction is used."""
    outputs = Outputs.of(estimator.predict(X))
    return np.stack([outputs.lower, outputs.upper, np.full(outputs.lower.shape, np.nan)])


def _outputs_out_of_fold(data: TrainingSet, final: Any, results: list[FoldResult]) -> Outputs:
    """Return the mean out-of-fold outputs of each sample; NaN for those in no test set."""
    if not results:
        network = cross_fitting_network(final)
        if network is None:
            return Outputs.of(final.oof_prediction_)
        std = getattr(network, "oof_std_", None)
        return Outputs.of(network.oof_prediction_, std, n_levels(network))
    each = [_outputs_of_fit(data, result) for result in results]
    shape = (len(data.y), each[0].lower.shape[1])
    count, lower, upper = np.zeros((shape[0], 1)), np.zeros(shape), np.zeros(shape)
    for result, outputs in zip(results, each, strict=True):
        count[result.rows] += 1
        lower[result.rows] += outputs.lower
        upper[result.rows] += outputs.upper
    with np.errstate(invalid="ignore", divide="ignore"):
        lower, upper = lower / count, upper / count
        if each[0].std is None:
            return Outputs(lower, upper, None)
        variance = np.zeros(shape)
        unit = max(float(np.max(outputs.scale)) for outputs in each)
        for result, outputs in zip(results, each, strict=True):
            between = (outputs.lower - lower[result.rows]) / unit
            variance[result.rows] += (outputs.scale / unit) ** 2 + between**2
        return Outputs(lower, upper, unit * np.sqrt(variance / count))


def _outputs_of_fit(data: TrainingSet, result: FoldResult) -> Outputs:
    """Return the outputs of the fit for a split on its test set."""
    network = cross_fitting_network(result.fitted)
    if network is None:
        lower, upper, std = _outputs(result.fitted, safe_indexing(data.X, result.rows))
        return Outputs(lower, upper, None if np.isnan(std).all() else std)
    # The network was trained with the rows of the training set before those of the test set.
    std = getattr(network, "oof_std_", None)
    std = None if std is None else std[-len(result.rows) :]
    return Outputs.of(result.prediction, std, n_levels(network))
