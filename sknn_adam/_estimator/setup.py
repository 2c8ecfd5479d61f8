"""From an estimator's parameters to components, a plan and a network."""

from typing import Any

import numpy as np
from sklearn.metrics import get_scorer_names

from sknn_adam._component.registry import did_you_mean
from sknn_adam._nn.network import Network, build
from sknn_adam._training.plan import Plan
from sknn_adam._utils.sklearn_compat import check_parameters
from sknn_adam._utils.validation import FRACTION, parse_sizes, per_layer
from sknn_adam.activations import ACTIVATIONS
from sknn_adam.optimizers import OPTIMIZERS, Optimizer

__all__ = [
    "RENAMED",
    "check_parts",
    "check_unchanged",
    "choose_sizes",
    "describe",
    "has_partial_fit",
    "new_network",
]

RATE, LAYERS = "'optimizer__learning_rate'", "'hidden_layer_sizes'"
# Parameters that have another name here: first those of scikit-learn's networks, then names that
# are common in Keras, PyTorch, skorch and gradient boosting.
RENAMED: dict[str, str] = {
    "solver": "'optimizer'",
    "learning_rate_init": RATE,
    "learning_rate": f"{RATE} (a number) and 'schedule' (its course)",
    "power_t": "'schedule'",
    "momentum": "'optimizer__momentum'",
    "nesterovs_momentum": "'optimizer__nesterov'",
    "beta_1": "'optimizer__beta_1'",
    "beta_2": "'optimizer__beta_2'",
    "epsilon": "'optimizer__epsilon'",
    "max_fun": "'max_iter'",
    **dict.fromkeys(("epochs", "n_epochs", "max_epochs", "num_epochs"), "'max_iter'"),
    **dict.fromkeys(("lr", "eta"), RATE),
    **dict.fromkeys(("lr_scheduler", "scheduler", "lr_schedule"), "'schedule'"),
    **dict.fromkeys(("hidden_units", "hidden_layers", "hidden_size", "hidden_sizes"), LAYERS),
    **dict.fromkeys(("hidden_dim", "hidden_dims", "layers", "layer_sizes", "units"), LAYERS),
    **dict.fromkeys(("activation_function", "activations"), "'activation'"),
    **dict.fromkeys(("kernel_initializer", "weight_init", "init"), "'initializer'"),
    **dict.fromkeys(("dropout_rate", "dropout_p", "p_dropout"), "'dropout'"),
    **dict.fromkeys(("batch_norm", "batch_normalization"), "'normalization' (set it to \"batch\")"),
    **dict.fromkeys(("layer_norm", "layer_normalization"), "'normalization' (set it to \"layer\")"),
    **dict.fromkeys(("criterion", "loss_fn", "loss_function", "objective"), "'loss'"),
    **dict.fromkeys(("metric", "metrics", "eval_metric"), "'scoring'"),
    **dict.fromkeys(("weight_decay", "l2", "reg_lambda"), "'alpha'"),
    **dict.fromkeys(("validation_split", "val_split", "val_fraction"), "'validation_fraction'"),
    **dict.fromkeys(("patience", "early_stopping_rounds"), "'n_iter_no_change'"),
    **dict.fromkeys(("clipnorm", "clip_norm", "max_grad_norm", "grad_clip"), "'gradient_clip'"),
    **dict.fromkeys(("n_estimators", "n_networks", "n_ensemble"), "'n_members'"),
    **dict.fromkeys(("seed", "random_seed"), "'random_state'"),
    "min_delta": "'tol'",
    "minibatch_size": "'batch_size'",
    "eps": "'optimizer__epsilon'",
    "betas": "'optimizer__beta_1' and 'optimizer__beta_2'",
    "nesterov": "'optimizer__nesterov'",
}
SMALL_TABLE = 2**13  # elements: below this, float64 costs next to nothing
FEW_SAMPLES, SMALL_BATCH = 128, 32


def has_partial_fit(estimator: Any) -> bool:
    """Whether the optimizer can train on parts of the data."""
    optimizer = OPTIMIZERS.make(estimator.optimizer)
    if optimizer.full_batch:
        raise AttributeError(
            f"{type(optimizer).__name__} minimizes over all rows and has no partial_fit. Use fit, "
            "or another optimizer."
        )
    return True


def check_parts(estimator: Any) -> tuple[dict[str, Any], Plan]:
    """Return all components, validated, and what training is to do with them."""
    check_parameters(estimator)
    scoring, known = estimator.scoring, ("loss", *get_scorer_names())
    if isinstance(scoring, str) and scoring not in known:
        raise ValueError(
            f"scoring={scoring!r} names no score.{did_you_mean(scoring, known)} "
            "Allowed are 'loss', the names in sklearn.metrics.get_scorer_names(), a callable, None."
        )
    parts = {
        name: table.resolve(getattr(estimator, name))
        for name, table in estimator._tables.items()
        if name != "activation"  # may differ from layer to layer
    }
    n_hidden = len(parse_sizes(estimator.hidden_layer_sizes))
    values = per_layer("activation", estimator.activation, n_hidden)
    parts["activations"] = [ACTIVATIONS.resolve(value) for value in values]
    parts["dropout"] = _dropout_rates(estimator, n_hidden, parts["optimizer"])
    if estimator.n_members > 1 and parts["optimizer"].full_batch:
        raise ValueError(
            f"{type(parts['optimizer']).__name__} minimizes the objective of one network: set "
            f"n_members=1, or take another optimizer. Got n_members={estimator.n_members}."
        )
    plan = Plan(
        loss=parts["loss"],
        optimizer=parts["optimizer"],
        schedule=parts["schedule"],
        clip=parts["gradient_clip"],
        max_iter=estimator.max_iter,
        shuffle=estimator.shuffle,
        tol=float(estimator.tol),
        n_iter_no_change=estimator.n_iter_no_change,
        averaging=parts["averaging"],
        early_stopping=estimator.early_stopping,
        record=estimator.record,
    )
    return parts, plan


def _dropout_rates(estimator: Any, n_hidden: int, optimizer: Optimizer) -> list[float]:
    given = estimator.dropout
    rates = per_layer("dropout", given, n_hidden)
    if not all(FRACTION.is_satisfied_by(rate) for rate in rates):
        raise ValueError(
            f"The 'dropout' parameter of {type(estimator).__name__} must be a float in the range "
            f"[0.0, 1.0), or one per hidden layer. Got {given!r} instead."
        )
    if any(rates) and optimizer.full_batch:
        raise ValueError(
            f"{type(optimizer).__name__} needs the same objective in every evaluation: set "
            f"dropout=0.0. Got dropout={given!r}."
        )
    return [float(rate) for rate in rates]


def choose_sizes(estimator: Any, plan: Plan, n_rows: int) -> dict[str, Any]:
    """Return what of the plan follows from the number of rows: batch size, alpha, l1_ratio."""
    full, batch = plan.optimizer.full_batch, estimator.batch_size
    regress = plan.loss.task == "regression"
    if batch == "auto":
        # By the study of small tables: one step per epoch is too few for classes, not for numbers.
        few = n_rows if regress else min(n_rows, SMALL_BATCH)
        batch = few if n_rows < FEW_SAMPLES else min(256, max(64, n_rows // 128))
        batch = n_rows if full else batch
    elif full and batch < n_rows:
        raise ValueError(
            f"{type(plan.optimizer).__name__} needs all {n_rows} rows in every iteration: set "
            f"batch_size='auto'. Got batch_size={batch}."
        )
    # By the study of the defaults: numbers want a smooth penalty, classes a sparse and weaker one.
    alpha, share = estimator.alpha, estimator.l1_ratio
    if alpha == "auto":
        alpha = min(0.0015, 10 / n_rows) if regress else 1 / max(500, n_rows)
    if share == "auto":
        share = 0.0 if full or regress else 0.15  # line searches need it smooth
    return {"batch_size": int(batch), "alpha": float(alpha), "l1_ratio": float(share)}


def _choose_dtype(estimator: Any, X: Any, optimizer: Optimizer) -> str:
    if estimator.dtype != "auto":
        return estimator.dtype
    if optimizer.full_batch:  # line searches compare values that differ in the last digits
        return "float64"
    small = X.shape[0] * X.shape[1] < SMALL_TABLE
    return "float64" if small and X.dtype != np.float32 else "float32"


def new_network(
    estimator: Any, parts: dict[str, Any], X: Any, n_raw: int, rng: np.random.Generator
) -> Network:
    """Return a network for X with its first weights."""
    network = build(
        X.shape[1],
        parse_sizes(estimator.hidden_layer_sizes),
        n_raw,
        parts["activations"],
        normalization=parts["normalization"],
        dropout=parts["dropout"],
        dtype=_choose_dtype(estimator, X, parts["optimizer"]),
        members=estimator.n_members if estimator.n_members > 1 else None,
    )
    network.initialize(parts["initializer"], parts["bias_initializer"], rng)
    return network


def describe(estimator: Any, parts: dict[str, Any]) -> dict[str, str]:
    """Return what must stay the same for training to go on."""
    optimizer = parts["optimizer"]
    return {
        "hidden_layer_sizes": repr(parse_sizes(estimator.hidden_layer_sizes)),
        "activation": repr(parts["activations"]),
        "normalization": repr(parts["normalization"]),
        "dropout": repr(parts["dropout"]),
        "loss": repr(parts["loss"]),
        "averaging": repr(parts["averaging"]),
        "optimizer": f"{type(optimizer).__name__} with state {optimizer.slots}",
        "schedule": parts["schedule"].kind,
        "n_members": str(estimator.n_members),
    }


def check_unchanged(estimator: Any, parts: dict[str, Any], network: Network) -> None:
    """Raise if training cannot go on with the estimator's present parameters."""
    now, before = describe(estimator, parts), dict(estimator._structure)
    if estimator.dtype != "auto":
        now["dtype"], before["dtype"] = estimator.dtype, network.dtype.name
    for name, value in now.items():
        if value != before.get(name, value):
            raise ValueError(
                f"Training cannot go on with another {name}: it was {before[name]} and is now "
                f"{value}. Set it back, or start anew with warm_start=False or a clone."
            )
