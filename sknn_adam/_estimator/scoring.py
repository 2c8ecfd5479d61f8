"""Validation scores from scikit-learn scorers, and the choice of the score."""

import inspect
from collections.abc import Callable
from copy import copy
from math import isfinite
from typing import Any

import numpy as np
from sklearn.metrics import check_scoring, r2_score

from sknn_adam._estimator.setup import Session
from sknn_adam._training.batches import Rows
from sknn_adam._training.members import OutOfFold
from sknn_adam._training.validation import CrossFitted, LossScore
from sknn_adam._utils.validation import extreme_exponent, with_ordinary_size

__all__ = ["Scorer", "held_samples", "r_squared", "validator"]


class Scorer:
    """A scikit-learn scorer, applied to validation samples.

    Parameters
    ----------
    model : MLPClassifier or MLPRegressor
        The estimator, with its parameters and target type.
    scoring : str, callable or None
        The parameter `scoring` of scikit-learn's ``check_scoring``.
    rows : Rows
        The validation samples.
    member : int, default=0
        The member to score, if the targets are scaled for each member.
    """

    def __init__(self, model: Any, scoring: Any, rows: Rows, member: int = 0):
        self.X, self.y = rows.features(), rows.y
        self.scored = model._with(_targets=model._targets.of(member))
        # X has been converted to an array without feature names.
        vars(self.scored).pop("feature_names_in_", None)
        self.scoring, self.scorer = scoring, check_scoring(self.scored, scoring)
        self.missing = model._targets.missing(rows.y)
        self.completed = False  # whether the scorer has received all classes
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
        problem = f"scoring={self.scoring!r} cannot score the {len(self.y)} validation samples"
        if not self.missing:
            raise ValueError(
                f"{problem}: {reason}. Choose another scoring, such as 'loss'."
            ) from cause
        raise ValueError(
            f"{problem}, which lack the classes {self.missing!r}: {reason}. If the missing classes "
            "are the cause, validate on samples of all classes (increase validation_fraction, "
            "stratify the splits of cv, or pass X_val and y_val); otherwise choose another "
            "scoring, such as 'loss'."
        ) from cause


def takes_weights(scorer: Callable) -> bool:
    """Return whether a scorer accepts ``sample_weight``."""
    formula = getattr(scorer, "_score_func", scorer)
    names = inspect.signature(formula).parameters
    return "sample_weight" in names or any(p.kind is p.VAR_KEYWORD for p in names.values())


def with_labels(scorer: Callable, labels: np.ndarray) -> Callable | None:
    """Return a copy of a scikit-learn scorer that passes all class labels to its metric, or None.

    A metric of probabilities, such as the log loss, needs the class of every column. A metric of
    predicted labels averages over the classes that occur, so it must not receive the labels.
    """
    formula, method = getattr(scorer, "_score_func", None), getattr(scorer, "_response_method", "")
    if (
        formula is None
        or method == "predict"
        or "labels" not in inspect.signature(formula).parameters
    ):
        return None
    complete: Any = copy(scorer)
    complete._kwargs = {**complete._kwargs, "labels": labels}
    return complete


def validator(session: Session) -> Callable[[Any], Any] | None:
    """Return a function that scores a network on the validation samples; higher is better.

    For several members, it returns one score per member: on all validation samples or, for
    cross-fitted members, on the samples that each member holds out. Return None if nothing has to
    be validated.
    """
    model, scoring, run = session.model, session.model.scoring, session.run
    rows, n_members = session.validation, run.network.members
    if rows is None:
        crossed = session.folds is not None and session.plan.early_stopping
        return _cross_fitted(session) if crossed else None
    if scoring == "loss":
        return LossScore(rows, session.plan)
    if n_members is None:
        return Scorer(model, scoring, rows)
    scorers = [Scorer(model, scoring, rows, m) for m in range(n_members)]
    return lambda network: np.array([score(network.member(m)) for m, score in enumerate(scorers)])


def _cross_fitted(session: Session) -> CrossFitted:
    model, run, rows, kept = session.model, session.run, session.samples, session.data.kept
    assert kept is not None
    held = [positions for _, positions in held_samples(session)]
    n_held = sum(map(len, held))
    # An interrupted fit may be continued with other samples.
    if run.oof is None or len(run.oof.best) != n_held:
        run.oof = OutOfFold(n_held)
    run.oof.starts = np.cumsum([len(part) for part in held])[:-1]
    scorers = None
    if model.scoring != "loss":
        scoring = model.scoring
        scorers = [Scorer(model, scoring, rows.take(part), m) for m, part in enumerate(held)]
    return CrossFitted(rows, session.plan, run, held, kept, scorers)


def held_samples(session: Session) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return, for each network, the rows of X that it holds out, and their training samples.

    The second array has the positions of the rows among the training samples, without rows of
    weight zero.
    """
    folds, index = session.folds, session.samples.index
    assert folds is not None
    pairs = []
    for m in range(len(folds)):
        rows = folds.held_by(m)
        positions = rows if index is None else np.flatnonzero(np.isin(index, rows))
        pairs.append((rows, positions))
    return pairs


def r_squared(y: Any, predicted: np.ndarray, weight: Any = None) -> float:
    """Return the coefficient of determination, even if squared values would overflow."""
    if weight is not None:
        weight = with_ordinary_size(np.asarray(weight, dtype=np.float64))
    exponent = extreme_exponent(np.append(y, predicted).astype(np.float64))
    if exponent:
        y, predicted = (np.ldexp(np.asarray(v, np.float64), -exponent) for v in (y, predicted))
    return r2_score(y, predicted, sample_weight=weight)
