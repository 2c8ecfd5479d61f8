"""Validation scores based on the loss, and out-of-fold predictions of cross-fitted members."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sknn_adam._nn.network import Network
from sknn_adam._training.batches import Rows
from sknn_adam._training.members import OutOfFold, leave_one_out_scores
from sknn_adam._training.plan import Plan

__all__ = ["CrossFitted", "Given", "LossScore"]


class Given:
    """Stand-in for a network whose raw outputs are already known."""

    def __init__(self, z: np.ndarray):
        self.z = z

    def predict(self, X: Any, index: Any = None) -> np.ndarray:
        """Return the raw outputs."""
        return self.z


class LossScore:
    """The negated loss of a network on validation samples, one score per member."""

    def __init__(self, rows: Rows, plan: Plan):
        self.rows, self.loss = rows, plan.loss
        self.weight = None if rows.weight is None else rows.weight / rows.weight.mean()

    def __call__(self, network: Network) -> Any:
        """Return the score of a network; higher is better."""
        z = network.predict(self.rows.X, self.rows.index)
        score = -self.loss.mean(self.rows.targets, z, self.weight)
        return float(score) if network.members is None else score


class CrossFitted:
    """Scores of the members on their own folds, and their predictions for these samples.

    Parameters
    ----------
    rows : Rows
        All samples, with their folds.
    plan : Plan
        The plan of the training run.
    state : OutOfFold
        The predictions so far.
    folds : sequence of ndarray of int
        The samples that each member holds out.
    scorers : sequence of callable, optional
        The scorer of each fold; by default, the score is the negated loss.
    """

    def __init__(
        self,
        rows: Rows,
        plan: Plan,
        state: OutOfFold,
        folds: Sequence[np.ndarray],
        scorers: Sequence[Callable[[Any], float]] | None,
    ):
        self.rows, self.plan, self.state = rows, plan, state
        self.folds, self.scorers = folds, scorers
        self.weight = np.ones(len(rows)) if rows.weight is None else rows.weight
        if rows.targets.ndim == 1:  # class codes
            self.weight = self._without_unknown_classes()

    def _without_unknown_classes(self) -> np.ndarray:
        """Return the weights, with 0 for samples whose class their member does not train on.

        The loss of such a sample grows while the member learns the other classes, so early stopping
        would end the training of the member immediately.
        """
        codes, weight = self.rows.targets, self.weight.copy()
        for held in self.folds:
            kept = np.bincount(codes) - np.bincount(codes[held], minlength=codes.max() + 1)
            known = kept[codes[held]] > 0
            # The score of a sample depends on the others in its fold, which need a positive weight.
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
            others[held] = leave_one_out_scores(loss[held], self.weight[held])
        self.state.see(z, others, plan.tol, plan.n_iter_no_change)
        if self.scorers is not None:
            pairs = zip(self.scorers, given, strict=True)
            return np.array([scorer(Given(raw)) for scorer, raw in pairs])
        return -np.array([np.average(loss[held], weights=self.weight[held]) for held in self.folds])
