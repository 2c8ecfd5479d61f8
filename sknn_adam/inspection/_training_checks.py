"""Diagnosis checks of the loss curve, the step sizes and the end of training."""

from typing import Any

import numpy as np

from sknn_adam.inspection._evidence import Evidence
from sknn_adam.inspection._layer_checks import RATE, Result, number

# Norm of the weight change in a step over the weight norm: usually about 0.001.
STILL = 5e-4
WILD = 0.03
SLOWED, HASTY = 0.2, 5.0  # learning rate over the optimizer's default learning rate
LEFT = 0.15  # loss at the end over that of a constant prediction; smaller losses are good
FALLING = 0.012  # decrease of the loss per epoch over the loss of a constant prediction
FEW_EPOCHS, FEW_STEPS = 10, 400
GAIN = 0.03  # relative decrease of the loss during the last tenth of the epochs
# Replaces LEFT if more steps on a small table would often fit noise: for numbers, and for classes
# with several batches.
LEFT_BY_NOISE = {"regression": 0.3, "classification": 0.5}
# Gain and loss of networks that have hardly learned, and decrease of the loss over the last tenth
# relative to the loss of a constant prediction, all with a single batch of all samples.
SLOW_GAIN, SLOW_LEFT, STEEP = 0.01, 0.5, 0.04
SMALLER_BATCHES = 32, 16, 8
CAUSES = {"unscaled_inputs", "unscaled_targets", "exploding_gradients", "learning_rate_high"}
# Loss on new samples minus training loss, over the loss of a constant prediction: with a penalty,
# and with almost none. Confident errors on few samples cost loss, but hardly any accuracy.
GAP, GAP_OF_FREE = {"classification": 1.25, "regression": 0.6}, 0.25
# Final over smallest validation loss, and their difference over the loss of a constant prediction.
# The loss of classes grows with confidence, even where predictions are as accurate as before.
RISEN = {"classification": 1.35, "regression": 1.07}
RISEN_BY = {"classification": 0.09, "regression": 0.035}
# Epochs are unused if the first fraction of them brought all but a negligible part of the
# improvement of the validation score, and many followed. More patience is not needed.
USED, NEGLIGIBLE, UNUSED_EPOCHS, MOST_PATIENCE = 0.2, 0.05, 150, 20


def diverged(e: Evidence) -> Result:
    """Detect divergence: a loss or weights that are no longer finite."""
    if not e.diverged:
        return None
    evidence = f"the loss exploded or was no longer finite in epoch {len(e.loss) + 1}"
    params: dict[str, Any] = {RATE: _lower(e), "gradient_clip": 1.0}
    cure = "lower the learning rate and clip gradients"
    if e.kinds & CAUSES:
        params, cure = {}, f"fix the cause: {', '.join(sorted(e.kinds & CAUSES))}"
    elif e.optimizer.full_batch:
        params, cure = {"alpha": max(10 * e.alpha, 1e-3)}, "increase alpha"
    return None, evidence, "high", params, cure


def _lower(e: Evidence) -> float:
    """Return a lower learning rate to try.

    Steps are proportional to the learning rate. The new rate is chosen so that the first steps
    change the weights by about a hundredth of their norm.
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
        f"steps changed the weights by {number(step)} times their norm (about 0.001 is usual) at a "
        f"learning rate of {number(e.rate)}"
    )


def learning_rate_high(e: Evidence) -> Result:
    """Detect steps that are large relative to the weights, with a loss that does not settle."""
    if e.optimizer.full_batch or not len(e.layers):
        return None
    # If nearly all units are dead, the network does not learn and the weights only shrink.
    if np.max(e.column("dead")[0, :-1], initial=0) > 0.95:
        return None
    step = float(np.max(np.nanmedian(e.column("update_ratio"), axis=1)))
    hasty = e.rate > HASTY * e.usual_rate and (step > WILD or e.diverged)
    if not (hasty and (e.diverged or e.roughness > 0.3 or e.left > LEFT)):
        return None
    return None, _step_size(e, step), "high", {RATE: _lower(e)}, "lower the learning rate"


def learning_rate_low(e: Evidence) -> Result:
    """Detect steps so small that the loss hardly falls."""
    if e.optimizer.full_batch or not len(e.layers):
        return None
    steps = e.column("update_ratio")
    step = float(np.nanmedian(steps[len(steps) // 2 :]))
    known = np.isfinite(e.usual_rate)
    low = e.rate < SLOWED * e.usual_rate or not known
    if not (low and step < STILL and e.left > LEFT):
        return None
    params = {RATE: e.usual_rate if known else 10 * e.rate}
    return None, _step_size(e, step), "high", params, "increase the learning rate"


def batch_too_large(e: Evidence) -> Result:
    """Detect batches so large that training has few steps (Masters and Luschi 2018)."""
    if e.optimizer.full_batch:
        return None
    batch, usual = int(e.table["batch_size"]), e.auto.batch_size
    wanted = usual if usual > 64 else 32
    large = batch >= max(2 * wanted, e.table["n_rows"] / 4) and len(e.loss) >= FEW_EPOCHS
    if not large or e.mlp.n_steps_ > FEW_STEPS or not e.left > 0.6 * LEFT:
        return None
    evidence = (
        f"batches of {batch} samples gave only {e.mlp.n_steps_} steps in {len(e.loss)} epochs, and "
        f"the loss is {e.left:.0%} of that of a constant prediction"
    )
    params = {"batch_size": "auto" if wanted == usual else wanted}
    return None, evidence, "medium" if e.left > 0.3 else "low", params, "use smaller batches"


def too_few_steps(e: Evidence) -> Result:
    """Detect training that reached `max_iter` in few steps while the loss was still falling.

    On a small table, an epoch has only a few steps and the loss falls little per epoch, so
    `stopped_early` does not detect it. Neither does `batch_too_large`, because the batches are not
    large for the table.
    """
    if e.optimizer.full_batch or e.mlp.stop_reason_ != "max_iter" or not e.mlp.n_steps_ < FEW_STEPS:
        return None
    batch, n_samples = int(e.table["batch_size"]), int(e.table["n_rows"])
    task = e.mlp._loss.task
    noisy = task == "regression" or batch < n_samples
    falls = e.left > (LEFT_BY_NOISE[task] if noisy else LEFT) and e.gain > GAIN
    if batch == n_samples:
        falls |= e.left > SLOW_LEFT and e.gain > SLOW_GAIN
        falls |= e.left * e.gain > STEEP
    if len(e.loss) < FEW_EPOCHS or not falls:
        return None
    evidence = (
        f"training ended after {e.mlp.n_steps_} steps in {len(e.loss)} epochs while the loss was "
        f"still falling (by {e.gain:.0%} in the last tenth of the epochs)"
    )
    params, cure = (
        {"max_iter": -(-FEW_STEPS * len(e.loss) // e.mlp.n_steps_)},
        "train for more epochs",
    )
    for size in SMALLER_BATCHES:
        if size < batch and e.mlp.max_iter_ * -(-n_samples // size) >= FEW_STEPS:
            params, cure = {"batch_size": size}, "use smaller batches"
            break
    return None, evidence, "medium" if e.left > 0.3 else "low", params, cure


def underfitting(e: Evidence) -> Result:
    """Detect a loss that stays high because a parameter limits the network."""
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
    return None, evidence, severity, params, "relax the settings that limit the network"


def overfitting(e: Evidence) -> Result:
    """Detect a loss on new samples far above the training loss (Prechelt 1998)."""
    if not e.constant_loss:
        return None
    scores = e.mlp.validation_scores_
    evidence, new = None, e.given_loss
    if np.isnan(new) and not e.mlp.early_stopping:
        new = getattr(e.mlp, "oof_loss_", np.nan)
    if scores is not None and e.mlp.scoring == "loss" and not e.mlp.early_stopping:
        curve = -np.asarray(scores, float)
        best, end = float(np.min(curve)), float(np.mean(curve[-max(1, len(curve) // 10) :]))
        new = end if np.isnan(new) else new
        task = e.mlp._loss.task
        if end > RISEN[task] * best and end - best > RISEN_BY[task] * abs(e.constant_loss):
            evidence = (
                f"the validation loss was {number(best)} after epoch {int(np.argmin(curve)) + 1} "
                f"but {number(end)} at the end"
            )
    bound = GAP_OF_FREE if e.alpha < 0.1 * e.auto.alpha else GAP[e.mlp._loss.task]
    gap = (new - e.kept_loss) / abs(e.constant_loss)
    if evidence is None and gap > bound and new > 3 * e.kept_loss:
        evidence = (
            f"the loss was {number(e.kept_loss)} in training but is {number(new)} on samples that "
            "were not used for it"
        )
    if evidence is None:
        return None
    params: dict[str, Any] = {"alpha": float(number(max(10 * e.alpha, 1e-2)))}
    cure = "use a stronger penalty on the weights"
    if not e.mlp.early_stopping:
        params = {"early_stopping": True} | params
        if e.mlp.n_iter_no_change > MOST_PATIENCE:
            params["n_iter_no_change"] = 10
        cure = "use early stopping and a stronger penalty on the weights"
    return None, evidence, "medium", params, cure


def unused_epochs(e: Evidence) -> Result:
    """Detect training that went on long after the validation score stopped improving."""
    scores, n_epochs = e.mlp.validation_scores_, len(e.loss)
    if scores is None or e.diverged or not np.isfinite(scores).all():
        return None
    scores = np.asarray(scores, float)
    enough = np.max(scores) - NEGLIGIBLE * (np.max(scores) - scores[0])
    used = int(np.argmax(scores >= enough)) + 1
    late = used <= USED * n_epochs and n_epochs - used >= UNUSED_EPOCHS
    if not late or (e.mlp.early_stopping and e.mlp.n_iter_no_change <= MOST_PATIENCE):
        return None
    evidence = (
        f"{1 - NEGLIGIBLE:.0%} of the improvement of the validation score was reached after "
        f"{used} of {n_epochs} epochs"
    )
    params = {"max_iter": 3 * used, "n_iter_no_change": 10}
    cure = "allow fewer epochs, and wait for fewer without improvement"
    if not e.mlp.early_stopping:
        params, cure = {"early_stopping": True} | params, "use early stopping and fewer epochs"
    if "overfitting" in e.kinds:
        # With a stronger penalty, another number of epochs is needed.
        del params["max_iter"]
    return None, evidence, "low", params, cure


def stopped_early(e: Evidence) -> Result:
    """Detect training that ended while the loss was still falling."""
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
            f" while the loss was falling by {e.fall:.1%} of the constant-prediction loss per epoch"
        )
    params: dict[str, Any] = {}
    if by_epochs:
        params["max_iter"] = int(max(100, 5 * e.mlp.max_iter_))
    if impatient:
        params |= {"tol": 1e-4, "n_iter_no_change": 10, "max_iter": max(100, e.mlp.max_iter_)}
    return None, evidence, e.severity, params, "train for longer"
