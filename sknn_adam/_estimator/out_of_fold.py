"""Out-of-fold predictions of cross-fitted networks, and their score."""

from typing import Any

import numpy as np

from sknn_adam._estimator.prediction import joined
from sknn_adam._estimator.scoring import Scorer, held_samples
from sknn_adam._estimator.setup import Session
from sknn_adam._training.batches import Rows
from sknn_adam._training.validation import Given

__all__ = ["publish_out_of_fold"]


def publish_out_of_fold(session: Session) -> None:
    """Set the out-of-fold predictions of all rows of X, and their score."""
    model, X, y, weight = session.model, session.rows.X, session.rows.y, session.rows.weight
    rows, nets, z = _held_outputs(session)
    held = np.unique(rows)
    model.oof_loss_ = _held_loss(session, rows, nets, z)
    means = MeanPredictions(model._targets, rows, nets, z, held)
    prediction = means.predictions(model._loss, None, X.dtype)
    model.oof_prediction_ = _filled(prediction, held, X.shape[0])
    if model._loss.predicts_deviations:
        deviation = means.deviations(model._loss, None, X.dtype)
        model.oof_std_ = _filled(deviation, held, X.shape[0])
    scored = held if weight is None else held[weight[held] > 0]
    estimator = model._with(_targets=MeanPredictions(model._targets, rows, nets, z, scored))
    scoring = None if model.scoring == "loss" else model.scoring
    # Without indices, X is not copied.
    index = None if len(scored) == X.shape[0] else scored
    samples = Rows(X, y[scored], None if weight is None else weight[scored], None, index)
    model.oof_score_ = Scorer(estimator, scoring, samples)(Given(z))


def _held_outputs(session: Session) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the row, the network and the raw outputs of each held-out prediction."""
    selected, samples, start = session.run.oof, session.samples, 0
    rows, nets, outputs, network = [], [], [], session.model._network
    for m, (held, positions) in enumerate(held_samples(session)):
        chosen, rest = held[:0], held
        if selected is not None and selected.z is not None:
            chosen = positions if samples.index is None else samples.index[positions]
            # Rows of weight zero do not affect the best epoch of their network.
            rest = np.setdiff1d(held, chosen)
            outputs.append(selected.z[start : start + len(chosen)])
            start += len(chosen)
        if len(rest):
            outputs.append(network.member(m).predict(samples.X, rest))
        rows += [chosen, rest]
        nets.append(np.full(len(held), m))
    return np.concatenate(rows), np.concatenate(nets), np.concatenate(outputs)


def _held_loss(session: Session, rows: np.ndarray, nets: np.ndarray, z: np.ndarray) -> float:
    """Return the mean loss of the networks on the samples that they hold out."""
    samples, loss, weight = session.samples, session.plan.loss, session.samples.weight
    total = norm = 0.0
    for m, (_, positions) in enumerate(held_samples(session)):
        own = np.flatnonzero(nets == m)
        own = own[np.argsort(rows[own])]
        wanted = positions if samples.index is None else samples.index[positions]
        raw = z[own[np.searchsorted(rows[own], wanted)]]
        with np.errstate(all="ignore"):
            losses = loss.value(samples.targets_of(m)[positions], raw).astype(np.float64)
        factor = np.ones(len(positions)) if weight is None else weight[positions]
        total, norm = total + float(factor @ losses), norm + float(factor.sum())
    return total / norm


class MeanPredictions:
    """Stand-in for a target type: predictions are means over the networks that hold out a row.

    Rows can be held out by different numbers of networks, so rows with the same number are
    predicted together.

    Parameters
    ----------
    targets : Continuous or Classes
        The target type.
    rows, nets : ndarray of int of shape (n_held,)
        The row of X and the network of each held-out prediction.
    z : ndarray of shape (n_held, n_raw)
        The raw outputs.
    wanted : ndarray of int
        The rows to predict, in order, each of which is held out at least once.
    """

    def __init__(
        self, targets: Any, rows: np.ndarray, nets: np.ndarray, z: np.ndarray, wanted: np.ndarray
    ):
        self.targets, self.blocks = targets, []
        order = np.argsort(rows, kind="stable")
        starts = np.searchsorted(rows[order], wanted)
        counts = np.searchsorted(rows[order], wanted, side="right") - starts
        together = []
        for count in np.unique(counts):
            alike = np.flatnonzero(counts == count)
            pairs = order[starts[alike] + np.arange(count)[:, None]]
            # A single prediction needs no mean.
            pairs = pairs[0] if count == 1 else pairs
            self.blocks.append((targets.of(nets[pairs]), z[pairs]))
            together.append(alike)
        self.order = np.argsort(np.concatenate(together))

    def _each(self, method: str, loss: Any, *options: Any) -> Any:
        parts = [getattr(targets, method)(loss, z, *options) for targets, z in self.blocks]
        return joined(parts, self.order)

    def predictions(self, loss: Any, z: Any, dtype: Any = None) -> Any:
        """Return predictions or probabilities."""
        return self._each("predictions", loss, dtype)

    def points(self, loss: Any, z: Any, dtype: Any) -> Any:
        """Return a single prediction per output of a regressor."""
        return self._each("points", loss, dtype)

    def deviations(self, loss: Any, z: Any, dtype: Any) -> Any:
        """Return standard deviations."""
        return self._each("deviations", loss, dtype)

    def decisions(self, loss: Any, z: Any) -> Any:
        """Return log-odds or unnormalized log-probabilities."""
        return self._each("decisions", loss)

    def labels(self, loss: Any, z: Any) -> Any:
        """Return predicted labels."""
        return self._each("labels", loss)

    def of(self, member: int) -> "MeanPredictions":
        """Return these targets, which combine all members."""
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self.targets, name)


def _filled(values: Any, rows: np.ndarray, n_rows: int) -> Any:
    """Return arrays with one row for each row of X, NaN where there is no value."""
    if isinstance(values, list):
        return [_filled(column, rows, n_rows) for column in values]
    if len(rows) == n_rows:
        return values
    full = np.full((n_rows, *values.shape[1:]), np.nan, values.dtype)
    full[rows] = values
    return full
