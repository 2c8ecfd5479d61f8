"""Network parameters of make_tabular_pipeline."""

from math import inf
from typing import Any

__all__ = []

NETWORK = {
    "hidden_layer_sizes": (128, 128),
    "learn_scales": True,
    "optimizer": "adamw",
    "optimizer__learning_rate": 0.003,
    "optimizer__beta_2": 0.95,
    "optimizer__weight_decay": 0.2,
    "schedule": "cosine",
    "averaging": None,
    "alpha": 0.0,
}

RECIPES: dict[str, dict[str, Any]] = {
    "default": {**NETWORK, "max_iter": "auto", "cv": 8, "early_stopping": True},
    # All epochs are run, so that the learning rate reaches 0.
    "fast": {
        **NETWORK,
        "max_iter": "auto",
        "n_iter_no_change": inf,
        "n_members": 4,
    },
}
