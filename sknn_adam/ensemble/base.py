"""Base class of both ensembles: fitting and the choice of the weights."""

from numbers import Integral
from time import monotonic
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils import Bunch, indexable
from sklearn.utils.validation import check_is_fitted

from sknn_adam._training.splits import Folds
from sknn_adam._utils.sklearn_compat import Interval, VisualBlock, ensemble_base
from sknn_adam._utils.validation import POSITIVE, POSITIVE_INTEGER, check_sample_weight
from sknn_adam.ensemble.cross_fit import TrainingSet, aligned
from sknn_adam.ensemble.fitting import Candidate, Fitter
from sknn_adam.ensemble.routing import CrossFitting, is_dropped
from sknn_adam.ensemble.selection import greedy_weights, nested_score

__all__ = ["WeightedEnsemble"]

Base: Any = ensemble_base()


class WeightedEnsemble(CrossFitting, Base):
    """Base class of both ensembles."""

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "estimators": [list],
        "cv": [Interval(Integral, 2, None, closed="left"), "cv_object"],
        "scoring": [str, callable, None],
        "n_rounds": [POSITIVE_INTEGER],
        "refit": ["boolean"],
        "time_limit": [POSITIVE, None],
        "n_jobs": [None, Integral],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        estimators: Any,
        *,
        cv: Any = 5,
        scoring: Any = None,
        n_rounds: int = 100,
        refit: bool = True,
        time_limit: float | None = None,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(estimators=estimators)
        self.cv = cv
        self.scoring = scoring
        self.n_rounds = n_rounds
        self.refit = refit
        self.time_limit = time_limit
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any, *, sample_weight: Any = None, groups: Any = None) -> Self:
        """Fit the estimators and choose their weights.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Features, which are passed to the estimators without checks.
        y : array-like of shape (n_samples,) or, for regressors, (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), optional
            Sample weights, for the fits of all estimators and for the scores.
        groups : array-like of shape (n_samples,), optional
            Group labels, which are passed to the splitter. If `cv` is an int, all samples of a
            group are in the same fold.

        Returns
        -------
        self : object
            The fitted ensemble.
        """
        start = monotonic()
        self._validate_params()
        names, estimators = self._validate_estimators()
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        X, y, sample_weight, groups = indexable(X, y, sample_weight, groups)
        y, classes = self._checked_targets(y)
        weight = None if sample_weight is None else check_sample_weight(sample_weight, X)
        params = self._fit_params(sample_weight, groups)
        folds = self._folds(X, y, classes, groups, weight)
        splits = list(zip(folds.train, folds.held, strict=True))
        columns = len(classes) if classes is not None else y.reshape(len(y), -1).shape[1]
        data = TrainingSet(X, y, splits, classes, columns)
        fitter = Fitter(data, self.n_jobs, self.verbose, self.time_limit, start)
        given = zip(names, estimators, strict=True)
        candidates = [Candidate(n, e, params[n], self.refit) for n, e in given if not is_dropped(e)]
        fitter.cross_fit(candidates)
        results = self._selected(data, candidates, folds, weight, fitter.end_of_selection)
        used = [c for c in candidates if results["weights_"][names.index(c.name)] > 0]
        fitter.fit_to_all(used)
        # All attributes are set at the end, so that an interrupted fit sets none of them.
        self._publish(results, used, classes, fitter.stop_reason)
        return self

    def _selected(
        self,
        data: TrainingSet,
        candidates: list[Candidate],
        folds: Folds,
        weight: Any,
        end: float,
    ) -> dict[str, Any]:
        """Choose the weights, and return them with the scores and the prediction.

        Half of the time until `end` is for the weights, and the other half for the nested score.
        """
        tried = [candidate for candidate in candidates if candidate.prediction is not None]
        predictions = np.stack([c.prediction for c in tried])  # type: ignore[misc]
        used = ~np.isnan(predictions[0, :, 0])
        if weight is not None:
            used &= weight > 0
        scored = np.flatnonzero(used)
        criterion = self._criterion(data, scored, None if weight is None else weight[scored])
        relevant = criterion.relevant(predictions[:, scored])
        now = monotonic()
        chosen = greedy_weights(relevant, criterion, self.n_rounds, now + (end - now) / 2)
        positions = np.cumsum(used) - 1
        held = [positions[rows[used[rows]]] for rows in folds.held]
        nested = nested_score(relevant, criterion, held, self.n_rounds, end)
        names = [name for name, _ in self.estimators]
        weights, scores = np.zeros(len(names)), np.full(len(names), np.nan)
        where = [names.index(candidate.name) for candidate in tried]
        weights[where], scores[where] = chosen, [criterion(each) for each in relevant]
        oof = np.tensordot(chosen, predictions, axes=1)
        return {
            "weights_": weights,
            "estimator_scores_": scores,
            "oof_prediction_": oof[:, 0] if data.classes is None and data.n_columns == 1 else oof,
            "oof_score_": criterion(np.tensordot(chosen, relevant, axes=1)),
            "nested_oof_score_": nested,
        }

    def _publish(
        self, results: dict[str, Any], used: list[Candidate], classes: Any, stop_reason: Any
    ) -> None:
        """Set the fitted attributes."""
        for name in ("feature_names_in_", "classes_"):
            self.__dict__.pop(name, None)
        fitted = {candidate.name: candidate.fitted for candidate in used}
        self.estimators_ = list(fitted.values())
        self.named_estimators_ = Bunch(
            **{name: fitted.get(name, "drop") for name, _ in self.estimators}
        )
        for name, value in results.items():
            setattr(self, name, value)
        self.stop_reason_ = stop_reason
        if classes is not None:
            self.classes_ = classes
        for estimator in self.estimators_:
            if hasattr(estimator, "feature_names_in_"):
                self.feature_names_in_ = estimator.feature_names_in_
                break
        if self.verbose:
            for i, (name, _) in enumerate(self.estimators):
                score, weight = self.estimator_scores_[i], self.weights_[i]
                print(f"[{type(self).__name__}] {name}: score {score:.6g}, weight {weight:.3g}")

    def _weighted_mean(self, X: Any, method: str) -> np.ndarray:
        """Return the weighted mean of the predictions, of shape (n_samples, n_columns)."""
        check_is_fitted(self)
        total: Any = 0.0
        classes = getattr(self, "classes_", None)
        n_columns = self.oof_prediction_.reshape(len(self.oof_prediction_), -1).shape[1]
        weights = self.weights_[self.weights_ > 0]
        fitted = [item for item in self.named_estimators_.items() if not is_dropped(item[1])]
        for (name, estimator), weight in zip(fitted, weights, strict=True):
            values = getattr(estimator, method)(X)
            total = total + weight * aligned(name, estimator, values, classes, n_columns)
        return total

    @property
    def _named(self) -> list[tuple[str, Any]]:
        return self.estimators

    @property
    def n_features_in_(self) -> int:
        """Number of features seen during ``fit``."""
        return self._when_fitted("n_features_in_").estimators_[0].n_features_in_

    def _sk_visual_block_(self) -> Any:
        names, estimators = zip(*self.estimators, strict=True)
        if hasattr(self, "weights_"):
            fitted = self.named_estimators_
            scores = zip(fitted, self.weights_, self.estimator_scores_, strict=True)
            estimators = tuple(fitted.values())
            names = tuple(f"{n}: weight {w:.2f}, score {s:.4g}" for n, w, s in scores)
        return VisualBlock("parallel", estimators, names=names, dash_wrapped=False)
