"""Order statistics of scores that are shifted and scaled differently for each set of splits."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

__all__ = ["counts_below", "kth_smallest"]

# Halvings of the interval that contains an order statistic.
HALVINGS = 48


def counts_below(
    scores: Sequence[np.ndarray], limits: np.ndarray, side: Literal["left", "right"]
) -> np.ndarray:
    """Return how many scores of all sets are below, or at most, the limit of their set.

    Parameters
    ----------
    scores : sequence of ndarray
        The sorted scores of each set.
    limits : ndarray of shape (n_sets, ...)
        One limit for each set.
    side : {"left", "right"}
        ``"left"`` counts smaller scores, ``"right"`` those that are equal as well.
    """
    total = np.zeros(limits.shape[1:], dtype=np.int64)
    for each, limit in zip(scores, limits, strict=True):
        total += np.searchsorted(each, limit, side)
    return total


def kth_smallest(
    base: np.ndarray, scale: np.ndarray, scores: Sequence[np.ndarray], k: int
) -> np.ndarray:
    """Return the k-th smallest of ``base[s] + scale[s] * scores[s][i]`` over all s and i.

    Its memory does not depend on the number of scores.

    Parameters
    ----------
    base, scale : ndarray of shape (n_sets, n_samples)
        Shift and positive factor for each set.
    scores : sequence of ndarray
        The sorted scores of each set.
    k : int
        Rank, from 1; with fewer scores, the result is infinite.

    Returns
    -------
    ndarray of shape (n_samples,)
        The order statistics, at most by 2**-48 of their spread over the sets too large.
    """
    n_scores = sum(map(len, scores))
    if k > n_scores:
        return np.full(base.shape[1], np.inf)
    # The values of the same quantile in each set enclose that of all sets.
    ranks = [min(len(each), -(-k * len(each) // n_scores)) for each in scores]
    own = np.array([each[rank - 1] for each, rank in zip(scores, ranks, strict=True)])
    quantiles = base + scale * own[:, None]
    low, high = quantiles.min(axis=0), quantiles.max(axis=0)
    for _ in range(HALVINGS):
        middle = low + (high - low) / 2
        enough = counts_below(scores, (middle - base) / scale, "right") >= k
        high = np.where(enough, middle, high)
        low = np.where(enough, low, middle)
    return high
