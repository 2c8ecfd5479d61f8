"""Loops that are no component's formula, in plain Python; `_fused` has them compiled by Numba.

Arrays are C-contiguous, of one dtype, with the rows first. Nothing here allocates.
"""

from math import exp, log, log1p

__all__ = [
    "add_bias",
    "blend",
    "column_sums",
    "gather",
    "gather_columns",
    "label_log_loss",
    "penalize",
    "penalize_blocks",
    "softmax_log_loss",
    "softmax_shift",
    "squared_error",
]


def add_bias(z, b):
    """Add `b` (width,) to every row of `z`."""
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            z[i, j] += b[j]


def column_sums(g, out):
    """Write the sums of the columns of `g` to `out` (width,)."""
    for j in range(g.shape[1]):
        out[j] = 0
    for i in range(g.shape[0]):
        for j in range(g.shape[1]):
            out[j] += g[i, j]


def gather(X, rows, out):
    """Write ``X[rows]`` to `out`, in the dtype of `out`."""
    for i in range(rows.size):
        row = rows[i]
        for j in range(X.shape[1]):
            out[i, j] = X[row, j]


def gather_columns(columns, rows, out):
    """Write the rows of a table that is given column by column to `out`, in the dtype of `out`."""
    for j in range(columns.shape[0]):
        for i in range(rows.size):
            out[i, j] = columns[j, rows[i]]


def penalize(theta, factors, grad, value):
    """Write the penalty with the factors (l2, l1) to ``value[0]``; add its gradient to `grad`.

    The sums may be taken in another order, so that they are computed as fast as the rest.
    """
    l2, l1 = factors[0], factors[1]
    squares = sizes = l2 - l2
    for i in range(theta.size):
        w = theta[i]
        squares += w * w
        sizes += abs(w)
        slope = l1 if w > 0 else -l1
        grad[i] += l2 * w + (slope if w != 0 else l1 - l1)
    value[0] = l2 / 2 * squares + l1 * sizes


def penalize_blocks(theta, bounds, factors, grad, values):
    """Write the penalty of every block between two bounds to `values`, else as ``penalize``."""
    l2, l1 = factors[0], factors[1]
    for block in range(values.size):
        squares = sizes = l2 - l2
        weights = theta[bounds[block] : bounds[block + 1]]
        slopes = grad[bounds[block] : bounds[block + 1]]
        for i in range(weights.size):
            w = weights[i]
            squares += w * w
            sizes += abs(w)
            slope = l1 if w > 0 else -l1
            slopes[i] += l2 * w + (slope if w != 0 else l1 - l1)
        values[block] = l2 / 2 * squares + l1 * sizes


def blend(average, vector, factors):
    """Write ``factors[0] * average + factors[1] * vector`` to `average`."""
    keep, rate = factors[0], factors[1]
    for i in range(average.size):
        average[i] = keep * average[i] + rate * vector[i]


def softmax_shift(z, codes, weight, factors, gradient, value):
    """Write `z` less the largest of its row to `gradient`, and to ``value[0]`` a part of the loss.

    `weight` is empty for weights of 1, ``factors[0]`` is the label smoothing. The exponentials of
    `gradient` are left to NumPy, whose loop over them is several times faster.
    """
    smoothing, share = factors[0], factors[1]
    n_classes = z.shape[1]
    total = 0.0
    for i in range(z.shape[0]):
        peak, mean = z[i, 0], z[i, 0] * 0
        for k in range(n_classes):
            # What is not a number must stay so.
            peak = z[i, k] if not z[i, k] <= peak else peak
        for k in range(n_classes):
            gradient[i, k] = z[i, k] - peak
            mean += gradient[i, k]
        true = gradient[i, codes[i]]
        w = weight[i] if weight.size else share / share
        total += w * (smoothing * (true - mean / n_classes) - true)
    value[0] = total / z.shape[0]


def softmax_log_loss(gradient, codes, weight, factors, value):
    """Add the rest of the mean loss to ``value[0]``; turn exponentials into its gradient.

    ``factors[1]`` is one by the number of rows.
    """
    smoothing, share = factors[0], factors[1]
    n_classes = gradient.shape[1]
    total = 0.0
    for i in range(gradient.shape[0]):
        norm = gradient[i, 0] * 0
        for k in range(n_classes):
            norm += gradient[i, k]
        w = weight[i] if weight.size else share / share
        total += w * log(norm)
        w *= share
        for k in range(n_classes):
            gradient[i, k] = w * (gradient[i, k] / norm - smoothing / n_classes)
        gradient[i, codes[i]] -= w * (1 - smoothing)
    value[0] += total / gradient.shape[0]


def label_log_loss(z, y, weight, factors, gradient, value):
    """Write the weighted mean log loss of labels to ``value[0]``, and its gradient.

    `y` (n_rows, n_labels) are the labels, ``factors[0]`` is the label smoothing.
    """
    smoothing, share = factors[0], factors[1]
    total = 0.0
    for i in range(z.shape[0]):
        w = weight[i] if weight.size else share / share
        for k in range(z.shape[1]):
            x = z[i, k]
            target = (1 - smoothing) * y[i, k] + smoothing / 2
            small = exp(-abs(x))  # of the less likely answer: no overflow
            # The terms of the softplus in this order: what is large cancels exactly.
            total += w * (max(x, x * 0) - target * x + log1p(small))
            sigmoid = (1 if x >= 0 else small) / (1 + small)
            gradient[i, k] = w * share * (sigmoid - target)
    value[0] = total / z.shape[0]


def squared_error(z, y, weight, factors, gradient, value):
    """Write the weighted mean of half the squares to ``value[0]``, and its gradient."""
    share = factors[1]
    total = 0.0
    for i in range(z.shape[0]):
        w = weight[i] if weight.size else share / share
        for k in range(z.shape[1]):
            r = z[i, k] - y[i, k]
            total += w * r * r / 2
            gradient[i, k] = w * share * r
    value[0] = total / z.shape[0]
