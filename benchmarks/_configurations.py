"""Configurations of networks that are candidates for the portfolio of `make_tabular_ensemble`.

The first ones change one thing about the base; the others are drawn at random.
"""

import numpy as np

BASE = {
    "hidden_layer_sizes": (128, 128),
    "optimizer": "adam",
    "optimizer__learning_rate": 0.003,
    "schedule": "cosine",
    "averaging": None,
    "alpha": 0.0,
    "batch_size": 64,
    "max_iter": 60,
    "n_iter_no_change": 10,
    "early_stopping": True,
}
# "bins" is no parameter of the network: False leaves out PiecewiseLinearEncoder.
CHANGES = {
    "base": {},
    "all epochs": {"n_iter_no_change": np.inf},
    "all epochs, batches of 32": {"n_iter_no_change": np.inf, "batch_size": 32},
    "patience of 10, batches of 32": {"batch_size": 32},
    "patience of 20, batches of 32": {"n_iter_no_change": 20, "batch_size": 32},
    "all epochs, batches of 128": {"n_iter_no_change": np.inf, "batch_size": 128},
    "30 epochs, batches of 32": {"n_iter_no_change": np.inf, "max_iter": 30, "batch_size": 32},
    "20 epochs, batches of 32": {"n_iter_no_change": np.inf, "max_iter": 20, "batch_size": 32},
    "no bins": {"bins": False},
    "no bins, mish": {"bins": False, "activation": "mish", "optimizer__learning_rate": 0.005},
    "dropout": {"dropout": 0.25},
    "one layer": {"hidden_layer_sizes": (256,)},
    "narrow": {"hidden_layer_sizes": (64, 64)},
    "silu": {"activation": "silu"},
    "mish": {"activation": "mish", "dropout": 0.1},
    "weight decay": {"optimizer": "adamw", "optimizer__weight_decay": 0.1},
    "learning rate 0.001": {"optimizer__learning_rate": 0.001},
    "learning rate 0.006": {"optimizer__learning_rate": 0.006},
    "batch normalization": {"normalization": "batch"},
    "layer normalization": {"normalization": "layer"},
    "averaging": {"averaging": "ema"},
    "label smoothing": {"loss__label_smoothing": 0.03},
    "beta_2": {"optimizer__beta_2": 0.95},
    "penalty": {"alpha": "auto"},
    "L1 penalty": {"alpha": "auto", "l1_ratio": 1.0},
    "deep": {
        "bins": False,
        "hidden_layer_sizes": (128, 128, 128),
        "activation": "silu",
        "dropout": 0.1,
        "optimizer__learning_rate": 0.001,
    },
    "wide": {
        "bins": False,
        "hidden_layer_sizes": (512,),
        "dropout": 0.3,
        "optimizer": "adamw",
        "optimizer__learning_rate": 0.001,
        "optimizer__weight_decay": 0.01,
        "n_iter_no_change": np.inf,
    },
    "mish, weight decay": {
        "bins": False,
        "hidden_layer_sizes": (256, 128),
        "activation": "mish",
        "dropout": 0.15,
        "optimizer": "adamw",
        "optimizer__weight_decay": 0.03,
        "batch_size": 128,
    },
}
SIZES = (
    *((128, 128), (256,), (512,), (128, 128, 128)),
    *((256, 128), (64, 64), (64, 64, 64), (128,)),
)
N_RANDOM, SEED = 36, 20261128


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
    if rng.random() < 0.5:
        decay = round(_log_uniform(rng, 3e-3, 0.5), 4)
        changed |= {"optimizer": "adamw", "optimizer__weight_decay": decay}
    if rng.random() < 0.3:
        changed["optimizer__beta_2"] = 0.95
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
