"""Configurations of networks that are candidates for the portfolio of `make_tabular_ensemble`.

The first ones change one thing about the base; the others are drawn at random.
"""

import numpy as np

from sknn_adam.tabular.recipes import RECIPES

# The recipe "default". The folds are those of the study.
BASE = {key: value for key, value in RECIPES["default"].items() if key != "cv"}
LAYER = {"normalization": "layer"}
# Two keys are no parameters of the network: "bins" is False without PiecewiseLinearEncoder, and
# "folds" has the changes for the network of each fold.
NO_BINS = {"bins": False}
CHANGES = {
    "base": {},
    "layer normalization": LAYER,
    "beta_2 0.999": {"optimizer__beta_2": 0.999},
    "no bins": NO_BINS,
    "layer normalization, dropout": {**LAYER, "dropout": 0.1},
    "no bins, silu, three layers": {
        **NO_BINS,
        "hidden_layer_sizes": (128, 128, 128),
        "activation": "silu",
        "dropout": 0.1,
    },
    "no scales": {"learn_scales": False},
    "no weight decay": {"optimizer__weight_decay": 0.0},
    "dropout": {"dropout": 0.2},
    "mish": {"activation": "mish"},
    "no bins, layer normalization, mish": {**NO_BINS, **LAYER, "activation": "mish"},
    "batches of 32": {"batch_size": 32},
    "all epochs": {"n_iter_no_change": np.inf},
    "label smoothing": {"loss__label_smoothing": 0.03},
    "averaging": {"averaging": "ema"},
    "batch normalization": {"normalization": "batch"},
    "one layer": {"hidden_layer_sizes": (256,)},
    "narrow": {"hidden_layer_sizes": (64, 64)},
    "weight decay 0.5": {"optimizer__weight_decay": 0.5},
    "learning rate 0.0015": {"optimizer__learning_rate": 0.0015},
    "learning rate 0.006": {"optimizer__learning_rate": 0.006},
    "L1 penalty": {"alpha": "auto", "l1_ratio": 1.0},
    "batches of 128": {"batch_size": 128},
    "30 epochs": {"max_iter": 30},
    "no scales, silu": {"learn_scales": False, "activation": "silu"},
    "layer normalization, silu": {**LAYER, "activation": "silu"},
    "batches of 32, dropout": {"batch_size": 32, "dropout": 0.2},
    "no bins, no scales": {**NO_BINS, "learn_scales": False},
    "another network for each fold": {
        "folds": [
            {},
            {"optimizer__learning_rate": 0.006},
            {"dropout": 0.15},
            {"optimizer__learning_rate": 0.0015, "optimizer__weight_decay": 0.4},
        ]
    },
    "four networks for each fold": {"n_members": 4},
}
SIZES = (
    *((128, 128), (256,), (512,), (128, 128, 128)),
    *((256, 128), (64, 64), (64, 64, 64), (128,)),
)
N_RANDOM, SEED = 34, 20261128


def configurations() -> dict[str, dict]:
    """Return the changes of all configurations to the base, keyed by name."""
    rng = np.random.default_rng(SEED)
    return CHANGES | {f"random {i}": _draw(rng) for i in range(N_RANDOM)}


def _draw(rng):
    changed = {
        "hidden_layer_sizes": SIZES[rng.integers(len(SIZES))],
        "activation": str(rng.choice(["relu", "silu", "mish", "gelu"], p=[0.4, 0.25, 0.25, 0.1])),
        "dropout": 0.0 if rng.random() < 0.35 else round(float(rng.uniform(0.05, 0.5)), 2),
        "optimizer__learning_rate": round(_log_uniform(rng, 7e-4, 1e-2), 5),
    }
    decay = rng.random() < 0.7
    changed["optimizer__weight_decay"] = round(_log_uniform(rng, 1e-2, 1), 3) if decay else 0.0
    if rng.random() < 0.3:
        changed["optimizer__beta_2"] = 0.999
    if rng.random() < 0.2:
        changed["learn_scales"] = False
    changed["batch_size"] = int(rng.choice([32, 64, 128], p=[0.25, 0.5, 0.25]))
    if rng.random() < 0.4:
        changed["bins"] = False
    if rng.random() < 0.25:
        changed["loss__label_smoothing"] = round(float(rng.uniform(0.01, 0.08)), 2)
    drawn = rng.random()
    if drawn < 0.24:
        changed["normalization"] = "batch" if drawn < 0.12 else "layer"
    if rng.random() < 0.2:
        changed["averaging"] = "ema"
    if rng.random() < 0.2:
        changed["initializer"] = "he_normal"
    if rng.random() < 0.2:
        changed["alpha"] = "auto"
    return changed


def _log_uniform(rng, low, high):
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
