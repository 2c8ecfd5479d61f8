"""Graphs that convert raw outputs to predictions, probabilities and labels."""

from collections.abc import Callable
from typing import Any

import numpy as np

from sknn_adam.losses import (
    ClassificationLoss,
    GaussianLoss,
    QuantileLoss,
    RegressionLoss,
)
from sknn_adam.losses.positive import BOUND, PositiveLoss
from sknn_adam.onnx.graph import Graph, look_up, softplus

__all__ = [
    "class_outputs",
    "deviations",
    "integer_or_text",
    "label_outputs",
    "n_columns",
    "predictions",
]


def _sorted_levels(g: Graph, loss: Any, z: str, n_raw: int) -> str:
    if np.size(loss.level) == 1:
        return z
    values, _ = g("TopK", z, [n_raw], n=2, axis=-1, largest=0, sorted=1)
    return values


REGRESSION: dict[Any, Callable[[Graph, Any, str, int], str]] = {
    RegressionLoss.predict: lambda g, loss, z, n_raw: z,
    PositiveLoss.predict: lambda g, loss, z, n_raw: g("Exp", g("Clip", z, -BOUND, BOUND)),
    QuantileLoss.predict: _sorted_levels,
    GaussianLoss.predict: lambda g, loss, z, n_raw: g.columns(z, 0, n_raw // 2),
}
CLASSIFICATION = {ClassificationLoss.predict: True}
COMBINATION = {ClassificationLoss.combine: True}


def n_columns(estimator: Any) -> int:
    """Return the number of columns that a regressor predicts."""
    return max(estimator.n_outputs_, np.size(getattr(estimator._loss, "level", 0.5)))


def predictions(g: Graph, estimator: Any, z: str, n_raw: int) -> str:
    """Return a regressor's predictions, with one column per output or per quantile level."""
    predict = look_up(REGRESSION, estimator._loss, "predict", "The loss")
    predicted, targets = predict(g, estimator._loss, z, n_raw), estimator._targets
    if targets.shift.ndim == 1:
        predicted = g.mean(predicted, n_columns(estimator))
        return g("Add", g("Mul", predicted, targets.scale), targets.shift)
    scaled = g("Add", g("Mul", predicted, targets.scale), targets.shift)
    return g.mean(scaled, n_columns(estimator))


def deviations(g: Graph, estimator: Any, z: str, n_raw: int) -> str:
    """Return the predicted standard deviations, for several members those of their mixture."""
    table = {GaussianLoss.deviation: True}
    look_up(table, estimator._loss, "deviation", "return_std=True with the loss")
    # GaussianLoss smoothly limits log variances outside of these bounds.
    u = g.columns(z, n_raw // 2, n_raw)
    inside = g("Clip", u, -20.0, 40.0)
    beyond = g("Sub", u, inside)
    slope = g("Exp", g("Neg", g("Abs", beyond)))
    s = g("Add", inside, g("Mul", g("Sign", beyond), g("Sub", 1.0, slope)))
    targets = estimator._targets
    if g.members is None:
        return g("Mul", g("Exp", g("Div", s, 2.0)), targets.scale)
    centers, width, variance, common = g.columns(z, 0, n_raw // 2), n_raw // 2, g("Exp", s), 1.0
    if targets.shift.ndim > 1:
        common = targets.scale.max(axis=0)
        factor, offset = targets.scale / common, (targets.shift - targets.shift[0]) / common
        centers = g("Add", g("Mul", centers, factor), offset)
        variance = g("Mul", variance, factor**2)
    apart = g("Sub", centers, g.mean(centers, width))
    deviation = g("Sqrt", g.mean(g("Add", variance, g("Mul", apart, apart)), width))
    return g("Mul", deviation, targets.scale if targets.shift.ndim == 1 else common)


def integer_or_text(classes: np.ndarray) -> np.ndarray:
    """Convert classes to int64 (also from floats that are whole numbers) or to text."""
    classes = np.asarray(classes)
    if classes.dtype.kind in "iub":
        return classes.astype(np.int64)
    if classes.dtype.kind == "f" and (classes == np.round(classes)).all():
        return classes.astype(np.int64)
    if all(isinstance(label, str) for label in classes):
        return classes.astype(object)
    raise NotImplementedError(
        "Conversion to ONNX requires classes that are whole numbers or text. Got "
        f"{classes[:5].tolist()} of dtype {classes.dtype}."
    )


def _check_loss(g: Graph, loss: Any) -> None:
    # For a multioutput target, the loss is wrapped in PerColumn.
    loss = getattr(loss, "loss", loss)
    look_up(CLASSIFICATION, loss, "predict", "The loss")
    if g.members is not None:
        look_up(COMBINATION, loss, "combine", "The loss of several members")


def _positive(g: Graph, z: str, p: str) -> str:
    """Return the predicted class of two, 0 or 1.

    A single network predicts 1 if the log odds `z` are positive, and several members if their mean
    probability `p` is above 0.5.
    """
    more = g("Greater", z, 0.0) if g.members is None else g("Greater", p, 0.5)
    return g.cast(more, np.int64)


def _log_mean(g: Graph, log_p: str, width: int) -> str:
    """Return log(mean(exp(log_p))) over the members, without underflow."""
    if g.members is None:
        return log_p
    top, _ = g("TopK", log_p, [1], n=2, axis=0, largest=1, sorted=1)
    mean = g.mean(g("Exp", g("Sub", log_p, top)), width)
    return g("Add", g("Log", mean), g("Reshape", top, [-1, width]))


def _scores(g: Graph, z: str, width: int, exclusive: bool) -> str:
    """Return the scores of ``decision_function``, computed as in ``ClassificationLoss.combine``."""
    if g.members is None:
        return z
    if exclusive and width > 1:
        return _log_mean(g, g("LogSoftmax", z, axis=-1), width)
    log_p = _log_mean(g, g("Neg", softplus(g, g("Neg", z))), width)
    return g("Sub", log_p, _log_mean(g, g("Neg", softplus(g, z)), width))


def class_outputs(
    g: Graph, loss: Any, z: str, n_classes: int, raw_scores: bool = False
) -> tuple[str, str]:
    """Return codes (n_samples,) and probabilities (n_samples, n_classes) for one target column.

    With `raw_scores`, return the scores of ``decision_function`` instead of probabilities. For two
    classes these are two columns, -s and s, as skl2onnx expects.
    """
    _check_loss(g, loss)
    if n_classes > 2:
        p = g.mean(g("Softmax", z, axis=-1), n_classes)
        code = g("ArgMax", z if g.members is None else p, axis=-1, keepdims=0)
        return code, _scores(g, z, n_classes, True) if raw_scores else p
    p = g.mean(g("Sigmoid", z), 1)
    code = g("Reshape", _positive(g, z, p), [-1])
    if raw_scores:
        score = _scores(g, z, 1, True)
        p = g("Concat", g("Neg", score), score, axis=1) if n_classes == 2 else score
        return code if n_classes == 2 else g("Mul", code, [0]), p
    if n_classes == 1:
        return g("Mul", code, [0]), g("Add", g("Mul", p, 0.0), 1.0)
    return code, g("Concat", g.mean(g("Sigmoid", g("Neg", z)), 1), p, axis=1)


def label_outputs(
    g: Graph, loss: Any, z: str, n_labels: int, raw_scores: bool = False
) -> tuple[str, str]:
    """Return the 0/1 matrix of labels, and the probabilities or scores of the labels."""
    _check_loss(g, loss)
    p = g.mean(g("Sigmoid", z), n_labels)
    return _positive(g, z, p), _scores(g, z, n_labels, False) if raw_scores else p
