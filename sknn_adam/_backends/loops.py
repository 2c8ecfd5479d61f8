"""Loops other than formulas of components, in plain Python. `compilation` compiles them with Numba.

Arrays are C-contiguous and have the types listed in `compilation.ARGUMENTS`. Arrays of a network
have a members axis, which may have length 1, followed by a samples axis. The loops allocate no
arrays. Compiled loops do not check indices, so each loop first checks the shapes of its arrays, and
loops that take row indices or class codes check their range.
"""

from math import exp, log, log1p

from numpy import ndarray

__all__ = [
    "add_bias",
    "blend",
    "column_sums",
    "gather",
    "gather_columns",
    "label_log_loss",
    "outer",
    "penalize",
    "softmax_log_loss",
    "softmax_shift",
    "squared_error",
]


def add_bias(z: ndarray, b: ndarray) -> None:
    """Add `b` (members, width) to every sample of `z`."""
    if b.shape != (z.shape[0], z.shape[2]):
        raise ValueError("add_bias needs one bias per member and unit.")
    for m in range(z.shape[0]):
        for i in range(z.shape[1]):
            for j in range(z.shape[2]):
                z[m, i, j] += b[m, j]


def column_sums(g: ndarray, out: ndarray) -> None:
    """Write the sums of `g` over the samples to `out` (members, width)."""
    if out.shape != (g.shape[0], g.shape[2]):
        raise ValueError("column_sums needs one sum per member and unit.")
    for m in range(g.shape[0]):
        for j in range(g.shape[2]):
            out[m, j] = 0
        for i in range(g.shape[1]):
            for j in range(g.shape[2]):
                out[m, j] += g[m, i, j]


def outer(a: ndarray, b: ndarray, out: ndarray) -> None:
    """Write the outer products of the columns `a` and the rows `b`, for each member.

    `a` is (1 or members, n_rows, 1), and `b` is (members, 1, width).
    """
    if (a.shape[0] != 1 and a.shape[0] != out.shape[0]) or b.shape[0] != out.shape[0]:
        raise ValueError("outer needs one row per member, and either one column or one per member.")
    if a.shape[1:] != (out.shape[1], 1) or b.shape[1:] != (1, out.shape[2]):
        raise ValueError("outer needs columns and rows that match the shape of their product.")
    for m in range(out.shape[0]):
        own = m if a.shape[0] > 1 else 0
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                out[m, i, j] = a[own, i, 0] * b[m, 0, j]


def gather(X: ndarray, rows: ndarray, out: ndarray) -> None:
    """Write ``X[rows]`` to `out`, in the dtype of `out`."""
    if out.shape != (rows.size, X.shape[1]):
        raise ValueError("gather needs one output row per row index.")
    for i in range(rows.size):
        row = rows[i]
        if row < 0 or row >= X.shape[0]:
            raise ValueError("gather got a row index out of range.")
        for j in range(X.shape[1]):
            out[i, j] = X[row, j]


def gather_columns(columns: ndarray, rows: ndarray, out: ndarray) -> None:
    """Write ``columns.T[rows]`` to `out`, in the dtype of `out`."""
    if out.shape != (rows.size, columns.shape[0]):
        raise ValueError("gather needs one output row per row index.")
    for i in range(rows.size):
        if rows[i] < 0 or rows[i] >= columns.shape[1]:
            raise ValueError("gather got a row index out of range.")
    for j in range(columns.shape[0]):
        for i in range(rows.size):
            out[i, j] = columns[j, rows[i]]


def penalize(
    theta: ndarray, bounds: ndarray, factors: ndarray, grad: ndarray, values: ndarray
) -> None:
    """Add the penalty of each block of theta to `values`, and the gradient to `grad`.

    `bounds` are the limits of the blocks, and `factors` is (l2, l1). The penalty of block i is
    added to element ``i % values.size``. Numba may reorder the sums, which makes them faster.
    """
    if grad.size != theta.size or factors.size != 2 or values.size == 0:
        raise ValueError("penalize needs a gradient as long as theta.")
    l2, l1 = factors[0], factors[1]
    for block in range(bounds.size - 1):
        squares = sizes = l2 - l2
        weights = theta[bounds[block] : bounds[block + 1]]
        slopes = grad[bounds[block] : bounds[block + 1]]
        for i in range(weights.size):
            w = weights[i]
            squares += w * w
            sizes += abs(w)
            slope = l1 if w > 0 else -l1
            slopes[i] += l2 * w + (slope if w != 0 else l1 - l1)
        values[block % values.size] += l2 / 2 * squares + l1 * sizes


def blend(average: ndarray, vector: ndarray, factors: ndarray) -> None:
    """Write ``factors[0] * average + factors[1] * vector`` to `average`."""
    if average.size != vector.size or factors.size != 2:
        raise ValueError("blend needs two vectors of the same size.")
    keep, rate = factors[0], factors[1]
    for i in range(average.size):
        average[i] = keep * average[i] + rate * vector[i]


def softmax_shift(
    z: ndarray,
    codes: ndarray,
    weight: ndarray,
    factors: ndarray,
    gradient: ndarray,
    values: ndarray,
) -> None:
    """Write `z` minus its maximum per sample to `gradient`, and the first loss terms to `values`.

    `weight` (1 or members, n_rows) is empty if all weights are 1, and ``factors[0]`` is the label
    smoothing. NumPy then computes the exponentials of `gradient`, because its loop is several times
    faster.
    """
    if gradient.shape != z.shape or values.size != z.shape[0] or factors.size != 2:
        raise ValueError("The gradient must have the shape of the raw outputs.")
    if weight.size and (weight.shape[0] not in (1, z.shape[0]) or weight.shape[1] != z.shape[1]):
        raise ValueError("There must be one weight per sample, or one per member and sample.")
    if codes.size != z.shape[1]:
        raise ValueError("There must be one class code per sample.")
    for i in range(codes.size):
        if codes[i] < 0 or codes[i] >= z.shape[2]:
            raise ValueError("A class code is out of range.")
    smoothing, inverse_n = factors[0], factors[1]
    n_classes = z.shape[2]
    for m in range(z.shape[0]):
        own = m if weight.shape[0] > 1 else 0
        total = 0.0
        for i in range(z.shape[1]):
            peak, mean = z[m, i, 0], z[m, i, 0] * 0
            for k in range(n_classes):
                # The comparison is negated so that NaN propagates.
                peak = z[m, i, k] if not z[m, i, k] <= peak else peak
            for k in range(n_classes):
                gradient[m, i, k] = z[m, i, k] - peak
                mean += gradient[m, i, k]
            true = gradient[m, i, codes[i]]
            w = weight[own, i] if weight.size else inverse_n / inverse_n
            total += w * (smoothing * (true - mean / n_classes) - true)
        values[m] = total / z.shape[1]


def softmax_log_loss(
    gradient: ndarray, codes: ndarray, weight: ndarray, factors: ndarray, values: ndarray
) -> None:
    """Add the remaining loss terms to `values`; convert the exponentials to the gradient.

    ``factors[1]`` is 1 divided by the number of samples.
    """
    if values.size != gradient.shape[0] or factors.size != 2:
        raise ValueError("There must be one value per member.")
    if weight.size and (
        weight.shape[0] not in (1, gradient.shape[0]) or weight.shape[1] != gradient.shape[1]
    ):
        raise ValueError("There must be one weight per sample, or one per member and sample.")
    if codes.size != gradient.shape[1]:
        raise ValueError("There must be one class code per sample.")
    for i in range(codes.size):
        if codes[i] < 0 or codes[i] >= gradient.shape[2]:
            raise ValueError("A class code is out of range.")
    smoothing, inverse_n = factors[0], factors[1]
    n_classes = gradient.shape[2]
    for m in range(gradient.shape[0]):
        own = m if weight.shape[0] > 1 else 0
        total = 0.0
        for i in range(gradient.shape[1]):
            norm = gradient[m, i, 0] * 0
            for k in range(n_classes):
                norm += gradient[m, i, k]
            w = weight[own, i] if weight.size else inverse_n / inverse_n
            total += w * log(norm)
            w *= inverse_n
            for k in range(n_classes):
                gradient[m, i, k] = w * (gradient[m, i, k] / norm - smoothing / n_classes)
            gradient[m, i, codes[i]] -= w * (1 - smoothing)
        values[m] += total / gradient.shape[1]


def label_log_loss(
    z: ndarray, y: ndarray, weight: ndarray, factors: ndarray, gradient: ndarray, values: ndarray
) -> None:
    """Write the weighted mean log loss of multilabel targets to `values`, and its gradient.

    `y` (n_rows, n_labels) contains the labels, and ``factors[0]`` is the label smoothing.
    """
    if gradient.shape != z.shape or values.size != z.shape[0] or factors.size != 2:
        raise ValueError("The gradient must have the shape of the raw outputs.")
    if weight.size and (weight.shape[0] not in (1, z.shape[0]) or weight.shape[1] != z.shape[1]):
        raise ValueError("There must be one weight per sample, or one per member and sample.")
    if y.shape != (z.shape[1], z.shape[2]):
        raise ValueError("The targets must have one element per sample and raw output.")
    smoothing, inverse_n = factors[0], factors[1]
    for m in range(z.shape[0]):
        own = m if weight.shape[0] > 1 else 0
        total = 0.0
        for i in range(z.shape[1]):
            w = weight[own, i] if weight.size else inverse_n / inverse_n
            for k in range(z.shape[2]):
                x = z[m, i, k]
                target = (1 - smoothing) * y[i, k] + smoothing / 2
                # The exponent is never positive, so the exponential cannot overflow.
                small = exp(-abs(x))
                # With this order of the softplus terms, large terms cancel exactly.
                total += w * (max(x, x * 0) - target * x + log1p(small))
                sigmoid = (1 if x >= 0 else small) / (1 + small)
                gradient[m, i, k] = w * inverse_n * (sigmoid - target)
        values[m] = total / z.shape[1]


def squared_error(
    z: ndarray, y: ndarray, weight: ndarray, factors: ndarray, gradient: ndarray, values: ndarray
) -> None:
    """Write the weighted mean of half the squared error to `values`, and its gradient."""
    if gradient.shape != z.shape or values.size != z.shape[0] or factors.size != 2:
        raise ValueError("The gradient must have the shape of the raw outputs.")
    if weight.size and (weight.shape[0] not in (1, z.shape[0]) or weight.shape[1] != z.shape[1]):
        raise ValueError("There must be one weight per sample, or one per member and sample.")
    if y.shape[0] not in (1, z.shape[0]) or y.shape[1:] != z.shape[1:]:
        raise ValueError("There must be one target per sample and raw output, or one per member.")
    inverse_n = factors[1]
    for m in range(z.shape[0]):
        own = m if weight.shape[0] > 1 else 0
        target = y[m if y.shape[0] > 1 else 0]
        total = 0.0
        for i in range(z.shape[1]):
            w = weight[own, i] if weight.size else inverse_n / inverse_n
            for k in range(z.shape[2]):
                r = z[m, i, k] - target[i, k]
                total += w * r * r / 2
                gradient[m, i, k] = w * inverse_n * r
        values[m] = total / z.shape[1]
