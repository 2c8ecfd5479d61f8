"""Network parameters of make_tabular_pipeline."""

from math import inf
from typing import Any

__all__ = []

NETWORK = {
    "hidden_layer_sizes": (128, 128),
    "optimizer__learning_rate": 0.003,
    "schedule": "cosine",
    "averaging": None,
    "alpha": 0.0,
    "batch_size": 32,
    # Train for all epochs: the schedule reaches learning rate 0 at max_iter.
    "n_iter_no_change": inf,
}


# Chosen on the training sets of real tables, see benchmarks/results/tabular_choice.
RECIPES: dict[str, dict[str, Any]] = {
    "default": {**NETWORK, "max_iter": 60, "cv": 8, "early_stopping": True},
    "fast": {**NETWORK, "max_iter": 15, "n_members": 6},
    "best": {**NETWORK, "max_iter": 60, "cv": 16, "early_stopping": True},
}
