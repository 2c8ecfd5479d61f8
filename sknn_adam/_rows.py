"""Rows of a table for training or validation, without copies of the table."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

__all__ = ["Rows", "hold_out"]


@dataclass
class Rows:
    """Some rows of X with what belongs to them. X itself stays whole: it may be a memory map.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        The whole table.
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        What the user gave for these rows.
    weight : ndarray of shape (n_rows,), optional
        Their weights.
    targets : ndarray
        `y` as the loss takes it.
    index : ndarray of int of shape (n_rows,), optional
        Which rows of X are meant; None for all of them.
    """

    X: Any
    y: np.ndarray
    weight: np.ndarray | None = None
    targets: Any = None
    index: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.y) if isinstance(self.y, np.ndarray) else self.y.shape[0]

    def take(self, which: np.ndarray) -> "Rows":
        """Return the rows numbered `which`."""
        return Rows(
            self.X,
            self.y[which],
            None if self.weight is None else self.weight[which],
            None if self.targets is None else self.targets[which],
            which if self.index is None else self.index[which],
        )

    def features(self) -> Any:
        """Return these rows of X, a copy unless they are all."""
        return self.X if self.index is None else self.X[self.index]


def hold_out(
    n_rows: int, fraction: float, codes: np.ndarray | None, random_state: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Split row numbers into training and validation rows.

    Parameters
    ----------
    n_rows : int
        How many rows there are.
    fraction : float
        Share of the rows to hold out, in (0, 1); rounded up.
    codes : ndarray of shape (n_rows,), optional
        Class codes: the split is stratified where there are enough rows, and classes of a single
        row stay in the training part.
    random_state : int or RandomState
        Decides the split.

    Returns
    -------
    train, held_out : ndarray of int
        Row numbers, both sorted.

    Raises
    ------
    ValueError
        If fewer than 2 rows would be held out or trained on, or a class would have no training
        row.
    """
    rows = np.arange(n_rows)
    n_held = int(np.ceil(fraction * n_rows))
    movable = rows
    if codes is not None:
        movable = rows[np.bincount(codes)[codes] > 1]
    if n_held < 2 or n_rows - n_held < 2 or len(movable) <= n_held:
        raise ValueError(
            f"The validation set is too small: validation_fraction={fraction} of {n_rows} rows "
            f"leaves {n_held} for validation, and at least 2 are needed on both sides. Change "
            "validation_fraction, give more rows, or pass X_val and y_val."
        )
    stratify = None
    if codes is not None:
        n_classes = len(np.unique(codes[movable]))
        if n_classes <= min(n_held, len(movable) - n_held):
            stratify = codes[movable]
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
                "classes without a training row. Lower validation_fraction, give more rows, or "
                "pass X_val and y_val."
            )
    return train, held
