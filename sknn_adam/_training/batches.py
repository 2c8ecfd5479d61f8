"""Samples of a table for training and validation, without copying the table."""

from dataclasses import dataclass
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse

from sknn_adam._backends.numpy_backend import NUMPY, Backend
from sknn_adam._backends.program import ProgramBatch

__all__ = ["Batch", "Data", "Rows", "constant_losses", "facts"]


class Batch(NamedTuple):
    """The samples of one step.

    Attributes
    ----------
    x : ndarray or CSR matrix of shape (n_samples, n_features)
        Features.
    y : ndarray
        Codes (n_samples,) or targets (n_samples, n_outputs), or (n_members, n_samples, n_outputs)
        if each member scales the targets by itself.
    weight : ndarray of shape (n_samples,) or (n_members, n_samples), optional
        Relative weights; samples that a member holds out have weight 0.
    kept : ndarray of bool of shape (n_members, n_samples), optional
        Whether a sample is in a member's training set and therefore contributes to its batch
        statistics.
    """

    x: Any
    y: np.ndarray
    weight: np.ndarray | None = None
    kept: np.ndarray | None = None

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return self.x.shape[0]


@dataclass
class Rows:
    """A subset of the rows of X, with their targets.

    X is not copied, because it may be a memory map.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        The complete table.
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        The user's targets of these rows.
    weight : ndarray of shape (n_rows,), optional
        The weights of these rows.
    targets : ndarray
        `y` in the form that the loss requires.
    index : ndarray of int of shape (n_rows,), optional
        The indices of these rows in X; None for all rows.
    """

    X: Any
    y: np.ndarray
    weight: np.ndarray | None = None
    targets: Any = None
    index: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.y) if isinstance(self.y, np.ndarray) else self.y.shape[0]

    def take(self, which: np.ndarray) -> "Rows":
        """Return the rows at the positions `which`."""
        return Rows(
            self.X,
            self.y[which],
            None if self.weight is None else self.weight[which],
            None if self.targets is None else self.targets.take(which, sample_axis(self.targets)),
            which if self.index is None else self.index[which],
        )

    def of_positive_weight(self) -> "Rows":
        """Return the rows with a positive weight."""
        if self.weight is None or self.weight.all():
            return self
        return self.take(np.flatnonzero(self.weight))

    def targets_of(self, m: int) -> np.ndarray:
        """Return the targets as member `m` scales them."""
        return self.targets[m] if self.targets.ndim == 3 else self.targets

    def features(self) -> Any:
        """Return these rows of X, as a copy unless they are all rows."""
        return self.X if self.index is None else self.X[self.index]


def sample_axis(targets: np.ndarray) -> int:
    """Return the axis of the samples: targets may have one more axis before and after it."""
    return -min(2, targets.ndim)


class Data:
    """Training samples, provided in batches.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Features, float32 or float64; never copied or converted as a whole.
    targets : ndarray
        Codes (n_rows,) or targets (n_rows, n_outputs) or (n_members, n_rows, n_outputs).
    weight : ndarray of shape (n_rows,) or (n_members, n_rows), optional
        Relative weights, which are scaled to mean 1.
    batch_size : int
        Number of samples in a batch; the last batch of an epoch may have fewer.
    dtype : numpy dtype
        The dtype of batches of X, of float targets and of weights.
    index : ndarray of int of shape (n_rows,), optional
        The rows of X that `targets` and `weight` belong to; None for all of them.
    kept : ndarray of bool of shape (n_members, n_rows), optional
        Whether each sample is in the training set of each member; by default, all of them are.
    """

    def __init__(
        self,
        X: Any,
        targets: np.ndarray,
        weight: np.ndarray | None,
        batch_size: int,
        dtype: Any,
        index: np.ndarray | None = None,
        kept: np.ndarray | None = None,
    ):
        self.X, self.dtype = X, np.dtype(dtype)
        _check_range(X, self.dtype)
        # Row-major, because taking a batch from column-major targets would copy all of them.
        self.y = np.ascontiguousarray(targets, self.dtype if targets.dtype.kind == "f" else None)
        self.kept = kept
        if weight is not None:
            weight = (weight / weight.mean(axis=-1, keepdims=True)).astype(self.dtype)
        self.weight = weight
        self.sample_axis = sample_axis(targets)
        self.index, self.n_rows = index, targets.shape[self.sample_axis]
        self.batch_size = min(batch_size, self.n_rows)
        self.n_batches = -(-self.n_rows // self.batch_size)
        self._sparse = issparse(X)
        self._buffers: dict[int, tuple[np.ndarray, Batch]] = {}  # by number of samples
        self._whole: Batch | None = None  # the batch, if there is only one

    def order(self, rng: np.random.Generator) -> np.ndarray | None:
        """Return a random order of the samples; None for a single batch, which needs none."""
        return None if self.n_batches == 1 else rng.permutation(self.n_rows)

    def batch(self, i: int, order: np.ndarray | None, kernels: Backend = NUMPY) -> Batch:
        """Return batch `i` of the samples in the given order; None keeps the original order.

        The next batch with the same number of samples reuses the arrays.
        """
        if self._whole is not None:
            return self._whole
        start, stop = i * self.batch_size, min((i + 1) * self.batch_size, self.n_rows)
        if self.n_batches > 1 and not self._sparse:
            return self._gather(
                np.arange(start, stop, dtype=np.intp) if order is None else order[start:stop],
                kernels,
            )
        rows: Any = slice(start, stop) if order is None else order[start:stop]
        batch = self.subset(rows)
        if batch.x.dtype != self.dtype:
            batch = batch._replace(x=batch.x.astype(self.dtype))
        self._whole = batch if self.n_batches == 1 else None
        return batch

    def spread_index(self) -> Any:
        """Return an index of at most `MAX_SPREAD` samples, spread evenly over the data."""
        if self.n_rows <= MAX_SPREAD:
            return slice(None)
        return np.arange(MAX_SPREAD) * (self.n_rows - 1) // (MAX_SPREAD - 1)

    def subset(self, which: Any) -> Batch:
        """Return a subset of the samples, with X in its original dtype."""
        x = self.X[which if self.index is None else self.index[which]]
        weight, kept = (
            None if array is None else np.ascontiguousarray(array[..., which])
            for array in (self.weight, self.kept)
        )
        y = self.y[which] if self.y.ndim < 3 else np.ascontiguousarray(self.y[:, which])
        return Batch(x, y, weight, kept)

    def _gather(self, rows: np.ndarray, kernels: Backend) -> Batch:
        n_rows = len(rows)
        if n_rows not in self._buffers:
            shape = n_rows, self.X.shape[1]
            cast = np.empty(shape, self.dtype)
            taken = cast if self.X.dtype == self.dtype else np.empty(shape, self.X.dtype)
            y_shape = list(self.y.shape)
            y_shape[self.sample_axis] = n_rows
            y = np.empty(y_shape, self.y.dtype)
            weight, kept = (
                None if array is None else np.empty((*array.shape[:-1], n_rows), array.dtype)
                for array in (self.weight, self.kept)
            )
            self._buffers[n_rows] = taken, Batch(cast, y, weight, kept)
        taken, batch = self._buffers[n_rows]
        kernels.gather(self.X, rows if self.index is None else self.index[rows], taken, batch.x)
        # The indices are valid, so mode="clip" only skips the bounds check.
        self.y.take(rows, axis=self.sample_axis, out=batch.y, mode="clip")
        if self.weight is not None:
            self.weight.take(rows, axis=-1, out=batch.weight, mode="clip")
        if self.kept is not None:
            self.kept.take(rows, axis=-1, out=batch.kept, mode="clip")
        return batch

    def program_batch(self, n_rows: int, kernels: Any, copied: bool) -> ProgramBatch | None:
        """Return the calls that gather a batch of this size, or None if they cannot be compiled.

        The arrays are those of `batch`, or copies, so that several threads can gather batches.
        """
        if self._whole is not None:
            return ProgramBatch([], [], [])
        if n_rows not in self._buffers:
            return None
        _, batch = self._buffers[n_rows]
        arrays = [(self.X, batch.x), (self.y, batch.y), (self.weight, batch.weight)]
        arrays.append((self.kept, batch.kept))
        calls, streams, copies = [], [], []
        for whole, part in arrays:
            if whole is None:
                continue
            own = np.empty_like(part) if copied else part
            views = whole, own
            if (part is batch.y and part.ndim == 1) or part is batch.weight or part is batch.kept:
                views = whole[..., None], own[..., None]
            bound = kernels.gather_call(*[v if v.ndim == 3 else v[None] for v in views])
            if bound is None:
                return None
            calls.append(bound[0])
            streams.append((bound[1], whole is self.X))
            copies.append((part, own))
        return ProgramBatch(calls, streams, copies)


def _check_range(X: Any, dtype: np.dtype) -> None:
    """Raise ValueError if values of X would become infinite in the dtype of a batch."""
    cells, largest = X.data if issparse(X) else X, np.finfo(dtype).max
    if cells.dtype == dtype or not cells.size or -largest <= cells.min() <= cells.max() <= largest:
        return
    where = ""
    if not issparse(X):
        columns = np.flatnonzero((X.max(axis=0) > largest) | (X.min(axis=0) < -largest))
        where = f" in columns {columns[:5].tolist()}"
    raise ValueError(
        f"X contains values too large for {dtype}{where}. Scale X, or set dtype='float64'."
    )


def constant_losses(loss: Any, batch: Batch) -> np.ndarray:
    """Return the loss of a constant prediction for the training samples of each network."""
    _, y, weight, kept = batch
    if kept is None or weight is None:
        return np.atleast_1d(loss.mean(y, np.ones((len(y), 1)) * loss.constant(y), weight))
    losses = np.full(len(kept), np.inf)
    for m, used in enumerate(kept):
        if used.any():
            own = (y[m] if y.ndim == 3 else y)[used]
            constant = np.ones((len(own), 1)) * loss.constant(own)
            losses[m] = loss.mean(own, constant, weight[m, used]) * used.mean()
    return losses


MAX_SPREAD = 128


def facts(data: Data, loss: Any) -> dict[str, float]:
    """Return facts about the table, estimated from a subset of its rows.

    Numbers may overflow to infinity.

    Parameters
    ----------
    data : Data
        The training samples.
    loss : Loss
        The loss of the training run.

    Returns
    -------
    facts : dict of float
        The numbers of samples, features and samples per batch, and whether X is sparse; the largest
        root mean square of a column (``"scale_max"``), and the smallest root mean square of a
        non-constant column (``"scale_min"``); the largest absolute mean and the largest standard
        deviation of an output of the targets (nan for classes); and the loss of a constant
        prediction (``"constant_loss"``).
    """
    x, y, *_ = data.subset(data.spread_index())
    # All members scale the targets almost equally, so those of the first represent them.
    y = y[0] if y.ndim == 3 else y
    x, sparse = x.astype(np.float64), issparse(x)
    ones, squares = np.ones(len(y)), x.multiply(x) if sparse else x * x
    # Products with ones keep a sparse x sparse.
    mean, square = ones @ x / len(y), ones @ squares / len(y)
    varies = square - mean * mean > 1e-12 * square
    values = {
        "constant_loss": loss.constant_loss(y),
        "scale_max": sqrt(square.max(initial=0)),
        "scale_min": sqrt(square[varies].min(initial=np.inf)),
        "target_mean": np.nan,
        "target_scale": np.nan,
    }
    if loss.task == "regression":
        values["target_mean"] = np.abs(y.mean(axis=0)).max()
        values["target_scale"] = y.std(axis=0).max()
    values |= {
        "sparse": sparse,
        "n_rows": data.n_rows,
        "n_features": x.shape[1],
        "batch_size": data.batch_size,
    }
    return {name: float(value) for name, value in values.items()}
