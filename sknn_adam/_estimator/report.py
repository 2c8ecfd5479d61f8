"""Warnings and errors for failed training."""

from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sknn_adam._estimator.typing import MLP
from sknn_adam._training.plan import Plan
from sknn_adam._training.run import Run
from sknn_adam._utils.warnings import warn, warn_if_split

__all__ = ["report"]


def report(estimator: MLP, plan: Plan, run: Run, X_val: Any = None) -> None:
    """Warn if training has clearly failed; warn if cross-validation has split X_val."""
    if X_val is not None:
        warn_if_split(X_val)
    reason = ""
    if run.contradiction is not None:
        reason = (
            ": the loss of the predictions is {:.3g}, but was {:.3g} in training, because of "
            "extreme values in X or because the last step was too large"
        ).format(*run.contradiction)
    if run.stop_reason == "diverged":
        cure = "lower learning_rate, or set gradient_clip=1.0"
        epoch = run.clock.epoch + (run.contradiction is None)
        message = (
            f"Training diverged in epoch {epoch} with {plan.optimizer!r}, "
            f"batch_size={plan.batch_size}{reason}. Scale X, or "
            f"{'increase alpha' if plan.optimizer.full_batch else cure}."
        )
        kept = "best finite weights" if run.in_fit else "weights before this call"
        warn(f"{message} The {kept} were kept.", ConvergenceWarning)
    elif lost := np.sum(run.lost):
        text = (
            f"{lost} of {run.network.members} members diverged with {plan.optimizer!r}, "
            f"batch_size={plan.batch_size}{reason}. Scale X, lower learning_rate, or set "
            "gradient_clip=1.0."
        )
        kept = "best finite weights" if run.in_fit else "weights before this call"
        warn(f"{text} Their {kept} were restored.", ConvergenceWarning)
    elif plan.early_stopping and not np.isfinite(run.best_score).any():
        if run.clock.epoch == run.first_epoch:
            # No epoch was needed: the initial weights are a minimum.
            return
        warn(
            f"The validation score scoring={estimator.scoring!r} was not finite in any epoch, so "
            "the last weights were kept. Provide more validation samples or another scoring.",
            ConvergenceWarning,
        )
    elif run.stop_reason is not None and (found := _evident_fault(plan, run)):
        fault, text = found
        warn(
            f"Training learned nothing: {text}. Call sknn_adam.inspection.diagnose(estimator) for "
            "advice.",
            ConvergenceWarning,
            key=fault,
        )


def _evident_fault(plan: Plan, run: Run) -> tuple[str, str] | None:
    """Name and describe an obvious fault; return None if training was too short to find one."""
    history, table, layers = run.history, run.history.table, run.history.layers
    constant_loss = table.get("constant_loss", 0.0)
    if not (constant_loss > 0.01 and len(history) >= 10 and run.clock.step >= 100 and len(layers)):
        return None
    loss = history["loss"][-1]
    if loss > 0.98 * constant_loss:
        # The comparison is without the penalty, which is computed only if the total is this large.
        weights = run.network.theta[: run.network.n_weights]
        loss -= plan.penalty(weights) / (run.network.members or 1)
    if not loss > 0.98 * constant_loss:
        return None
    dead, gradients = layers["dead"][-1][:-1], layers["loss_gradient_norm"][0]
    if table["batch_size"] >= 32 and 1.0 in dead:
        return "dead", f"all units of hidden layer {dead.index(1.0) + 1} are dead"
    if len(gradients) > 2 and gradients[0] < 1e-8 * layers["weight_norm"][0][0]:
        return "vanishing", "the gradient vanishes before it reaches the first layer"
    if loss > 100 * constant_loss:
        times = loss / constant_loss
        return "large loss", f"the loss is {times:.0f} times that of a constant prediction"
    return None
