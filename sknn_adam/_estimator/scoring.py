"""Validation scores: of a network, of members on the same rows, of members on their own folds."""

from collections.abc import Callable
from copy import copy
from math import isfinite
from typing import Any

import numpy as np
from sklearn.metrics import check_scoring, r2_score

from sknn_adam._nn.network import Network
from sknn_adam._training.batches import Rows
from sknn_adam._training.loop import Run
from sknn_adam._training.members import OutOfFold, of_the_others
from sknn_adam._training.plan import Plan
from sknn_adam._utils.sklearn_compat import takes_weights, with_labels
from sknn_adam._utils.validation import extreme_exponent, with_ordinary_size

__all__ = ["Given", "out_of_fold_score", "r_squared", "validator"]


class Given:
    """Stands in for a network where its raw outputs are known already."""

    def __init__(self, z: np.ndarray):
        self.z = z

    def predict(self, X: Any, index: Any = None) -> np.ndarray:
        """Return the raw outputs."""
        return self.z


class Scorer:
    """A scorer of scikit-learn, applied to some rows.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Whose parameters and encoding of targets are used.
    scoring : str, callable or None
        What scikit-learn takes.
    rows : Rows
        What is scored.
    """

    def __init__(self, estimator: Any, scoring: Any, rows: Rows):
        self.X, self.y, self.scored = rows.features(), rows.y, copy(estimator)
        vars(self.scored).pop("feature_names_in_", None)  # X is an array by now
        self.scoring, self.scorer = scoring, check_scoring(self.scored, scoring)
        self.missing = self.scored._missing_classes(rows.y)
        self.completed = False  # whether the scorer was told the classes
        weighted = rows.weight is not None and takes_weights(self.scorer)
        self.kwargs = {"sample_weight": rows.weight} if weighted else {}

    def __call__(self, network: Any) -> float:
        """Return the score of a network."""
        self.scored._network = network
        try:
            score = float(self.scorer(self.scored, self.X, self.y, **self.kwargs))
            if isfinite(score) or not self.completed:
                return score
            reason, cause = "the score is undefined without them", None
        except (ValueError, ZeroDivisionError) as error:
            complete = self.missing and with_labels(self.scorer, self.scored.classes_)
            if complete and not self.completed:
                self.scorer, self.completed = complete, True
                return self(network)
            reason, cause = str(error).rstrip("."), error
        found = f"scoring={self.scoring!r} cannot score the {len(self.y)} validation samples"
        if not self.missing:
            raise ValueError(
                f"{found}: {reason}. Choose another scoring, such as 'loss'."
            ) from cause
        raise ValueError(
            f"{found}, which lack the classes {self.missing!r}: {reason}. If the missing classes "
            "are the cause, validate with samples of all classes (raise validation_fraction, or "
            "pass X_val and y_val); else choose another scoring, such as 'loss'."
        ) from cause


class CrossFitted:
    """Scores every member on the rows that it leaves out, and collects what it says of them."""

    def __init__(self, estimator: Any, rows: Rows, plan: Plan, state: OutOfFold, n_members: int):
        self.rows, self.plan, self.state = rows, plan, state
        self.weight = np.ones(len(rows)) if rows.weight is None else rows.weight
        self.folds = [np.flatnonzero(rows.fold == m) for m in range(n_members)]
        if plan.loss.task == "classification" and rows.targets.ndim == 1:
            self.weight = self._without_unknown_classes()
        self.scorers = None
        if estimator.scoring != "loss":
            parts = [rows.take(held) for held in self.folds]
            self.scorers = [Scorer(estimator, estimator.scoring, part) for part in parts]

    def _without_unknown_classes(self) -> np.ndarray:
        """Return the weights, 0 where a member leaves out all rows of a class.

        The loss of such a row grows for as long as the member learns the other classes, and would
        end its training at once.
        """
        codes, weight = self.rows.targets, self.weight.copy()
        for held in self.folds:
            kept = np.bincount(codes) - np.bincount(codes[held], minlength=codes.max() + 1)
            known = kept[codes[held]] > 0
            # A row is judged by the others of its fold: they need a weight.
            if known.sum() > 1:
                weight[held[~known]] = 0
        return weight

    def __call__(self, network: Network) -> np.ndarray:
        """Return the scores of the members."""
        rows, plan, given = self.rows, self.plan, []
        for m, held in enumerate(self.folds):
            index = held if rows.index is None else rows.index[held]
            given.append(network.member(m).predict(rows.X, index))
        order = np.concatenate(self.folds)
        z = np.empty((len(rows), given[0].shape[-1]), given[0].dtype)
        z[order] = np.concatenate(given)
        loss = plan.loss.value(rows.targets, z).astype(np.float64)
        others = np.empty(len(rows))
        for held in self.folds:
            others[held] = of_the_others(loss[held], self.weight[held])
        self.state.see(z, others, plan.tol, plan.n_iter_no_change)
        if self.scorers is not None:
            pairs = zip(self.scorers, given, strict=True)
            return np.array([scorer(Given(part)) for scorer, part in pairs])
        return -np.array([np.average(loss[held], weights=self.weight[held]) for held in self.folds])


def validator(estimator: Any, rows: Rows | None, plan: Plan, run: Run) -> Callable | None:
    """Return the function that scores a network on the validation rows, higher is better.

    Members get one score each: on the same rows, or each on those that it leaves out.
    """
    if rows is None:
        return None
    if rows.fold is not None:
        if run.oof is None:
            run.oof = OutOfFold(len(rows))
        return CrossFitted(estimator, rows, plan, run.oof, int(run.network.members or 1))
    if estimator.scoring == "loss":
        X, index, targets, loss = rows.X, rows.index, rows.targets, plan.loss
        weight = None if rows.weight is None else rows.weight / rows.weight.mean()
        if run.network.members is None:
            return lambda network: -float(loss.mean(targets, network.predict(X, index), weight))
        return lambda network: -loss.mean(targets, network.predict(X, index), weight)
    scorer = Scorer(estimator, estimator.scoring, rows)
    if run.network.members is None:
        return scorer
    members = range(run.network.members)
    return lambda network: np.array([scorer(network.member(m)) for m in members])


def out_of_fold_score(estimator: Any, rows: Rows, z: np.ndarray) -> float:
    """Return the score of raw outputs `z` for these rows: accuracy or R^2 unless scoring says."""
    scoring = None if estimator.scoring == "loss" else estimator.scoring
    return Scorer(estimator, scoring, rows)(Given(z))


def r_squared(y: Any, predicted: np.ndarray, weight: Any = None) -> float:
    """Return the coefficient of determination, also where squares of the numbers overflow."""
    if weight is not None:
        weight = with_ordinary_size(np.asarray(weight, dtype=np.float64))
    exponent = extreme_exponent(np.append(y, predicted).astype(np.float64))
    if exponent:
        y, predicted = (np.ldexp(np.asarray(v, np.float64), -exponent) for v in (y, predicted))
    return r2_score(y, predicted, sample_weight=weight)
