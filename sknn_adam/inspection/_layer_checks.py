"""Diagnosis checks of layers and scales.

The name of a check is the kind of its finding. A check returns None, or the layer, the evidence,
the severity, the parameters that fix the fault and a description of the fix. The thresholds were
chosen on the tables and seeds that ``benchmarks/_broken.py`` lists as "tuning"; ``python -m
benchmarks diagnose`` evaluates them on others.
"""

from typing import Any

import numpy as np

from sknn_adam.inspection._evidence import Evidence

Result = tuple[int | None, str, str, dict[str, Any], str] | None
RATE = "optimizer__learning_rate"

LARGE_INPUT = 10.0  # root mean square of a column, which is 1 after standardization
SMALL_INPUT = 0.02
UNEVEN_INPUTS = 3000.0  # largest over smallest scale of the columns
TARGETS = 0.1, 5.0  # bounds for the standard deviation of targets; the second also for the mean
VANISHED = 2e-3  # gradient norm of the first layer over that of the last hidden layer
NOWHERE = 1e-4  # gradient norm of any hidden layer over its weight norm
EXPLODED = 10.0  # gradient norm over weight norm; usually 0.01 to 1
DEAD = 0.5  # fraction of the units
SATURATED = 0.2  # fraction of the units
CLIPPED = 0.9  # fraction of the steps


def number(value: float) -> str:
    """Format a number with two significant digits."""
    return f"{value:.2g}"


def unscaled_inputs(e: Evidence) -> Result:
    """Detect columns of very large, very small or uneven scale (LeCun et al. 1998, section 4.3)."""
    large, small, sparse = (e.table[name] for name in ("scale_max", "scale_min", "sparse"))
    unusual = large < SMALL_INPUT or large > UNEVEN_INPUTS * small
    if not (large > LARGE_INPUT or (unusual and not sparse)):
        return None
    evidence = (
        f"root mean squares of the columns of X range from {number(small)} to {number(large)}"
    )
    severity = "high" if large > 100 or e.diverged else "medium"
    scaler = "StandardScaler(with_mean=False)" if sparse else "StandardScaler()"
    return 1, evidence, severity, {}, f"scale X: put a {scaler} before the network in a Pipeline"


def unscaled_targets(e: Evidence) -> Result:
    """Detect targets with a mean far from 0 or a standard deviation far from 1 in the loss."""
    mean, deviation = e.table["target_mean"], e.table["target_scale"]
    lowest, highest = TARGETS
    unusual = deviation > highest or deviation < lowest or mean > highest
    # With target_scaling, the loss gets scaled targets.
    if not unusual or getattr(e.mlp, "target_scaling", True):
        return None
    evidence = f"targets had mean {number(mean)} and standard deviation {number(deviation)}"
    severity = "high" if e.diverged or e.left > 0.5 else "medium"
    return (
        None,
        evidence,
        severity,
        {"target_scaling": True},
        "let the estimator scale the targets",
    )


def _first_gradients(e: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Return the norms of loss gradients and weights per layer at the first recorded step."""
    if not len(e.layers):
        return np.full(1, np.nan), np.full(1, np.nan)
    gradient = e.column("loss_gradient_norm")[0]
    if np.isnan(gradient).any():
        gradient = e.column("gradient_norm")[0]
    return gradient, e.column("weight_norm")[0]


def exploding_gradients(e: Evidence) -> Result:
    """Detect gradients much larger than the weights at the first step (Pascanu et al. 2013)."""
    gradient, weight = _first_gradients(e)
    ratio = gradient / np.maximum(weight, 1e-300)
    largest = np.max(ratio)
    if not largest > EXPLODED:
        return None
    params: dict[str, Any] = {"gradient_clip": 1.0}
    cure = "clip gradients"
    if e.mlp.initializer != "auto":
        params, cure = (
            {"initializer": "auto"},
            "use the default initializer, which suits the activation",
        )
    elif e.mlp.normalization is None:
        params, cure = {"normalization": "layer"} | params, f"normalize the layers and {cure}"
    evidence = f"at the first step the gradient norm was {number(largest)} times the weight norm"
    severity = "high" if e.diverged or e.left > 0.9 else "medium"
    return int(np.argmax(ratio)) + 1, evidence, severity, params, cure


def vanishing_gradients(e: Evidence) -> Result:
    """Detect gradients that shrink layer by layer (Hochreiter 1991; Glorot and Bengio 2010)."""
    gradient, weight = _first_gradients(e)
    if len(gradient) < 3 or not (e.left > 0.5 or e.diverged):
        return None
    # Gradients do not pass through dead units, which have their own finding.
    if np.max(e.column("dead")[0, :-1]) >= DEAD:
        return None
    hidden = gradient[:-1]
    ratio = hidden[0] / max(hidden[-1], 1e-300)
    largest = np.max(hidden / np.maximum(weight[:-1], 1e-300))
    if largest < NOWHERE:
        evidence = (
            f"no hidden layer had a gradient norm above {number(largest)} times its weight norm"
        )
    elif ratio < VANISHED:
        evidence = (
            f"at the first step the gradient norm of layer 1 was {number(ratio)} times that of "
            f"layer {len(hidden)}"
        )
    else:
        return None
    params: dict[str, Any] = {"activation": "relu"}
    cure = "use ReLU"
    if e.mlp.initializer != "auto":
        params["initializer"] = "auto"
        cure += " with its default initializer"
    if len(e.widths) > 4:
        params["hidden_layer_sizes"] = e.widths[:3]
        cure += " and fewer layers (or keep them and set normalization='batch')"
        if np.ndim(e.mlp.dropout):
            params["dropout"] = e.mlp.dropout[:3]
    elif e.mlp.normalization is None:
        params["normalization"] = "batch"
        cure += " and normalize the layers"
    return 1, evidence, "high", params, cure


def dead_units(e: Evidence) -> Result:
    """Detect units whose derivative is 0 for all samples, which therefore cannot learn.

    See Maas et al. (2013).
    """
    dead = e.units("dead")
    if not np.nanmax(dead, initial=0) >= DEAD:
        return None
    worst = int(np.nanargmax(dead))
    params, cure = {"activation": "leaky_relu"}, "use an activation without flat regions"
    if e.mlp.bias_initializer != "zeros":
        params["bias_initializer"] = "zeros"
        cure += ", and initial biases of 0"
    if e.mlp.initializer != "auto":
        params["initializer"] = "auto"
    severity = "high" if dead[worst] > 0.95 else "medium"
    return (
        worst + 1,
        f"{dead[worst]:.0%} of the units are inactive for all samples",
        severity,
        params,
        cure,
    )


def saturated_units(e: Evidence) -> Result:
    """Detect units in the flat regions of an activation that is flat on both sides."""
    saturated = np.where(e.bounded, e.units("saturated") + e.units("dead"), 0.0)
    if not np.nanmax(saturated, initial=0) >= SATURATED:
        return None
    worst = int(np.nanargmax(saturated))
    params, cure = {"activation": "relu"}, "use an activation that is flat on one side at most"
    if e.mlp.initializer != "auto":
        params["initializer"] = "auto"
        cure += ", and its default initializer"
    evidence = f"{saturated[worst]:.0%} of the units are in the flat regions of their activation"
    severity = "high" if saturated[worst] > 0.8 else "medium"
    return worst + 1, evidence, severity, params, cure


def clipping_always(e: Evidence) -> Result:
    """Detect clipping in nearly every step, so that the clipping determines the step size."""
    rates = np.asarray(e.mlp.history_.columns.get("clip_rate", []), float)
    if e.mlp.gradient_clip is None or not len(rates) or not np.mean(rates) > CLIPPED:
        return None
    norms = np.asarray(e.mlp.history_["gradient_norm"], float)
    usual = float(number(3 * np.max(norms[np.isfinite(norms)], initial=0.1)))
    evidence = (
        f"{np.mean(rates):.0%} of the gradients were clipped; their typical norm was "
        f"{number(np.median(norms))}"
    )
    cure = "clip only unusually large gradients"
    return None, evidence, e.severity, {"gradient_clip": usual}, cure
