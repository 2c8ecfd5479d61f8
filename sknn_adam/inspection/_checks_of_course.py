"""The checks of a diagnosis that look at the course of a training: its loss, steps and end."""

from typing import Any

import numpy as np

from sknn_adam.inspection._checks import RATE, number
from sknn_adam.inspection._evidence import Evidence
from sknn_adam.inspection.findings import Finding

STILL = 5e-4  # change of the weights in a step over their norm; a usual one is 0.001
WILD = 0.03
SLOWED, HASTY = 0.2, 5.0  # learning rate over the optimizer's default
LEFT = 0.15  # loss at the end over that of a constant answer: below it, nothing is amiss
FALLING = 0.012  # fall of the loss in an epoch over that of a constant answer
FEW_EPOCHS, FEW_STEPS = 10, 400
GAIN = 0.03  # relative fall of the loss during the last tenth of the epochs
LEFT_BY_NOISE = 0.3  # as LEFT, where more steps on a small table would often fit noise
SMALLER_BATCHES = 32, 16, 8
CAUSES = {"unscaled_inputs", "unscaled_targets", "exploding_gradients", "learning_rate_high"}
GAP, GAP_OF_FREE = 0.6, 0.25  # loss on new rows less that in training; without any penalty
RISEN = 1.35  # validation loss at the end over the smallest, and by how much it rose,
RISEN_BY = 0.09  # over that of a constant answer


def diverged(e: Evidence) -> Finding | None:
    """See a loss or weights that are no longer finite."""
    if not e.diverged:
        return None
    told = f"the loss was no longer finite, or exploded, in epoch {len(e.loss) + 1}"
    params: dict[str, Any] = {}
    if e.found & CAUSES:
        words = f"cure the cause: {', '.join(sorted(e.found & CAUSES))}"
    elif e.optimizer.full_batch:
        params, words = {"alpha": max(10 * e.alpha, 1e-3)}, "raise alpha"
    else:
        params = {RATE: _lower(e), "gradient_clip": 1.0}
        words = "lower the learning rate, and clip gradients"
    return Finding("diverged", None, told, "high", params, words)


def _lower(e: Evidence) -> float:
    """Return a learning rate to try after one that was too high.

    Steps are proportional to it: one that changes the weights by a hundredth at the start.
    """
    rate = e.rate / 10
    if len(e.layers):
        step = float(np.nanmedian(e.column("update_ratio")[0]))
        rate = min(e.rate / 2, e.rate * 0.01 / step) if step > 0 else rate
    if np.isfinite(e.usual_rate):
        rate = min(max(rate, e.usual_rate / 10), 5 * e.usual_rate, e.rate / 2)
    return float(f"{rate:.2g}")


def learning_rate_high(e: Evidence) -> Finding | None:
    """See steps that are not small beside the weights, and a loss that does not settle."""
    if e.optimizer.full_batch or not len(e.layers):
        return None
    step = float(np.max(np.nanmedian(e.column("update_ratio"), axis=1)))
    if np.max(e.column("dead")[0, :-1], initial=0) > 0.95:
        return None  # nothing was learned that a step could undo: weights only shrink
    hasty = e.rate > HASTY * e.usual_rate and (step > WILD or e.diverged)
    unsettled = e.diverged or e.roughness > 0.3 or e.left > LEFT
    if not (hasty and unsettled):
        return None
    told = (
        f"a step changed the weights by {number(step)} times their norm (0.001 is usual), with a "
        f"learning rate of {number(e.rate)}"
    )
    params = {RATE: _lower(e)}
    return Finding("learning_rate_high", None, told, "high", params, "lower the learning rate")


def learning_rate_low(e: Evidence) -> Finding | None:
    """See steps so small that the loss hardly falls."""
    if e.optimizer.full_batch or not len(e.layers):
        return None
    steps = e.column("update_ratio")
    step = float(np.nanmedian(steps[len(steps) // 2 :]))
    low = e.rate < SLOWED * e.usual_rate if np.isfinite(e.usual_rate) else True
    if not (low and step < STILL and e.left > LEFT):
        return None
    told = (
        f"a step changed the weights by {number(step)} times their norm (0.001 is usual), with a "
        f"learning rate of {number(e.rate)}"
    )
    rate = e.usual_rate if np.isfinite(e.usual_rate) else 10 * e.rate
    return Finding("learning_rate_low", None, told, "high", {RATE: rate}, "raise the learning rate")


def batch_too_large(e: Evidence) -> Finding | None:
    """See batches of so many rows that few steps are left (Masters and Luschi 2018)."""
    if e.optimizer.full_batch:
        return None
    batch, usual = int(e.table["batch_size"]), e.auto["batch_size"]
    wanted = usual if usual > 64 else 32
    much = batch >= max(2 * wanted, e.table["n_rows"] / 4) and len(e.loss) >= FEW_EPOCHS
    if not much or e.mlp.t_ > FEW_STEPS or not e.left > 0.6 * LEFT:
        return None
    return Finding(
        "batch_too_large",
        None,
        f"batches of {batch} rows left {e.mlp.t_} steps in {len(e.loss)} epochs, and the loss is "
        f"{e.left:.0%} of that of a constant answer",
        "medium" if e.left > 0.3 else "low",
        {"batch_size": "auto" if wanted == usual else wanted},
        "take smaller batches",
    )


def too_few_steps(e: Evidence) -> Finding | None:
    """Report a training that reached `max_iter` in few steps while the loss was still falling.

    On a small table an epoch is one step or a few, so the loss falls little in each epoch and
    `stopped_early` does not see it, and the batch is not large for the table.
    """
    if e.optimizer.full_batch or e.mlp.stop_reason_ != "max_iter" or not e.mlp.t_ < FEW_STEPS:
        return None
    batch, n_samples = int(e.table["batch_size"]), int(e.table["n_rows"])
    noisy = e.mlp._loss.task == "regression" or batch < n_samples
    enough_left = e.left > (LEFT_BY_NOISE if noisy else LEFT)
    if len(e.loss) < FEW_EPOCHS or not (enough_left and e.gain > GAIN):
        return None
    enough = (
        size
        for size in SMALLER_BATCHES
        if size < batch and e.mlp.max_iter * -(-n_samples // size) >= FEW_STEPS
    )
    if (size := next(enough, None)) is not None:
        params, words = {"batch_size": size}, "take smaller batches"
    else:
        params = {"max_iter": -(-FEW_STEPS * len(e.loss) // e.mlp.t_)}
        words = "train for more epochs"
    return Finding(
        "too_few_steps",
        None,
        f"training ended after {e.mlp.t_} steps in {len(e.loss)} epochs, while the loss was "
        f"falling ({e.gain:.0%} in the last tenth of the epochs)",
        "medium" if e.left > 0.3 else "low",
        params,
        words,
    )


def underfitting(e: Evidence) -> Finding | None:
    """See a loss that stays high, and something that holds the network back."""
    if not len(e.loss):
        return None
    params: dict[str, Any] = {}
    reasons = []
    rates = np.ravel(e.mlp.dropout)
    if e.penalty > 0.2 * np.mean(e.loss[-3:]) and e.alpha > 20 * e.auto["alpha"]:
        reasons.append(f"a penalty of alpha={number(e.alpha)}")
        params["alpha"] = "auto"
    elif not e.left > 0.1:
        return None
    elif e.alpha > 20 * e.auto["alpha"] and e.left > 0.5:
        reasons.append(f"a penalty of alpha={number(e.alpha)}")
        params["alpha"] = "auto"
    if rates.max(initial=0) > 0.5:
        reasons.append(f"dropout of {rates.max():.0%}")
        params["dropout"] = 0.0
    narrow = min(e.widths, default=100)
    if narrow < max(4, min(8, e.network.layers[-1].fan_out)):
        reasons.append(f"a layer of {narrow} units")
        params["hidden_layer_sizes"] = tuple(max(width, 100) for width in e.widths)
    if not reasons:
        return None
    told = f"the loss is {e.left:.0%} of that of a constant answer, with {' and '.join(reasons)}"
    severe = "high" if e.left > 0.7 else "medium"
    return Finding("underfitting", None, told, severe, params, "hold the network back less")


def overfitting(e: Evidence) -> Finding | None:
    """See rows that were learned by heart: the loss on new ones is far above (Prechelt 1998)."""
    scores = e.mlp.validation_scores_
    told, new = None, e.given_loss
    if scores is not None and e.mlp.scoring == "loss" and not e.mlp.early_stopping:
        curve = -np.asarray(scores, float)
        best, end = float(np.min(curve)), float(np.mean(curve[-max(1, len(curve) // 10) :]))
        new = end if np.isnan(new) else new
        if end > RISEN * best and end - best > RISEN_BY * abs(e.constant_loss):
            told = (
                f"the validation loss was {number(best)} after epoch {int(np.argmin(curve)) + 1} "
                f"and is {number(end)} at the end"
            )
    gap = (new - e.kept_loss) / abs(e.constant_loss)
    free = e.alpha < 0.1 * e.auto["alpha"]
    if told is None and gap > (GAP_OF_FREE if free else GAP) and new > 3 * e.kept_loss:
        told = f"the loss was {number(e.kept_loss)} in training and is {number(new)} on new rows"
    if told is None:
        return None
    params: dict[str, Any] = {} if e.mlp.early_stopping else {"early_stopping": True}
    params["alpha"] = float(f"{max(10 * e.alpha, 1e-2):.2g}")
    words = "stop when a validation score no longer rises, and penalize large weights"
    return Finding("overfitting", None, told, "medium", params, words)


def stopped_early(e: Evidence) -> Finding | None:
    """See a training that ended while the loss was falling."""
    if e.mlp.stop_reason_ not in ("max_iter", "tol", "early_stopping"):
        return None
    impatient = e.mlp.n_iter_no_change < 5 or e.mlp.tol > 0.01
    by_epochs = e.mlp.stop_reason_ == "max_iter"
    falling = e.fall > FALLING or len(e.loss) < FEW_EPOCHS
    if not falling or not (by_epochs or impatient) or not e.left > LEFT:
        return None
    told = f"training ended after {len(e.loss)} epochs ({e.mlp.stop_reason_})"
    if e.fall > 0:
        told += f", while the loss fell by {e.fall:.1%} of that of a constant answer in an epoch"
    params: dict[str, Any] = {}
    if by_epochs:
        params["max_iter"] = int(max(100, 5 * e.mlp.max_iter))
    if impatient:
        params |= {"tol": 1e-4, "n_iter_no_change": 10}
        params["max_iter"] = max(100, e.mlp.max_iter)
    severe = "high" if e.left > 0.5 else "medium" if e.left > 0.2 else "low"
    return Finding("stopped_early", None, told, severe, params, "train longer")
