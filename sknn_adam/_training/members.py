"""The run of several networks that train together, each with its own score and best weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, ClassVar

import numpy as np

from sknn_adam._backends.numpy_backend import Backend
from sknn_adam._backends.vectors import norm
from sknn_adam._training.plan import Plan
from sknn_adam._training.run import EXPLODED, Run

__all__ = ["Members", "OutOfFold", "leave_one_out_scores"]


@dataclass
class Members(Run):
    """Everything that changes while several networks train together.

    Scores, best epochs and patience are arrays with one entry per member, and the best weights are
    those of each member's own best epoch. Training is out of patience when every member is. With
    early stopping, a member that is out of patience is no longer trained, and its gradient and loss
    are left out of the means. Its best score still enters the mean validation score.

    A member diverges if its loss exceeds a limit, or if its loss or weights are not finite. At the
    end of the epoch it is reset to its best weights, and its optimizer state is set to zero. The
    other members are not affected. Training has diverged only if all members diverge in the same
    epoch.
    """

    limits: Any = None  # a member diverges if its loss exceeds its limit
    least: float = 0.0  # the smallest limit
    totals: Any = 0.0  # sums of the losses in the current epoch, nan for diverged members
    seen: int = 0  # number of samples in these sums

    def mean(self, values: np.ndarray, n_samples: int) -> float:
        """Add up the losses of a batch; return their mean over members that have not diverged."""
        if self.batch == 0:
            self.totals, self.seen = np.zeros(len(values)), 0
        self.seen += n_samples
        n_trained = len(values)
        if self.finished is not None:
            values = np.where(self.finished, 0.0, values)
            n_trained -= int(self.finished.sum())
        if self.limits is None:
            self.limits = np.full(len(values), np.nan)
        # numpy.sum is slower for a few numbers.
        total = sum(values.tolist())
        if abs(total) < self.least:
            self.totals += n_samples * values
            return total / n_trained
        if np.isnan(self.limits).any():
            first = EXPLODED * np.maximum(1.0, np.abs(values))
            known = ~np.isnan(self.limits) | ~np.isfinite(values)
            self.limits = np.where(known, self.limits, first)
            if not np.isnan(self.limits).any():
                self.least = float(self.limits.min())
        sound = np.abs(values) < self.limits
        self.totals = self.totals + n_samples * np.where(sound, values, np.nan)
        if self.finished is not None:
            sound &= ~self.finished
        return float(values[sound].mean()) if sound.any() else np.nan

    @property
    def knows_limit(self) -> bool:
        """Whether it is known above which loss each member has diverged."""
        return self.least > 0

    def largest_losses(self) -> Any:
        """Return the loss above which each member has diverged."""
        return inf if self.limits is None else np.nan_to_num(self.limits, nan=inf)

    def weight_norms(self) -> np.ndarray:
        """Return the norm of the weights of each member."""
        network = self.network
        views = network.member_views(network.theta, network.statistics)[: len(network.layout)]
        return np.sqrt(sum(np.square(view, dtype=np.float64).sum(axis=1) for view in views))

    def score(self, loss: float) -> np.ndarray:
        """Return the negated losses of the epoch."""
        return -self.totals / self.seen

    def survivors(self, plan: Plan, loss: float) -> np.ndarray | None:
        """Reset diverged members; return the weights to continue with, None if all diverged."""
        point = self.point(plan)
        sound = np.isfinite(self.totals)
        vectors = self.network.theta, point, self.network.statistics
        if sound.all() and all(isfinite(norm(vector)) for vector in vectors):
            return point
        for vector in (self.network.theta, point):
            for array in self.network.member_views(vector, self.network.statistics):
                sound &= np.isfinite(array).all(axis=1)
        if not sound.any():
            return None
        if not sound.all():
            self.lost = self.lost | ~sound
            self._reset(plan, ~sound)
            point = self.point(plan)
        return point

    def give_up(self, plan: Plan, failed: np.ndarray) -> None:
        """Reset the members that have failed; training has diverged if all have."""
        if failed.all():
            super().give_up(plan, failed)
        else:
            self.lost = self.lost | failed
            self._reset(plan, failed)

    def _reset(self, plan: Plan, which: np.ndarray) -> None:
        vars(self)["n_resets"] = self.n_resets + 1
        network = self.network
        best = network.member_views(*self.best)
        for vector in (network.theta, self.average):
            if vector is not None:
                views = network.member_views(vector, network.statistics)
                for view, array in zip(views, best, strict=True):
                    view[which] = array[which]
        for slot in self.slots(plan):
            for view in network.member_views(slot, network.statistics)[: len(network.layout)]:
                view[which] = 0

    def watch(self, plan: Plan, score: Any, point: np.ndarray) -> None:
        """Compare the scores of the members (higher is better) with their best scores."""
        score = np.asarray(score, dtype=np.float64)
        # A member that is out of patience keeps its best weights while the others train on, as if
        # it had been trained alone.
        waiting = np.asarray(self.waited) <= plan.n_iter_no_change
        # With this comparison, nan counts as no improvement.
        rose = score >= self.best_score + plan.tol
        self.waited = np.where(waiting, np.where(rose, 0, self.waited + 1), self.waited)
        better = waiting & (score > self.best_score)
        if better.all():
            super().keep(score, point)
            self.best_epoch = np.full(len(score), self.best_epoch)
        elif better.any():
            now = self.network.member_views(point, self.network.statistics)
            for view, array in zip(self.network.member_views(*self.best), now, strict=True):
                view[better] = array[better]
            self.best_score = np.where(better, score, self.best_score)
            self.best_epoch = np.where(better, self.clock.epoch, self.best_epoch)
        self._finish(plan)

    def keep(self, score: Any, point: np.ndarray) -> None:
        """Store these weights and the current statistics as the best of all members."""
        super().keep(score, point)
        n_members = self.network.members
        self.best_score = np.full(n_members, self.best_score)
        self.best_epoch = np.full(n_members, self.best_epoch)

    @property
    def judged(self) -> bool:
        """Whether any member has had a score other than nan."""
        return bool((np.asarray(self.best_score) > -inf).any())

    def out_of_patience(self, plan: Plan) -> str | None:
        """Return the reason to stop if no member has improved for too long, else None."""
        if not self._each_out_of_patience(plan).all():
            return None
        return "early_stopping" if plan.early_stopping else "tol"

    def _each_out_of_patience(self, plan: Plan) -> np.ndarray:
        """Return whether each member, and each sample that it holds out, is out of patience."""
        waited = np.full_like(self.best_score, self.waited)
        if self.oof is not None:
            waited = np.minimum(waited, self.oof.least())
        return waited > plan.n_iter_no_change

    def prepare(self, plan: Plan, kernels: Backend) -> None:
        """Set the backend, and determine which members have been trained."""
        super().prepare(plan, kernels)
        self._finish(plan)

    def _finish(self, plan: Plan) -> None:
        """End the training of the members that are out of patience."""
        out = self._each_out_of_patience(plan)
        finished = None
        if plan.early_stopping and not plan.optimizer.full_batch and out.any():
            finished = out
        if not np.array_equal(finished, self.finished):  # type: ignore[arg-type]
            # Epochs that have been played ahead trained these members, too.
            vars(self)["n_resets"] = self.n_resets + 1
            vars(self)["finished"] = finished
            self.silence()

    def silence(self) -> None:
        """Set the gradients of finished members to zero."""
        if self.finished is not None:
            network = self.network
            views = network.member_views(network.grad, network.statistics)
            for view in views[: len(network.layout)]:
                view[self.finished] = 0

    def scores_of_epoch(self, score: Any) -> Any:
        """Return the scores of the members in this epoch, or the best ones of finished members."""
        if self.finished is None:
            return score
        # The score of a finished member was nan in all epochs, or it has a best one.
        best = np.where(self.best_score > -inf, self.best_score, np.nan)
        return np.where(self.finished, best, score)

    def restore(self, plan: Plan) -> None:
        """Restore each member's best weights; a member without a score keeps its last weights."""
        if self.best is None:
            return
        last = self.point(plan).copy()
        judged = np.asarray(self.best_score) > -inf
        if self.stop_reason == "diverged":
            judged = np.ones_like(judged)
        self.network.theta[...] = last
        self._reset(plan, judged)
        self.begin(plan)


class OutOfFold:
    """Raw outputs for held-out samples, each from an epoch selected without the sample's target.

    The fold of a member determines its best epoch. Using that epoch to predict a sample of the fold
    would leak the sample's own target. Therefore each sample has its own best epoch, determined by
    the other samples of its fold, and its own patience. Once the patience runs out, the outputs of
    the sample no longer change.
    """

    # Where the samples of each member begin, apart from the first; set in every fit.
    starts: ClassVar[Sequence[int]] = ()

    def __init__(self, n_held: int):
        self.z: np.ndarray | None = None
        self.best = np.full(n_held, -inf)
        self.waited = np.zeros(n_held)

    def see(self, z: np.ndarray, score: np.ndarray, tol: float, patience: float) -> None:
        """Store the raw outputs of samples whose leave-one-out score is the best so far."""
        waiting = self.waited <= patience
        better = waiting & (score > self.best)
        rose = score >= self.best + tol
        self.waited = np.where(waiting, np.where(rose, 0, self.waited + 1), self.waited)
        self.z = z.copy() if self.z is None else np.where(better[:, None], z, self.z)
        self.best = np.where(better, score, self.best)

    def least(self) -> np.ndarray:
        """Return, for each member, the fewest epochs that one of its samples has waited."""
        return np.array([part.min(initial=inf) for part in np.split(self.waited, self.starts)])

    def __getstate__(self) -> dict[str, Any]:
        """Omit what the folds determine."""
        return {name: value for name, value in vars(self).items() if name != "starts"}


def leave_one_out_scores(loss: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return, for every sample, the negated weighted mean loss of all other samples.

    The sums are accumulated from both ends. If the sample's own loss were subtracted from the
    total, it would still affect the result through rounding errors.
    """

    def sums(terms: np.ndarray) -> np.ndarray:
        before, after = np.cumsum(terms), np.cumsum(terms[::-1])[::-1]
        return np.append(0.0, before[:-1]) + np.append(after[1:], 0.0)

    return -sums(weight * loss) / sums(weight)
