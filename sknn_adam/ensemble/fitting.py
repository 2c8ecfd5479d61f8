"""The order in which an ensemble fits its estimators, in parallel and within a time limit."""

from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed

from sknn_adam.ensemble.cross_fit import (
    FoldResult,
    Job,
    TrainingSet,
    do_task,
    fit_split,
    out_of_fold,
)
from sknn_adam.ensemble.fold_mean import mean_of_folds
from sknn_adam.ensemble.networks import can_stop_in_time, cross_fitting_network, fit_network

__all__ = ["Candidate", "Fitter"]

# Fraction of the time limit that is left for the choice of the weights.
SELECTION_FRACTION = 0.05


@dataclass
class Candidate:
    """An estimator of the ensemble.

    Parameters
    ----------
    name : str
        Its name.
    estimator : estimator
        The unfitted estimator.
    params : dict
        Metadata of its ``fit`` with one entry per sample.
    refit : bool
        Whether its final estimator is fitted to all samples. Otherwise it is the mean of the
        estimators fitted for the splits.
    prediction : ndarray of shape (n_samples, n_columns) or None
        Its out-of-fold prediction; None until it is fitted.
    fitted : estimator or None
        The final estimator; None until it is fitted.
    """

    name: str
    estimator: Any
    params: dict[str, Any]
    refit: bool
    prediction: np.ndarray | None = None
    fitted: Any = None

    def jobs(self, data: TrainingSet, seconds: float | None = None) -> list[Job]:
        """Return the fits that give the out-of-fold predictions."""
        given = self.name, self.estimator, self.params
        if cross_fitting_network(self.estimator) is not None:
            return [Job(fit_network, *given, (seconds,))]
        options = [(split, not self.refit) for split in range(len(data.splits))]
        return [Job(fit_split, *given, each) for each in options]

    def receive(self, results: list[FoldResult], n_rows: int) -> None:
        """Store the results of all jobs."""
        self.prediction = out_of_fold(results, n_rows)
        fitted = [result.fitted for result in results]
        self.fitted = None if fitted[0] is None else mean_of_folds(fitted)


class Fitter:
    """Fits the candidates of an ensemble.

    Parameters
    ----------
    data : TrainingSet
        The data.
    n_jobs : int or None
        Number of parallel jobs.
    verbose : int
        Verbosity of joblib.
    time_limit : float or None
        Time limit in seconds.
    start : float
        Start of the time, as returned by ``monotonic``.

    Attributes
    ----------
    stop_reason : str or None
        ``"time_limit"`` if the time limit kept a candidate from being fitted completely.
    """

    def __init__(
        self, data: TrainingSet, n_jobs: int | None, verbose: int, time_limit: Any, start: float
    ):
        self.data, self.n_jobs, self.verbose = data, n_jobs, verbose
        self.time_limit = time_limit
        self.stop_reason: str | None = None
        limit = inf if time_limit is None else (1 - SELECTION_FRACTION) * time_limit
        self.end = start + limit

    @property
    def end_of_selection(self) -> float:
        """Time at which the weights should be chosen, so that final fits can finish in time."""
        return self.end + SELECTION_FRACTION * (self.time_limit or 0.0)

    def cross_fit(self, candidates: list[Candidate]) -> None:
        """Set the out-of-fold predictions of the candidates, in order, until the time is over."""
        n_rows = len(self.data.y)
        if self.time_limit is not None:
            self._cross_fit_in_time(candidates, n_rows)
            return
        jobs = [candidate.jobs(self.data) for candidate in candidates]
        results = iter(self._run([job for each in jobs for job in each]))
        for candidate, each in zip(candidates, jobs, strict=True):
            candidate.receive([next(results) for _ in each], n_rows)

    def fit_to_all(self, candidates: list[Candidate]) -> None:
        """Fit candidates to all samples, except those that already have a final estimator."""
        missing = [candidate for candidate in candidates if candidate.fitted is None]
        data = self.data
        fitted = Parallel(n_jobs=self.n_jobs, verbose=self.verbose)(
            delayed(_fit_clone)(c.estimator, data.X, data.y, c.params) for c in missing
        )
        for candidate, estimator in zip(missing, fitted, strict=True):
            candidate.fitted = estimator

    def _run(self, jobs: list[Job]) -> list[FoldResult]:
        parallel = Parallel(n_jobs=self.n_jobs, verbose=self.verbose)
        return parallel(delayed(do_task)(*job.task(self.data)) for job in jobs)

    def _cross_fit_in_time(self, candidates: list[Candidate], n_rows: int) -> None:
        """Fit one candidate after the other, and reserve time for their final fits.

        A candidate starts if there is time for a part of the slowest one so far: for one round of
        parallel folds, since it can be abandoned between two of them, or for half of it, if it is a
        network that ends its training in time. The first candidate is always fitted completely.
        """
        longest = 0.0
        for i, candidate in enumerate(candidates):
            start = monotonic()
            left = self.end - start
            jobs = candidate.jobs(self.data, max(left, 0.0))
            at_once = min(effective_n_jobs(self.n_jobs), len(jobs))
            parts = -(-len(jobs) // at_once)
            if parts == 1 and can_stop_in_time(candidate.estimator):
                parts = 2
            fitted = None
            if i == 0 or left >= longest / parts:
                fitted = self._fit_in_time(jobs, at_once, required=i == 0)
            if fitted is None:
                self.stop_reason = "time_limit"
                continue
            results, final = fitted
            candidate.receive(results, n_rows)
            self.end -= final
            longest = max(longest, monotonic() - start + final)
            if any(result.stopped for result in results):
                self.stop_reason = "time_limit"

    def _fit_in_time(
        self, jobs: list[Job], at_once: int, required: bool
    ) -> tuple[list[FoldResult], float] | None:
        """Return the results and the time for the final fit; None if they cannot end in time."""
        results: list[FoldResult] = []
        # A final fit has more samples than the fit of a fold.
        growth = len(self.data.y) / min(len(train) for train, _ in self.data.splits)
        final = 0.0
        while len(results) < len(jobs):
            results += self._run(jobs[len(results) : len(results) + at_once])
            slowest = max(result.seconds for result in results)
            final = growth * slowest if results[0].fitted is None else 0.0
            rounds = -(-(len(jobs) - len(results)) // at_once)
            unfinished = bool(rounds) or results[0].fitted is None
            if not required and unfinished and monotonic() + rounds * slowest + final > self.end:
                return None
        return results, final


def _fit_clone(estimator: Any, X: Any, y: Any, params: dict[str, Any]) -> Any:
    return clone(estimator).fit(X, y, **params)
