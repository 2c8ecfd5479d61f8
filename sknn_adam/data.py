"""Rows of a table: for training in batches, for validation, without copies of the table."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state

from sknn_adam._kernels import NUMPY, NumpyKernels

__all__ = ["Data", "Rows", "facts", "hold_out"]


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


class Data:
    """Rows for training, handed out in batches.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Features, float32 or float64; never copied or converted as a whole.
    y : ndarray
        Codes (n_rows,) or targets (n_rows, n_outputs).
    weight : ndarray of shape (n_rows,), optional
        Relative weights, with mean 1.
    batch_size : int
        Rows of a batch; the last batch of an epoch may have fewer.
    dtype : numpy dtype
        What a batch of X is converted to.
    index : ndarray of int of shape (n_rows,), optional
        Which rows of X `y` and `weight` belong to; None for all of them.
    """

    def __init__(
        self,
        X: Any,
        y: np.ndarray,
        weight: Any,
        batch_size: int,
        dtype: Any,
        index: np.ndarray | None = None,
    ):
        self.X, self.y, self.weight, self.dtype = X, y, weight, np.dtype(dtype)
        self.index, self.n_rows = index, len(y)
        self.batch_size = min(batch_size, self.n_rows)
        self.n_batches = -(-self.n_rows // self.batch_size)
        self._sparse = issparse(X)
        # Of columns, numpy.take would copy all of X for every batch.
        self._takes = not self._sparse and X.flags.c_contiguous
        if not self._sparse:
            self._taken = np.empty((self.batch_size, X.shape[1]), X.dtype)
            self._cast = np.empty((self.batch_size, X.shape[1]), dtype)

    def order(self, rng: np.random.Generator) -> np.ndarray | None:
        """Return a random order of the rows; None for one batch, where it does not matter."""
        return None if self.n_batches == 1 else rng.permutation(self.n_rows)

    def batch(
        self, i: int, order: np.ndarray | None, kernels: NumpyKernels = NUMPY
    ) -> tuple[Any, np.ndarray, Any]:
        """Return (X, y, weight) of batch `i` in this order of the rows, None for their own."""
        start = i * self.batch_size
        rows: Any = slice(start, min(start + self.batch_size, self.n_rows))
        rows = rows if order is None else order[rows]
        weight = None if self.weight is None else self.weight[rows]
        of_X = rows if self.index is None else self.index[rows]
        return self._rows(of_X, kernels), self.y[rows], weight

    def _rows(self, rows: Any, kernels: NumpyKernels) -> Any:
        if self._sparse:
            x = self.X[rows]
            return x if x.dtype == self.dtype else x.astype(self.dtype)
        if not isinstance(rows, slice) and self._takes:
            return kernels.gather(self.X, rows, self._taken, self._cast)
        x = self.X[rows]
        if x.dtype != self.dtype:
            cast = self._cast[: len(x)]
            np.copyto(cast, x)
            x = cast
        return x


MOST_LOOKED_AT = 256


def facts(data: Data, loss: Any) -> dict[str, float]:
    """Return what a look at some rows, spread over the table, tells of it.

    Parameters
    ----------
    data : Data
        The rows as training sees them.
    loss : Loss
        The loss of the training.

    Returns
    -------
    facts : dict of float
        Numbers of rows, features and rows of a batch, and whether X is sparse; the largest root
        mean square of a column (``"scale_max"``), and the smallest one of a column that varies
        (``"scale_min"``); mean and deviation of the targets, of the output where they are largest
        (nan for classes); and the loss of answering every row alike (``"constant_loss"``).
    """
    some = np.linspace(0, data.n_rows - 1, min(data.n_rows, MOST_LOOKED_AT)).astype(int)
    x, y = data.X[some if data.index is None else data.index[some]], data.y[some]
    sparse = issparse(x)
    x = x.toarray() if sparse else x
    with np.errstate(all="ignore"):
        mean, scale = x.mean(axis=0), np.sqrt(np.einsum("ij,ij->j", x, x) / len(x))
        deviation = np.sqrt(np.maximum(scale**2 - mean**2, 0))
        varies = deviation > 1e-6 * scale
        constant = loss.constant(y)
        found = {
            "constant_loss": loss.mean(y, np.broadcast_to(constant, (len(y), len(constant)))),
            "scale_max": scale.max(initial=0),
            "scale_min": scale[varies].min(initial=np.inf),
            "target_mean": np.nan,
            "target_scale": np.nan,
        }
        if loss.task == "regression":
            found["target_mean"] = np.abs(y.mean(axis=0)).max()
            found["target_scale"] = y.std(axis=0).max()
    found |= {
        "sparse": sparse,
        "n_rows": data.n_rows,
        "n_features": x.shape[1],
        "batch_size": data.batch_size,
    }
    return {name: float(value) for name, value in found.items()}


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
        Class codes: the split is stratified where there are enough rows. Where there are not, one
        row of each class is kept for training.
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
    movable, stratify = rows, None
    if codes is not None:
        movable = rows[np.bincount(codes)[codes] > 1]
        if len(np.unique(codes[movable])) <= min(n_held, len(movable) - n_held):
            stratify = codes[movable]
        else:
            random_state = check_random_state(random_state)
            order = random_state.permutation(n_rows)
            movable = np.setdiff1d(rows, order[np.unique(codes[order], return_index=True)[1]])
    if n_held < 2 or n_rows - n_held < 2 or len(movable) <= n_held:
        raise ValueError(
            f"The validation set is too small: validation_fraction={fraction} of {n_rows} rows "
            f"leaves {n_held} for validation, and at least 2 are needed on both sides. Change "
            "validation_fraction, give more rows, or pass X_val and y_val."
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
                "classes without a training row. Lower validation_fraction, give more rows, or "
                "pass X_val and y_val."
            )
    return train, held
