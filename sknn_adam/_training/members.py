"""The run of several networks that are trained at once: each is judged, and kept, on its own."""

from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import numpy as np

from sknn_adam._training.plan import Plan
from sknn_adam._training.run import EXPLODED, Run
from sknn_adam.clipping import norm

__all__ = ["Members", "OutOfFold", "of_the_others"]


@dataclass
class Members(Run):
    """All state of a training of several networks.

    Scores, best epochs and patience are arrays with one element for each member, and the best
    weights are those of each member's own best epoch. Training is out of patience when every
    member is.

    A member whose loss or weights are no longer finite at the end of an epoch goes back to its
    best ones, and what the optimizer remembers of it is forgotten; the others do not notice. Only
    if no member is left, training has diverged.
    """

    limits: Any = None  # a member's loss above its limit has diverged
    least: float = 0.0  # of the limits
    totals: Any = 0.0  # sums of the losses of the present epoch, nan for who has diverged in it
    seen: int = 0  # over so many rows

    def mean(self, values: np.ndarray, n_samples: int) -> float:
        """Add up the losses of a batch; return their mean over members that have not diverged."""
        if self.batch == 0:
            self.totals, self.seen = np.zeros(len(values)), 0
        self.seen += n_samples
        if self.limits is None:
            self.limits = np.full(len(values), np.nan)
        total = sum(values.tolist())  # of few numbers NumPy's sum takes longer
        if abs(total) < self.least:
            self.totals += n_samples * values
            return total / len(values)
        if np.isnan(self.limits).any():
            first = EXPLODED * np.maximum(1.0, np.abs(values))
            known = ~np.isnan(self.limits) | ~np.isfinite(values)
            self.limits = np.where(known, self.limits, first)
            if not np.isnan(self.limits).any():
                self.least = float(self.limits.min())
        sound = np.abs(values) < self.limits
        self.totals = self.totals + n_samples * np.where(sound, values, np.nan)
        return float(values[sound].mean()) if sound.any() else np.nan

    def largest_losses(self) -> Any:
        """Return the losses above which training has diverged, one for each member."""
        return inf if self.limits is None else np.nan_to_num(self.limits, nan=inf)

    def score(self, loss: float) -> np.ndarray:
        """Return minus the losses of the epoch."""
        return -self.totals / self.seen

    def survivors(self, plan: Plan, loss: float) -> np.ndarray | None:
        """Put back who has diverged; return the weights to go on with, None if all have."""
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
            self._put_back(plan, ~sound)
            point = self.point(plan)
        return point

    def give_up(self, plan: Plan, failed: np.ndarray) -> None:
        """Reset the members that have failed; training has diverged if all have."""
        if failed.all():
            super().give_up(plan, failed)
        else:
            self.lost = self.lost | failed
            self._put_back(plan, failed)

    def _put_back(self, plan: Plan, which: np.ndarray) -> None:
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
        """Compare the members' scores, higher is better, with their best ones."""
        score = np.asarray(score, dtype=np.float64)
        # Written so that a score that is not a number counts as no rise.
        rose = score >= self.best_score + plan.tol
        self.waited = np.where(rose, 0, self.waited + 1)
        better = score > self.best_score
        if better.all():
            super().keep(score, point)
            self.best_epoch = np.full(len(score), self.best_epoch)
        elif better.any():
            now = self.network.member_views(point, self.network.statistics)
            for view, array in zip(self.network.member_views(*self.best), now, strict=True):
                view[better] = array[better]
            self.best_score = np.where(better, score, self.best_score)
            self.best_epoch = np.where(better, self.clock.epoch, self.best_epoch)

    def keep(self, score: Any, point: np.ndarray) -> None:
        """Remember these weights and the present statistics as the best of all members."""
        super().keep(score, point)
        n_members = self.network.members
        self.best_score = np.full(n_members, self.best_score)
        self.best_epoch = np.full(n_members, self.best_epoch)

    @property
    def judged(self) -> bool:
        """Whether any member had a score that is a number."""
        return bool((np.asarray(self.best_score) > -inf).any())

    def out_of_patience(self, plan: Plan) -> str | None:
        """Return the reason to stop if no member has improved for too long."""
        waited = np.min(self.waited)
        if self.oof is not None:
            waited = min(waited, self.oof.waited.min())
        if waited <= plan.n_iter_no_change:
            return None
        return "early_stopping" if plan.early_stopping else "tol"

    def restore(self, plan: Plan) -> None:
        """Go back to every member's best weights; who never had a score keeps the last ones."""
        if self.best is None:
            return
        last = self.point(plan).copy()
        judged = np.asarray(self.best_score) > -inf
        if self.stop_reason == "diverged":
            judged = np.ones_like(judged)
        self.network.theta[...] = last
        self._put_back(plan, judged)
        self.begin(plan)


class OutOfFold:
    """For every row the raw outputs of the network that has left it out, from an honest epoch.

    A member's best epoch is told by the rows that it leaves out. Would that epoch be taken for
    the prediction of such a row too, the row's own target would have had a say in it. So each row
    has a best epoch of its own, told by the other rows of its fold, and patience of its own:
    when that has run out, nothing of it changes any more.
    """

    def __init__(self, n_rows: int):
        self.z: np.ndarray | None = None
        self.best = np.full(n_rows, -inf)
        self.waited = np.zeros(n_rows)

    def see(self, z: np.ndarray, score: np.ndarray, tol: float, patience: float) -> None:
        """Take an epoch's raw outputs where the score of the other rows is the best so far."""
        waiting = self.waited <= patience
        better = waiting & (score > self.best)
        rose = score >= self.best + tol
        self.waited = np.where(waiting, np.where(rose, 0, self.waited + 1), self.waited)
        self.z = z.copy() if self.z is None else np.where(better[:, None], z, self.z)
        self.best = np.where(better, score, self.best)


def of_the_others(loss: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return for every row minus the weighted mean loss of all other rows.

    Summed from both sides, and not as the total less the row's own loss: so not even rounding
    lets a row's own loss in.
    """

    def sums(terms: np.ndarray) -> np.ndarray:
        before, after = np.cumsum(terms), np.cumsum(terms[::-1])[::-1]
        return np.append(0.0, before[:-1]) + np.append(after[1:], 0.0)

    return -sums(weight * loss) / sums(weight)
