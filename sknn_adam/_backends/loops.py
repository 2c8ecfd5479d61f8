"""Loops other than formulas of components, in plain Python. `compilation` compiles them with Numba.

Each loop declares its arrays, see `kernels.Argument`. Arrays of a network have a members axis,
which may have length 1, followed by a samples axis. Compiled loops do not check indices: shapes are
compared when a call is bound, and the ranges of row indices and class codes are checked before.
"""

from math import exp, inf, log, log1p, sqrt

from numpy import ndarray

from sknn_adam._backends.kernels import arrays

__all__ = [
    "add_bias",
    "blend",
    "clip_norm",
    "clip_value",
    "column_sums",
    "gather",
    "gather_columns",
    "join_norms",
    "label_log_loss",
    "penalize",
    "softmax_log_loss",
    "squared_error",
    "scale_units",
    "store",
    "vector_norm",
]


@arrays("mnk", "mk")
def add_bias(z: ndarray, b: ndarray) -> None:
    """Add `b` to every sample of `z`."""
    for m in range(z.shape[0]):
        for i in range(z.shape[1]):
            for j in range(z.shape[2]):
                z[m, i, j] += b[m, j]


@arrays("mnk", "mk")
def column_sums(g: ndarray, out: ndarray) -> None:
    """Write the sums of `g` over the samples to `out`."""
    for m in range(g.shape[0]):
        for j in range(g.shape[2]):
            out[m, j] = 0
        for i in range(g.shape[1]):
            for j in range(g.shape[2]):
                out[m, j] += g[m, i, j]


@arrays("mnk", "mnk")
def scale_units(g: ndarray, factors: ndarray) -> None:
    """Multiply `g` by the factors, in place."""
    for m in range(g.shape[0]):
        for i in range(g.shape[1]):
            for j in range(g.shape[2]):
                g[m, i, j] *= factors[m, i, j]


@arrays("x:art", "*i:n", "ant")
def gather(X: ndarray, rows: ndarray, out: ndarray) -> None:
    """Write ``X[:, rows]`` to `out`, in the dtype of `out`."""
    for a in range(X.shape[0]):
        for i in range(rows.size):
            row = rows[i]
            for j in range(X.shape[2]):
                out[a, i, j] = X[a, row, j]


@arrays("x:tr", "*i:n", "nt")
def gather_columns(columns: ndarray, rows: ndarray, out: ndarray) -> None:
    """Write ``columns.T[rows]`` to `out`, in the dtype of `out`."""
    for j in range(columns.shape[0]):
        for i in range(rows.size):
            out[i, j] = columns[j, rows[i]]


@arrays("ms", "2", "ms", "d:m", fastmath={"reassoc"})
def penalize(weights: ndarray, factors: ndarray, grad: ndarray, values: ndarray) -> None:
    """Add the penalty of each member's weights to `values`, and its gradient to `grad`.

    `factors` are (l2, l1). Numba may reorder the sums, which makes them faster.
    """
    l2, l1 = factors[0], factors[1]
    for m in range(weights.shape[0]):
        squares = sizes = l2 - l2
        for i in range(weights.shape[1]):
            w = weights[m, i]
            squares += w * w
            sizes += abs(w)
            slope = l1 if w > 0 else -l1
            grad[m, i] += l2 * w + (slope if w != 0 else l1 - l1)
        values[m] += l2 / 2 * squares + l1 * sizes


@arrays("ms", "ms", "*2")
def blend(average: ndarray, vector: ndarray, factors: ndarray) -> None:
    """Write ``factors[0] * average + factors[1] * vector`` to `average`."""
    keep, rate = factors[0], factors[1]
    for m in range(average.shape[0]):
        for i in range(average.shape[1]):
            average[m, i] = keep * average[m, i] + rate * vector[m, i]


@arrays("ms", "d:ma", "i:1")
def vector_norm(vector: ndarray, norms: ndarray, at: ndarray) -> None:
    """Write the norm of each member to column `at` of `norms`, even if squares overflow."""
    column = at[0]
    for m in range(vector.shape[0]):
        total = 0.0
        for i in range(vector.shape[1]):
            total += vector[m, i] * vector[m, i]
        if not (0 < total < inf):
            # The squares are computed again from numbers of at most 1.
            peak = 0.0
            for i in range(vector.shape[1]):
                size = abs(vector[m, i])
                peak = size if not size <= peak else peak
            if 0 < peak < inf:
                total = 0.0
                for i in range(vector.shape[1]):
                    total += (vector[m, i] / peak) ** 2
                norms[m, column] = peak * sqrt(total)
            else:
                norms[m, column] = peak
        else:
            norms[m, column] = sqrt(total)


@arrays("d:ma", "d:m")
def join_norms(norms: ndarray, total: ndarray) -> None:
    """Write the norm of all arrays of a member to `total`, given the norms of the arrays."""
    for m in range(norms.shape[0]):
        peak = squares = 0.0
        for a in range(norms.shape[1]):
            peak = norms[m, a] if not norms[m, a] <= peak else peak
        for a in range(norms.shape[1]):
            squares += (norms[m, a] / peak) ** 2 if 0 < peak < inf else 0.0
        total[m] = peak * sqrt(squares) if 0 < peak < inf else peak


@arrays("ms", "d:ma", "i:1", "1")
def clip_norm(vector: ndarray, norms: ndarray, at: ndarray, limit: ndarray) -> None:
    """Clip each member's vector to the limit; column `at` of `norms` has the norms."""
    column = at[0]
    for m in range(vector.shape[0]):
        if norms[m, column] > limit[0]:
            factor = limit[0] / norms[m, column]
            for i in range(vector.shape[1]):
                vector[m, i] *= factor


@arrays("ms", "1")
def clip_value(vector: ndarray, limit: ndarray) -> None:
    """Clip every element; NaN stays."""
    largest = limit[0]
    for m in range(vector.shape[0]):
        for i in range(vector.shape[1]):
            v = vector[m, i]
            v = largest if v > largest else v
            vector[m, i] = -largest if v < -largest else v


@arrays("ms", "*1", "*ms")
def store(vector: ndarray, tiny: ndarray, out: ndarray) -> None:
    """Copy a vector of each member, after setting numbers smaller than `tiny` to zero."""
    least = tiny[0]
    for m in range(vector.shape[0]):
        for i in range(vector.shape[1]):
            v = vector[m, i]
            v = v if not abs(v) < least else least - least
            vector[m, i] = out[m, i] = v


@arrays("mnk", "i:n", "Mn", "2", "mnk", "d:m", "mkn", "m3n")
def softmax_log_loss(
    z: ndarray,
    codes: ndarray,
    weight: ndarray,
    factors: ndarray,
    gradient: ndarray,
    values: ndarray,
    transposed: ndarray,
    sums: ndarray,
) -> None:
    """Write the weighted mean log loss of classes to `values`, and its gradient.

    `factors` are the label smoothing and 1 divided by the number of samples. `transposed` and
    `sums` are memory. The outputs are transposed, because loops over the samples are vectorized
    even if there are few classes.
    """
    smoothing, inverse_n = factors[0], factors[1]
    n_rows, n_classes = z.shape[1], z.shape[2]
    for m in range(z.shape[0]):
        own = m if weight.shape[0] > 1 else 0
        powers, peak, norm, mean = transposed[m], sums[m, 0], sums[m, 1], sums[m, 2]
        for i in range(n_rows):
            for k in range(n_classes):
                powers[k, i] = z[m, i, k]
        for i in range(n_rows):
            peak[i] = powers[0, i]
            norm[i] = mean[i] = inverse_n - inverse_n
        for k in range(1, n_classes):
            for i in range(n_rows):
                # The comparison is negated so that NaN propagates.
                peak[i] = powers[k, i] if not powers[k, i] <= peak[i] else peak[i]
        for k in range(n_classes):
            for i in range(n_rows):
                shifted = powers[k, i] - peak[i]
                mean[i] += shifted
                powers[k, i] = exp(shifted)
                norm[i] += powers[k, i]
        total = 0.0
        for i in range(n_rows):
            true = z[m, i, codes[i]] - peak[i]
            total += weight[own, i] * (smoothing * (true - mean[i] / n_classes) - true)
        for i in range(n_rows):
            peak[i] = weight[own, i] * log(norm[i])
            norm[i] = weight[own, i] * inverse_n / norm[i]
        for i in range(n_rows):
            total += peak[i]
            w = weight[own, i] * inverse_n
            for k in range(n_classes):
                gradient[m, i, k] = powers[k, i] * norm[i] - w * smoothing / n_classes
            gradient[m, i, codes[i]] -= w * (1 - smoothing)
        values[m] = total / n_rows


@arrays("mnk", "x:nk", "Mn", "2", "mnk", "d:m")
def label_log_loss(
    z: ndarray, y: ndarray, weight: ndarray, factors: ndarray, gradient: ndarray, values: ndarray
) -> None:
    """Write the weighted mean log loss of multilabel targets to `values`, and its gradient.

    `y` contains the labels; `factors` are those of `softmax_log_loss`.
    """
    smoothing, inverse_n = factors[0], factors[1]
    for m in range(z.shape[0]):
        own = m if weight.shape[0] > 1 else 0
        total = 0.0
        for i in range(z.shape[1]):
            w = weight[own, i]
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


@arrays("mnk", "Mnk", "Mn", "2", "mnk", "d:m")
def squared_error(
    z: ndarray, y: ndarray, weight: ndarray, factors: ndarray, gradient: ndarray, values: ndarray
) -> None:
    """Write the weighted mean of half the squared error to `values`, and its gradient."""
    inverse_n = factors[1]
    for m in range(z.shape[0]):
        own = m if weight.shape[0] > 1 else 0
        target = y[m if y.shape[0] > 1 else 0]
        total = 0.0
        for i in range(z.shape[1]):
            w = weight[own, i]
            for k in range(z.shape[2]):
                r = z[m, i, k] - target[i, k]
                total += w * r * r / 2
                gradient[m, i, k] = w * inverse_n * r
        values[m] = total / z.shape[1]
