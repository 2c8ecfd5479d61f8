"""Loops of normalization and of learned scales, in plain Python.

They compute the same as the NumPy functions of `_nn.normalization` and `_nn.layers`, up to the
order of sums.
"""

from math import isfinite, sqrt

from numpy import nan, ndarray

from sknn_adam._backends.kernels import arrays

__all__ = [
    "batch_norm",
    "batch_norm_back",
    "row_norm",
    "row_norm_back",
    "row_scales",
    "row_scales_back",
]


@arrays("mnk", "x:Mn", "2", "mk", "mk", "mk", "mk", "m1", "mnk", "mk", "m1", "mnk")
def batch_norm(
    z: ndarray,
    kept: ndarray,
    factors: ndarray,
    gamma: ndarray,
    beta: ndarray,
    mean: ndarray,
    variance: ndarray,
    rows: ndarray,
    x: ndarray,
    inverse: ndarray,
    used: ndarray,
    y: ndarray,
) -> None:
    """Normalize `z` and update the running statistics; see `_nn.normalization.normalize_batch`."""
    momentum, epsilon = factors[0], factors[1]
    one = momentum / momentum if momentum else momentum + 1
    n_units = z.shape[2]
    for m in range(z.shape[0]):
        own = m if kept.shape[0] > 1 else 0
        n = one - one
        for i in range(z.shape[1]):
            n += one if kept[own, i] else one - one
        usual = (1 - momentum) * rows[m, 0]
        used[m, 0] = one if n > 1 and n > usual / 4 else one - one
        if used[m, 0]:
            rows[m, 0] = momentum * rows[m, 0] + n
            rate = n / rows[m, 0]
            # Sums are collected in arrays that are written later.
            center, squares = inverse[m], y[m, 0]
            for j in range(n_units):
                center[j] = squares[j] = one - one
            for i in range(z.shape[1]):
                if kept[own, i]:
                    for j in range(n_units):
                        center[j] += z[m, i, j]
            for j in range(n_units):
                center[j] /= n
            for i in range(z.shape[1]):
                c = one if kept[own, i] else one - one
                for j in range(n_units):
                    d = z[m, i, j] - center[j]
                    x[m, i, j] = d
                    squares[j] += c * d * d
            for j in range(n_units):
                middle, v = center[j], squares[j] / n
                if not isfinite(v):
                    # The sums overflowed. They are computed again from numbers of at most 1.
                    peak = one - one
                    for i in range(z.shape[1]):
                        peak = max(peak, abs(z[m, i, j]))
                    middle = v = one - one
                    for i in range(z.shape[1]):
                        middle += z[m, i, j] / peak / n if kept[own, i] else one - one
                    for i in range(z.shape[1]):
                        d = z[m, i, j] / peak - middle
                        x[m, i, j] = d * peak
                        v += d * d / n if kept[own, i] else one - one
                    middle, v = middle * peak, v * peak * peak
                    # See `_nn.normalization._scaled_moments`.
                    v = v if isfinite(v) else v * nan
                mean[m, j] += rate * (middle - mean[m, j])
                variance[m, j] += rate * (v - variance[m, j])
                inverse[m, j] = 1 / sqrt(v + epsilon)
        else:
            for j in range(n_units):
                inverse[m, j] = 1 / sqrt(variance[m, j] + epsilon)
            for i in range(z.shape[1]):
                for j in range(n_units):
                    x[m, i, j] = z[m, i, j] - mean[m, j]
        for i in range(z.shape[1]):
            for j in range(n_units):
                x[m, i, j] *= inverse[m, j]
                y[m, i, j] = x[m, i, j] * gamma[m, j] + beta[m, j]


@arrays("mnk", "mnk", "x:Mn", "mk", "mk", "m1", "mk", "mk")
def batch_norm_back(
    g: ndarray,
    x: ndarray,
    kept: ndarray,
    gamma: ndarray,
    inverse: ndarray,
    used: ndarray,
    grad_gamma: ndarray,
    grad_beta: ndarray,
) -> None:
    """Write the gradients of scale and shift, and turn `g` into the gradient of the input."""
    for m in range(g.shape[0]):
        own = m if kept.shape[0] > 1 else 0
        zero = used[m, 0] - used[m, 0]
        n = zero
        for j in range(g.shape[2]):
            grad_gamma[m, j] = grad_beta[m, j] = zero
        for i in range(g.shape[1]):
            n += used[m, 0] if kept[own, i] else zero
            for j in range(g.shape[2]):
                grad_gamma[m, j] += g[m, i, j] * x[m, i, j]
                grad_beta[m, j] += g[m, i, j]
        for i in range(g.shape[1]):
            # Mean and variance depend on the samples that the member trains on.
            share = used[m, 0] / n if n > 0 and kept[own, i] else zero
            for j in range(g.shape[2]):
                own_mean = share * grad_beta[m, j] + x[m, i, j] * (share * grad_gamma[m, j])
                g[m, i, j] = (g[m, i, j] - own_mean) * (gamma[m, j] * inverse[m, j])


@arrays("mnk", "2", "mk", "mk", "mnk", "mn", "mnk", fastmath={"reassoc"})
def row_norm(
    z: ndarray,
    factors: ndarray,
    gamma: ndarray,
    beta: ndarray,
    x: ndarray,
    inverse: ndarray,
    y: ndarray,
) -> None:
    """Normalize each sample; `factors` are epsilon, and 1 to subtract the mean or 0."""
    epsilon, centered = factors[0], factors[1]
    n_units = z.shape[2]
    for m in range(z.shape[0]):
        for i in range(z.shape[1]):
            total = squares = epsilon - epsilon
            for j in range(n_units):
                total += z[m, i, j]
            shift = centered * total / n_units if centered else epsilon - epsilon
            for j in range(n_units):
                d = z[m, i, j] - shift
                x[m, i, j] = d
                squares += d * d
            factor = 1 / sqrt(squares / n_units + epsilon)
            if isfinite(squares):
                for j in range(n_units):
                    x[m, i, j] *= factor
            else:
                # The sums overflowed. They are computed again from numbers of at most 1.
                peak = total = squares = epsilon - epsilon
                for j in range(n_units):
                    peak = max(peak, abs(z[m, i, j]))
                for j in range(n_units):
                    total += z[m, i, j] / peak
                shift = centered * total / n_units
                for j in range(n_units):
                    d = z[m, i, j] / peak - shift
                    x[m, i, j] = d
                    squares += d * d
                for j in range(n_units):
                    x[m, i, j] /= sqrt(squares / n_units)
                factor = 1 / sqrt(squares / n_units) / peak
            inverse[m, i] = factor
            for j in range(n_units):
                y[m, i, j] = x[m, i, j] * gamma[m, j] + beta[m, j]


@arrays("mnk", "mnk", "2", "mk", "mn", "mk", "mk", fastmath={"reassoc"})
def row_norm_back(
    g: ndarray,
    x: ndarray,
    factors: ndarray,
    gamma: ndarray,
    inverse: ndarray,
    grad_gamma: ndarray,
    grad_beta: ndarray,
) -> None:
    """Write the gradients of scale and shift, and turn `g` into the gradient of the input."""
    zero, centered, n_units = factors[0] - factors[0], factors[1], g.shape[2]
    for m in range(g.shape[0]):
        for j in range(n_units):
            grad_gamma[m, j] = grad_beta[m, j] = zero
        for i in range(g.shape[1]):
            along = total = zero
            for j in range(n_units):
                grad_gamma[m, j] += g[m, i, j] * x[m, i, j]
                grad_beta[m, j] += g[m, i, j]
                scaled = g[m, i, j] * gamma[m, j]
                g[m, i, j] = scaled
                along += scaled * x[m, i, j]
                total += scaled
            along /= n_units
            shift = centered * total / n_units
            for j in range(n_units):
                g[m, i, j] = (g[m, i, j] - shift - x[m, i, j] * along) * inverse[m, i]


@arrays("mnk", "mn", "1", "mn", "mnk")
def row_scales(W: ndarray, p: ndarray, rate: ndarray, scales: ndarray, product: ndarray) -> None:
    """Multiply each row of `W` by its factor; see `_nn.layers.scale_rows`."""
    one = rate[0] / rate[0]
    for m in range(W.shape[0]):
        for i in range(W.shape[1]):
            factor = one + rate[0] * p[m, i]
            scales[m, i] = factor
            for j in range(W.shape[2]):
                product[m, i, j] = W[m, i, j] * factor


@arrays("mnk", "mnk", "mn", "1", "mn", fastmath={"reassoc"})
def row_scales_back(
    g: ndarray, W: ndarray, scales: ndarray, rate: ndarray, grad_p: ndarray
) -> None:
    """Write the gradient of `p`, and turn `g`, that of the scaled rows, into that of `W`."""
    for m in range(g.shape[0]):
        for i in range(g.shape[1]):
            factor, total = scales[m, i], rate[0] - rate[0]
            for j in range(g.shape[2]):
                total += g[m, i, j] * W[m, i, j]
                g[m, i, j] *= factor
            grad_p[m, i] = rate[0] * total
