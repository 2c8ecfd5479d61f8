"""Checks of a diagnosis: the course of a training, its loss, its steps and its end."""

from typing import Any

import numpy as np

from sknn_adam.inspection._evidence import Evidence
from sknn_adam.inspection._layer_checks import RATE, Result, number

STILL = 5e-4  # change of the weights in a step over their norm; a usual one is 0.001
WILD = 0.03
SLOWED, HASTY = 0.2, 5.0  # learning rate over the optimizer's default
LEFT = 0.15  # loss at the end over that of a constant prediction; below it, nothing is wrong
FALLING = 0.012  # fall of the loss in an epoch over that of a constant prediction
FEW_EPOCHS, FEW_STEPS = 10, 400
GAIN = 0.03  # relative fall of the loss during the last tenth of the epochs
LEFT_BY_NOISE = 0.3  # as LEFT, where more steps on a small table would often fit noise
SMALLER_BATCHES = 32, 16, 8
CAUSES = {"unscaled_inputs", "unscaled_targets", "exploding_gradients", "learning_rate_high"}
GAP, GAP_OF_FREE = 0.6, 0.25  # loss on new samples minus that in training; without any penalty
RISEN = 1.35  # validation loss at the end over the smallest, and by how much it rose,
RISEN_BY = 0.09  # over that of a constant prediction


def diverged(e: Evidence) -> Result:
    """Find a loss or weights that are no longer finite."""
    if not e.diverged:
        return None
    evidence = f"the loss was no longer finite, or exploded, in epoch {len(e.loss) + 1}"
    params: dict[str, Any] = {RATE: _lower(e), "gradient_clip": 1.0}
    cure = "lower the learning rate, and clip gradients"
    if e.found & CAUSES:
        params, cure = {}, f"cure the cause: {', '.join(sorted(e.found & CAUSES))}"
    elif e.optimizer.full_batch:
        params, cure = {"alpha": max(10 * e.alpha, 1e-3)}, "raise alpha"
    return None, evidence, "high", params, cure


def _lower(e: Evidence) -> float:
    """Return a learning rate to try after one that was too high.

    The steps are proportional to the rate: take one that changes the weights by a hundredth at the
    start.
    """
    rate = e.rate / 10
    if len(e.layers):
        step = float(np.nanmedian(e.column("update_ratio")[0]))
        rate = min(e.rate / 2, e.rate * 0.01 / step) if step > 0 else rate
    if np.isfinite(e.usual_rate):
        rate = min(max(rate, e.usual_rate / 10), 5 * e.usual_rate, e.rate / 2)
    return float(number(rate))


def _step_size(e: Evidence, step: float) -> str:
    return (
        f"a step changed the weights by {number(step)} times their norm (0.001 is usual), with a "
        f"learning rate of {number(e.rate)}"
    )


def learning_rate_high(e: Evidence) -> Result:
    """Find steps that are not small relative to the weights, and a loss that does not settle."""
    if e.optimizer.full_batch or not len(e.layers):
        return None
    # With dead units nothing was learned that a step could undo: weights only shrink.
    if np.max(e.column("dead")[0, :-1], initial=0) > 0.95:
        return None
    step = float(np.max(np.nanmedian(e.column("update_ratio"), axis=1)))
    hasty = e.rate > HASTY * e.usual_rate and (step > WILD or e.diverged)
    if not (hasty and (e.diverged or e.roughness > 0.3 or e.left > LEFT)):
        return None
    return None, _step_size(e, step), "high", {RATE: _lower(e)}, "lower the learning rate"


def learning_rate_low(e: Evidence) -> Result:
    """Find steps so small that the loss hardly falls."""
    if e.optimizer.full_batch or not len(e.layers):
        return None
    steps = e.column("update_ratio")
    step = float(np.nanmedian(steps[len(steps) // 2 :]))
    known = np.isfinite(e.usual_rate)
    low = e.rate < SLOWED * e.usual_rate or not known
    if not (low and step < STILL and e.left > LEFT):
        return None
    params = {RATE: e.usual_rate if known else 10 * e.rate}
    return None, _step_size(e, step), "high", params, "raise the learning rate"


def batch_too_large(e: Evidence) -> Result:
    """Find batches so large that few steps are left (Masters and Luschi 2018)."""
    if e.optimizer.full_batch:
        return None
    batch, usual = int(e.table["batch_size"]), e.auto.batch_size
    wanted = usual if usual > 64 else 32
    large = batch >= max(2 * wanted, e.table["n_rows"] / 4) and len(e.loss) >= FEW_EPOCHS
    if not large or e.mlp.t_ > FEW_STEPS or not e.left > 0.6 * LEFT:
        return None
    evidence = (
        f"batches of {batch} samples left {e.mlp.t_} steps in {len(e.loss)} epochs, and the loss "
        f"is {e.left:.0%} of that of a constant prediction"
    )
    params = {"batch_size": "auto" if wanted == usual else wanted}
    return None, evidence, "medium" if e.left > 0.3 else "low", params, "take smaller batches"


def too_few_steps(e: Evidence) -> Result:
    """Find a training that reached `max_iter` in few steps while the loss was still falling.

    On a small table an epoch is one step or a few, so the loss falls little in each epoch and
    `stopped_early` does not find it, and the batch is not large for the table.
    """
    if e.optimizer.full_batch or e.mlp.stop_reason_ != "max_iter" or not e.mlp.t_ < FEW_STEPS:
        return None
    batch, n_samples = int(e.table["batch_size"]), int(e.table["n_rows"])
    noisy = e.mlp._loss.task == "regression" or batch < n_samples
    enough_left = e.left > (LEFT_BY_NOISE if noisy else LEFT)
    if len(e.loss) < FEW_EPOCHS or not (enough_left and e.gain > GAIN):
        return None
    evidence = (
        f"training ended after {e.mlp.t_} steps in {len(e.loss)} epochs, while the loss was "
        f"falling ({e.gain:.0%} in the last tenth of the epochs)"
    )
    params, cure = {"max_iter": -(-FEW_STEPS * len(e.loss) // e.mlp.t_)}, "train for more epochs"
    for size in SMALLER_BATCHES:
        if size < batch and e.mlp.max_iter * -(-n_samples // size) >= FEW_STEPS:
            params, cure = {"batch_size": size}, "take smaller batches"
            break
    return None, evidence, "medium" if e.left > 0.3 else "low", params, cure


def underfitting(e: Evidence) -> Result:
    """Find a loss that stays high, and a parameter that holds the network back."""
    if not len(e.loss):
        return None
    strong = e.alpha > 20 * e.auto.alpha
    dominant = strong and e.penalty > 0.2 * np.mean(e.loss[-3:])
    if not (dominant or e.left > 0.1):
        return None
    params: dict[str, Any] = {}
    reasons = []
    if dominant or (strong and e.left > 0.5):
        reasons.append(f"a penalty of alpha={number(e.alpha)}")
        params["alpha"] = "auto"
    dropout = np.max(e.mlp.dropout, initial=0)
    if dropout > 0.5:
        reasons.append(f"dropout of {dropout:.0%}")
        params["dropout"] = 0.0
    narrow = min(e.widths, default=100)
    if narrow < max(4, min(8, e.network.layers[-1].fan_out)):
        reasons.append(f"a layer of {narrow} units")
        params["hidden_layer_sizes"] = tuple(max(width, 100) for width in e.widths)
    if not reasons:
        return None
    evidence = (
        f"the loss is {e.left:.0%} of that of a constant prediction, with {' and '.join(reasons)}"
    )
    severity = "high" if e.left > 0.7 else "medium"
    return None, evidence, severity, params, "hold the network back less"


def overfitting(e: Evidence) -> Result:
    """Find a loss on new samples that is far above that in training (Prechelt 1998)."""
    scores = e.mlp.validation_scores_
    evidence, new = None, e.given_loss
    if scores is not None and e.mlp.scoring == "loss" and not e.mlp.early_stopping:
        curve = -np.asarray(scores, float)
        best, end = float(np.min(curve)), float(np.mean(curve[-max(1, len(curve) // 10) :]))
        new = end if np.isnan(new) else new
        if end > RISEN * best and end - best > RISEN_BY * abs(e.constant_loss):
            evidence = (
                f"the validation loss was {number(best)} after epoch {int(np.argmin(curve)) + 1} "
                f"and is {number(end)} at the end"
            )
    bound = GAP_OF_FREE if e.alpha < 0.1 * e.auto.alpha else GAP
    gap = (new - e.kept_loss) / abs(e.constant_loss)
    if evidence is None and gap > bound and new > 3 * e.kept_loss:
        evidence = (
            f"the loss was {number(e.kept_loss)} in training and is {number(new)} on new samples"
        )
    if evidence is None:
        return None
    params: dict[str, Any] = {} if e.mlp.early_stopping else {"early_stopping": True}
    params["alpha"] = float(number(max(10 * e.alpha, 1e-2)))
    cure = "stop when a validation score no longer rises, and penalize large weights"
    return None, evidence, "medium", params, cure


def stopped_early(e: Evidence) -> Result:
    """Find a training that ended while the loss was falling."""
    if e.mlp.stop_reason_ not in ("max_iter", "tol", "early_stopping"):
        return None
    impatient = e.mlp.n_iter_no_change < 5 or e.mlp.tol > 0.01
    by_epochs = e.mlp.stop_reason_ == "max_iter"
    falling = e.fall > FALLING or len(e.loss) < FEW_EPOCHS
    if not falling or not (by_epochs or impatient) or not e.left > LEFT:
        return None
    evidence = f"training ended after {len(e.loss)} epochs ({e.mlp.stop_reason_})"
    if e.fall > 0:
        evidence += (
            f", while the loss fell by {e.fall:.1%} of that of a constant prediction in an epoch"
        )
    params: dict[str, Any] = {}
    if by_epochs:
        params["max_iter"] = int(max(100, 5 * e.mlp.max_iter))
    if impatient:
        params |= {"tol": 1e-4, "n_iter_no_change": 10, "max_iter": max(100, e.mlp.max_iter)}
    return None, evidence, e.severity, params, "train longer"
