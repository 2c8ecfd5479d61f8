"""Names that other libraries use for the parameters of a network."""

__all__ = ["RENAMED"]

RATE, LAYERS = "'optimizer__learning_rate'", "'hidden_layer_sizes'"
# The corresponding parameters here, first for the names of scikit-learn's MLPs, then for names that
# are common in Keras, PyTorch, skorch and gradient boosting.
RENAMED: dict[str, str] = {
    "solver": "'optimizer'",
    "learning_rate_init": RATE,
    "learning_rate": f"{RATE} (a number) and 'schedule' (its change over time)",
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
    "cross_fit": "'cv'",
    "n_folds": "'cv'",
    "on_divergence": (
        "Divergence is a ConvergenceWarning, which "
        'warnings.simplefilter("error", ConvergenceWarning) turns into an error.'
    ),
    "min_delta": "'tol'",
    "minibatch_size": "'batch_size'",
    "eps": "'optimizer__epsilon'",
    "betas": "'optimizer__beta_1' and 'optimizer__beta_2'",
    "nesterov": "'optimizer__nesterov'",
}
