"""Validation scores based on the loss, and out-of-fold predictions of cross-fitted members."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from sknn_adam._backends.threads import share
from sknn_adam._nn.network import Network
from sknn_adam._training.batches import Rows
from sknn_adam._training.members import leave_one_out_scores
from sknn_adam._training.plan import Plan
from sknn_adam._training.run import Run

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
    """Scores of the members on the samples that they hold out, and their predictions for these.

    Parameters
    ----------
    rows : Rows
        All training samples.
    plan : Plan
        The plan of the training run.
    run : Run
        The run, with the out-of-fold predictions so far, in the order of the concatenated `held`.
    held : sequence of ndarray of int
        The positions in `rows` of the samples that each member holds out.
    kept : ndarray of bool of shape (n_members, n_samples)
        Whether each member trains on each sample.
    scorers : sequence of callable, optional
        The scorer of each member; by default, the score is the negated loss.
    """

    def __init__(
        self,
        rows: Rows,
        plan: Plan,
        run: Run,
        held: Sequence[np.ndarray],
        kept: np.ndarray,
        scorers: Sequence[Callable[[Any], float]] | None,
    ):
        self.rows, self.plan, self.run = rows, plan, run
        self.held, self.scorers = held, scorers
        # Raw outputs, leave-one-out scores and score of each member in its last epoch.
        self.last: list[Any] = [None] * len(held)
        self.weights = [self._weights(*pair) for pair in zip(held, kept, strict=True)]

    def _weights(self, held: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """Return the weights, with 0 for samples whose class their member does not train on.

        The loss of such a sample grows while the member learns the other classes, so early stopping
        would end the training of the member immediately.
        """
        rows = self.rows
        weight = np.ones(len(held)) if rows.weight is None else rows.weight[held].copy()
        if rows.targets.ndim == 1:  # class codes
            codes = rows.targets
            known = np.isin(codes[held], codes[kept])
            # The score of a sample depends on the others, which need a positive weight.
            if known.sum() > 1:
                weight[~known] = 0
        return weight

    def __call__(self, network: Network) -> np.ndarray:
        """Return the scores of the members."""
        plan, finished = self.plan, self.run.finished
        members: Sequence[int] = range(len(self.held))
        if finished is not None:
            members = [m for m in members if not finished[m] or self.last[m] is None]
        results = share([partial(self._of_member, network, m) for m in members])
        for m, (z, others, loss) in zip(members, results, strict=True):
            # A scorer of the user might not be thread-safe.
            score = -loss if self.scorers is None else self.scorers[m](Given(z))
            self.last[m] = z, others, score
        outputs, others, scores = zip(*self.last, strict=True)
        self.run.oof.see(
            np.concatenate(outputs), np.concatenate(others), plan.tol, plan.n_iter_no_change
        )
        return np.array(scores)

    def _of_member(self, network: Network, m: int) -> tuple[np.ndarray, np.ndarray, float]:
        """Return raw outputs, leave-one-out scores and mean loss for held-out samples."""
        rows, held, weight = self.rows, self.held[m], self.weights[m]
        index = held if rows.index is None else rows.index[held]
        z = network.member(m).predict(rows.X, index)
        with np.errstate(all="ignore"):
            loss = self.plan.loss.value(rows.targets_of(m)[held], z).astype(np.float64)
        return z, leave_one_out_scores(loss, weight), float(np.average(loss, weights=weight))
