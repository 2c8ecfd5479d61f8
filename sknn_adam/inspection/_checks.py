"""The checks of a diagnosis that look at layers and scales: evidence, severity, parameters.

Each returns a finding or None. Thresholds were set on the tables and seeds that
``benchmarks/_broken.py`` calls "tuning"; ``python -m benchmarks diagnose`` measures them on others.
"""

from typing import Any

import numpy as np

from sknn_adam.inspection._evidence import Evidence
from sknn_adam.inspection.findings import Finding

RATE = "optimizer__learning_rate"

LARGE_INPUT = 10.0  # root mean square of a column; standardized ones have 1
SMALL_INPUT = 0.02
UNEVEN_INPUTS = 3000.0  # the largest scale of a column over the smallest
TARGETS = 0.1, 5.0  # deviations between which targets may lie, and the largest mean
VANISHED = 2e-3  # gradient of the first layer over that of the last hidden one
NOWHERE = 1e-4  # gradient of any hidden layer over its weights
EXPLODED = 10.0  # gradient over weights; usual is 0.01 to 1
DEAD = 0.5  # share of the units
SATURATED = 0.2
CLIPPED = 0.9  # share of the steps


def number(value: float) -> str:
    """Return a number as it is told."""
    return f"{value:.2g}"


def unscaled_inputs(e: Evidence) -> Finding | None:
    """See columns of very large, very small or uneven size (LeCun et al. 1998, section 4.3)."""
    large, small = e.table["scale_max"], e.table["scale_min"]
    uneven = large > UNEVEN_INPUTS * small and not e.table["sparse"]
    tiny = large < SMALL_INPUT and not e.table["sparse"]
    if not (large > LARGE_INPUT or tiny or uneven):
        return None
    told = f"the columns of X have root mean squares from {number(small)} to {number(large)}"
    severe = "high" if large > 100 or e.diverged else "medium"
    scaler = "StandardScaler(with_mean=False)" if e.table["sparse"] else "StandardScaler()"
    cure = f"scale X: put a {scaler} before the network, in a Pipeline"
    return Finding("unscaled_inputs", 1, told, severe, {}, cure)


def unscaled_targets(e: Evidence) -> Finding | None:
    """See targets far from mean 0 and deviation 1, as the loss sees them."""
    mean, deviation = e.table["target_mean"], e.table["target_scale"]
    lowest, highest = TARGETS
    if not (deviation > highest or deviation < lowest or mean > highest):
        return None
    if getattr(e.mlp, "target_scaling", True):
        return None  # then they are scaled as the loss wants it
    told = f"training saw targets of mean {number(mean)} and deviation {number(deviation)}"
    return Finding(
        "unscaled_targets",
        None,
        told,
        "high" if e.diverged or e.left > 0.5 else "medium",
        {"target_scaling": "auto"},
        "let the network scale its targets",
    )


def _first_gradients(e: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Return the norms of the gradients of the loss, and of the weights, at the first step."""
    if not len(e.layers):
        return np.full(1, np.nan), np.full(1, np.nan)
    gradient = e.column("loss_gradient_norm")[0]
    if np.isnan(gradient).any():
        gradient = e.column("gradient_norm")[0]
    return gradient, e.column("weight_norm")[0]


def exploding_gradients(e: Evidence) -> Finding | None:
    """See gradients at the first step as large as many times the weights (Pascanu et al. 2013)."""
    gradient, weight = _first_gradients(e)
    ratio = gradient / np.maximum(weight, 1e-300)
    if not np.max(ratio) > EXPLODED:
        return None
    if e.mlp.initializer != "auto":
        params: dict[str, Any] = {"initializer": "auto"}
        words = "take the initializer that suits the activation"
    elif e.mlp.normalization is None:
        params = {"normalization": "layer", "gradient_clip": 1.0}
        words = "normalize the layers, and clip gradients"
    else:
        params, words = {"gradient_clip": 1.0}, "clip gradients"
    told = (
        f"at the first step the gradient was {number(np.max(ratio))} times as large as the weights"
    )
    severe = "high" if e.diverged or e.left > 0.9 else "medium"
    return Finding("exploding_gradients", int(np.argmax(ratio)) + 1, told, severe, params, words)


def vanishing_gradients(e: Evidence) -> Finding | None:
    """See gradients that shrink from layer to layer (Hochreiter 1991; Glorot and Bengio 2010)."""
    gradient, weight = _first_gradients(e)
    if len(gradient) < 3 or not (e.left > 0.5 or e.diverged):
        return None
    if np.max(e.column("dead")[0, :-1]) >= DEAD:
        return None  # these let nothing through
    hidden = gradient[:-1]
    against = max(hidden[-1], 1e-300)
    ratio = hidden[0] / against
    nowhere = np.max(hidden / np.maximum(weight[:-1], 1e-300))
    if not (ratio < VANISHED or nowhere < NOWHERE):
        return None
    told = (
        f"at the first step the gradient of layer 1 was {number(ratio)} times that of layer "
        f"{len(hidden)}"
    )
    if nowhere < NOWHERE:
        told = f"no gradient of a hidden layer was above {number(nowhere)} times its weights"
    params: dict[str, Any] = {"activation": "relu"}
    words = "take ReLU"
    if e.mlp.initializer != "auto":
        params["initializer"] = "auto"
        words += ", the initializer that suits it"
    if len(e.widths) > 4:
        params |= {"hidden_layer_sizes": e.widths[:3]}
        words += " and fewer layers (to keep them, normalization='batch')"
        if np.ndim(e.mlp.dropout):
            params["dropout"] = e.mlp.dropout[:3]
    elif e.mlp.normalization is None:
        params["normalization"] = "batch"
        words += " and normalize the layers"
    return Finding("vanishing_gradients", 1, told, "high", params, words)


def dead_units(e: Evidence) -> Finding | None:
    """See units whose derivative is 0 on every row: they learn no more (Maas et al. 2013)."""
    dead = e.units("dead")
    if not (len(dead) and np.nanmax(dead, initial=0) >= DEAD):
        return None
    worst = int(np.nanargmax(dead))
    told = f"{dead[worst]:.0%} of the units answer 0 to every row"
    params: dict[str, Any] = {"activation": "leaky_relu"}
    words = "take an activation that is nowhere flat"
    if e.mlp.bias_initializer != "zeros":
        params["bias_initializer"] = "zeros"
        words += ", and biases that start at 0"
    if e.mlp.initializer not in ("auto",):
        params["initializer"] = "auto"
    severe = "high" if dead[worst] > 0.95 else "medium"
    return Finding("dead_units", worst + 1, told, severe, params, words)


def saturated_units(e: Evidence) -> Finding | None:
    """See units of an activation with two flat ends that stand on one of them."""
    saturated = np.where(e.bounded, e.units("saturated") + e.units("dead"), 0.0)
    if not (len(saturated) and np.nanmax(saturated, initial=0) >= SATURATED):
        return None
    worst = int(np.nanargmax(saturated))
    told = f"{saturated[worst]:.0%} of the units stand where their activation is flat"
    params: dict[str, Any] = {}
    words = []
    if e.mlp.initializer != "auto":
        params["initializer"] = "auto"
        words.append("take the initializer that suits the activation")
    if e.mlp.normalization is None:
        params["normalization"] = "batch"
        words.append("normalize the layers")
    if not words:
        params["activation"] = "relu"
        words.append("take an activation with one flat end at most")
    severe = "high" if saturated[worst] > 0.8 else "medium"
    return Finding("saturated_units", worst + 1, told, severe, params, ", ".join(words))


def clipping_always(e: Evidence) -> Finding | None:
    """See clipping that acts in nearly every step: it then sets the size of the steps."""
    rates = np.asarray(e.mlp.history_.columns.get("clip_rate", []), float)
    if e.mlp.gradient_clip is None or not len(rates) or not np.mean(rates) > CLIPPED:
        return None
    norms = np.asarray(e.mlp.history_["gradient_norm"], float)
    usual = float(f"{3 * np.max(norms[np.isfinite(norms)], initial=0.1):.2g}")
    return Finding(
        "clipping_always",
        None,
        f"{np.mean(rates):.0%} of the gradients were clipped; they had norms about "
        f"{number(np.median(norms))}",
        "high" if e.left > 0.5 else "medium" if e.left > 0.2 else "low",
        {"gradient_clip": usual},
        "clip only gradients that are larger than the usual ones",
    )
