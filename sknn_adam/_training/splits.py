"""Held-out samples and folds."""

from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral
from typing import Any
from zlib import crc32

import numpy as np
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    check_cv,
    train_test_split,
)
from sklearn.utils import check_random_state

from sknn_adam._utils.validation import group_codes
from sknn_adam._utils.warnings import warn

__all__ = ["Folds", "fold_numbers", "hold_out", "make_folds"]


def hold_out(
    n_rows: int, fraction: float, codes: np.ndarray | None, random_state: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Split samples into training and validation samples.

    Parameters
    ----------
    n_rows : int
        Number of samples.
    fraction : float
        Fraction of the samples to hold out, in (0, 1). The number of samples is rounded up.
    codes : ndarray of shape (n_rows,), optional
        Class codes. The split is stratified if there are enough samples; otherwise one sample of
        each class is kept for training.
    random_state : int or RandomState
        Determines the split.

    Returns
    -------
    train, held_out : ndarray of int
        Sample indices, both sorted.

    Raises
    ------
    ValueError
        If there would be fewer than 2 training or validation samples, or if a class would have no
        training sample.
    """
    rows = np.arange(n_rows)
    n_held = int(np.ceil(fraction * n_rows))
    movable, stratify = rows, None
    if codes is not None:
        movable = rows[np.bincount(codes)[codes] > 1]
        if len(np.unique(codes[movable])) <= min(n_held, len(movable) - n_held):
            stratify = codes[movable]
        else:
            random_state = check_random_state(random_state)
            order = random_state.permutation(n_rows)
            movable = np.setdiff1d(rows, order[np.unique(codes[order], return_index=True)[1]])
    if codes is not None and 2 <= n_held < n_rows - 1 and len(movable) <= n_held:
        raise ValueError(
            f"validation_fraction={fraction} of {n_rows} samples would hold out {n_held} and leave "
            f"some of {len(np.unique(codes))} classes without a training sample. Lower "
            "validation_fraction, provide more samples, or pass X_val and y_val."
        )
    if n_held < 2 or n_rows - n_held < 2:
        # scikit-learn's own test suite expects this sentence about the validation set.
        small = "validation" if n_held < 2 else "training"
        raise ValueError(
            f"The {small} set is too small: validation_fraction={fraction} of "
            f"{n_rows} samples holds out {n_held}, but both sets need at least 2 samples. Change "
            "validation_fraction, provide more samples, or pass X_val and y_val."
        )
    _, held = train_test_split(
        movable, test_size=n_held, stratify=stratify, random_state=random_state
    )
    held = np.sort(held)
    train = np.setdiff1d(rows, held)
    if codes is not None:
        lost = np.setdiff1d(codes, codes[train])
        if len(lost):
            raise ValueError(
                f"validation_fraction={fraction} leaves {len(lost)} of {len(np.unique(codes))} "
                "classes without a training sample. Lower validation_fraction, provide more "
                "samples, or pass X_val and y_val."
            )
    return train, held


@dataclass(frozen=True)
class Folds:
    """The samples that cross-fitted networks train on and hold out.

    Parameters
    ----------
    train, held : list of ndarray of int
        For each split, the rows of X in its training set and in its test set.
    n_members : int
        Number of networks per split. Networks of one split are adjacent.
    n_rows : int
        Number of rows of X.
    """

    train: list[np.ndarray]
    held: list[np.ndarray]
    n_members: int
    n_rows: int

    def __len__(self) -> int:
        """Return the number of networks."""
        return len(self.train) * self.n_members

    def checksum(self) -> int:
        """Return a number that is the same for equal splits only, with near certainty."""
        number = 0
        for rows in (*self.train, *self.held):
            number = crc32(np.append(len(rows), rows).tobytes(), number)
        return number

    def held_by(self, m: int) -> np.ndarray:
        """Return the rows that network `m` holds out."""
        return self.held[m // self.n_members]

    def counts(self, index: np.ndarray | None) -> np.ndarray:
        """Return how often each sample is in each training set, shape (n_splits, n_samples).

        `index` contains the rows of X that are samples; None for all of them.
        """
        counts = np.stack([np.bincount(rows, minlength=self.n_rows) for rows in self.train])
        return counts if index is None else counts[:, index]

    def per_network(self, values: Iterable[Any]) -> np.ndarray:
        """Stack arrays, one per split, and repeat each of them for all networks of the split."""
        return np.repeat(np.stack(list(values)), self.n_members, axis=0)


def make_folds(
    cv: Any,
    n_members: int,
    X: Any,
    y: np.ndarray,
    codes: np.ndarray | None,
    groups: Any,
    weight: np.ndarray | None,
    least: int,
    random_state: Any,
) -> Folds:
    """Return the folds of cross-fitted networks.

    Parameters
    ----------
    cv : int, splitter or iterable of splits
        An int is the number of shuffled folds, see `fold_numbers`.
    n_members : int
        Number of networks per split.
    X, y : array-like
        All samples, including those with weight zero.
    codes : ndarray of shape (n_rows,), optional
        Class codes, if `y` is a single column of classes.
    groups : array-like of shape (n_rows,), optional
        Groups of samples, for the splitter.
    weight : ndarray of shape (n_rows,), optional
        Sample weights.
    least : int
        The smallest number of samples with positive weight that a network may hold out.
    random_state : int
        Determines the folds if `cv` is an int.

    Raises
    ------
    ValueError
        If a split is invalid or too small.
    """
    n_rows, splits = X.shape[0], []
    if isinstance(cv, Integral):
        groups = None if groups is None else group_codes(groups)
        fold = fold_numbers(n_rows, int(cv), codes, groups, random_state, least)
        for f in range(int(cv)):
            splits.append((np.flatnonzero(fold != f), np.flatnonzero(fold == f)))
    else:
        splitter = check_cv(cv, y, classifier=codes is not None)
        for train, held in splitter.split(X, y, groups):
            # A sample that is held out twice would influence its own best epoch.
            splits.append((_rows(train, n_rows), np.unique(_rows(held, n_rows))))
    used = np.ones(n_rows, bool) if weight is None else weight > 0
    for i, (train, held) in enumerate(splits):
        shared = len(np.intersect1d(train, held))
        reason = ""
        if shared:
            reason = f"has {shared} samples in both its training set and its test set"
        elif not used[train].any():
            reason = "has no training sample with positive weight"
        elif used[held].sum() < least:
            reason = f"has {used[held].sum()} test samples with positive weight"
            reason += ", but early_stopping=True needs at least 2" * (least > 1)
        if reason:
            raise ValueError(f"Split {i} of cv {reason}.")
    if not splits:
        raise ValueError("cv contains no split. Pass a list: a generator works only once.")
    return Folds([train for train, _ in splits], [held for _, held in splits], n_members, n_rows)


def _rows(given: Any, n_rows: int) -> np.ndarray:
    """Return row indices, given as indices or as a boolean mask."""
    rows = np.asarray(given)
    if rows.dtype == bool and rows.shape == (n_rows,):
        return np.flatnonzero(rows)
    valid = rows.ndim == 1 and (rows.dtype.kind in "iu" or not rows.size)
    if not (valid and (not rows.size or 0 <= rows.min() <= rows.max() < n_rows)):
        raise ValueError(
            "cv must be an int, a splitter of scikit-learn, or an iterable of pairs (train, test) "
            f"of row indices between 0 and {n_rows - 1}. Got the indices {given!r}."
        )
    return rows.astype(np.intp)


def fold_numbers(
    n_rows: int,
    n_folds: int,
    codes: np.ndarray | None,
    groups: Any,
    random_state: Any,
    least: int = 2,
) -> np.ndarray:
    """Distribute samples over folds.

    Parameters
    ----------
    n_rows : int
        Number of samples.
    n_folds : int
        Number of folds, at least 2.
    codes : ndarray of shape (n_rows,), optional
        Class codes, to stratify the folds. If a class has fewer samples than there are folds, a
        warning is issued; without groups, its samples are all in different folds.
    groups : array-like of shape (n_rows,), optional
        Groups of samples, each of which stays in one fold.
    random_state : int
        Determines the folds.
    least : int, default=2
        The smallest allowed number of samples in a fold.

    Returns
    -------
    fold : ndarray of int of shape (n_rows,)
        The fold of each sample.

    Raises
    ------
    ValueError
        If there are too few samples or groups, or if groups confine a large class to a single fold.
    """
    if n_rows // least < n_folds:
        reason = f"there are {n_rows} samples, and every fold needs at least {least}"
        raise _too_many_folds(n_folds, reason)
    strata = codes if codes is None else _strata(codes, n_folds)
    fold = np.empty(n_rows, dtype=np.intp)
    if groups is None and codes is not None and strata is not codes:
        # Deal the samples class by class, like StratifiedKFold. It would warn about small classes,
        # or raise an error if all classes are small.
        order = check_random_state(random_state).permutation(n_rows)
        fold[order[np.argsort(codes[order], kind="stable")]] = np.arange(n_rows) % n_folds
        return fold
    splitter: Any = StratifiedKFold if strata is not None else KFold
    if groups is not None:
        n_groups = len(np.unique(groups))
        if n_groups < n_folds:
            raise _too_many_folds(n_folds, f"there are {n_groups} groups")
        splitter = StratifiedGroupKFold if strata is not None else GroupKFold
    splitter = splitter(n_folds, shuffle=True, random_state=random_state)
    for m, (_, held) in enumerate(splitter.split(np.zeros(n_rows), strata, groups)):
        fold[held] = m
    if np.bincount(fold, minlength=n_folds).min() < least:
        raise _too_many_folds(n_folds, f"the groups leave fewer than {least} samples in a fold")
    if codes is not None:
        counts = np.zeros((codes.max() + 1, n_folds), dtype=np.intp)
        np.add.at(counts, (codes, fold), 1)
        large = counts.sum(axis=1) >= n_folds  # small classes only cause a warning
        lost = np.sum(large & (np.count_nonzero(counts, axis=1) == 1))
        if lost:
            raise _too_many_folds(n_folds, f"all samples of {lost} classes are in one fold")
    return fold


def _strata(codes: np.ndarray, n_folds: int) -> np.ndarray | None:
    """Return class codes to stratify by, with small classes merged into the largest class.

    A class is small if it has fewer samples than there are folds. Return None if all are small.
    """
    counts = np.bincount(codes)
    rare = (counts > 0) & (counts < n_folds)
    if not rare.any():
        return codes
    warn(
        f"Of {(counts > 0).sum()} classes, {rare.sum()} have fewer samples than the {n_folds} "
        f"folds of cv; the smallest class has {counts[rare].min()}. Each sample is in one fold, so "
        "some networks hold out no sample of a small class, and a network that holds out all "
        "samples of a class is trained without the class. Provide more samples of small classes, "
        "merge them, or set cv=None."
    )
    return None if counts.max() < n_folds else np.where(rare[codes], counts.argmax(), codes)


def _too_many_folds(n_folds: int, reason: str) -> ValueError:
    return ValueError(
        f"cv={n_folds} is too large: {reason}. Provide more samples, lower cv, or set cv=None (as "
        "recipe='fast' in make_tabular_pipeline does)."
    )
