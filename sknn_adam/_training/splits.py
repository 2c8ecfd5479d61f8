"""Held-out samples and folds."""

from typing import Any

import numpy as np
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    train_test_split,
)
from sklearn.utils import check_random_state

from sknn_adam._utils.warnings import warn

__all__ = ["hold_out", "fold_numbers"]


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


def fold_numbers(
    n_rows: int, n_folds: int, codes: np.ndarray | None, groups: Any, random_state: Any
) -> np.ndarray:
    """Distribute samples over folds, each of which is held out by one member.

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

    Returns
    -------
    fold : ndarray of int of shape (n_rows,)
        The fold of each sample.

    Raises
    ------
    ValueError
        If there are too few samples or groups, or if groups confine a large class to a single fold.
    """
    if n_rows // 2 < n_folds:
        reason = f"there are {n_rows} samples, of which every member holds out at least 2"
        raise _too_many_members(n_folds, reason)
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
            raise _too_many_members(n_folds, f"there are {n_groups} groups")
        splitter = StratifiedGroupKFold if strata is not None else GroupKFold
    splitter = splitter(n_folds, shuffle=True, random_state=random_state)
    for m, (_, held) in enumerate(splitter.split(np.zeros(n_rows), strata, groups)):
        fold[held] = m
    if np.bincount(fold, minlength=n_folds).min() < 2:
        raise _too_many_members(
            n_folds, "the groups leave a member fewer than 2 samples to hold out"
        )
    if codes is not None:
        counts = np.zeros((codes.max() + 1, n_folds), dtype=np.intp)
        np.add.at(counts, (codes, fold), 1)
        large = counts.sum(axis=1) >= n_folds  # small classes only cause a warning
        lost = np.sum(large & (np.count_nonzero(counts, axis=1) == 1))
        if lost:
            raise _too_many_members(n_folds, f"all samples of {lost} classes are in one fold")
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
        f"cross-fitted networks; the smallest class has {counts[rare].min()}. Each sample is held "
        "out by one network, so some networks hold out no sample of a small class, and a network "
        "that holds out all samples of a class is trained without the class. Provide more samples "
        "of small classes, merge them, or set early_stopping=False."
    )
    return None if counts.max() < n_folds else np.where(rare[codes], counts.argmax(), codes)


def _too_many_members(n_members: int, reason: str) -> ValueError:
    return ValueError(
        f"With n_members={n_members} and early_stopping=True, every member holds out its own fold, "
        f"but {reason}. Provide more samples, lower n_members, or set early_stopping=False "
        "(as recipe='fast' in tabular_pipeline does)."
    )
