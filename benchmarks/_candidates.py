"""Candidates for the ablation of the recipes, and prototypes of features the package lacks.

"RealMLP" refers to Holzmueller, D., Grinsztajn, L., Steinwart, I. (2024). Better by default:
strong pre-tuned MLPs and boosted trees on tabular data. NeurIPS.
"""

from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import numpy as np
from sklearn.preprocessing import SplineTransformer, StandardScaler

from sknn_adam._estimator import parameters
from sknn_adam._nn.layers import Dropout, Layer
from sknn_adam._nn.network import Network, build
from sknn_adam._training import loop as training

SPLINES = SplineTransformer(degree=1, n_knots=17, knots="quantile", extrapolation="constant")
COLUMNS = {
    "StandardScaler for SmoothClipScaler": {"scale": StandardScaler()},
    "no bins": {"bins": "passthrough"},
    "SplineTransformer for PiecewiseLinearEncoder": {"bins": SPLINES},
    "5 rows a bin": {"bins__rows_per_bin": 5},
    "20 rows a bin": {"bins__rows_per_bin": 20},
}
MEMBERS = {
    "one network": {"cv": None},
    "members without folds": {"early_stopping": False, "cv": None, "n_members": 8},
}
ADAM = {"optimizer": "adam", "optimizer__learning_rate": 0.003}
ADAMW = {"optimizer": "adamw", "optimizer__learning_rate": 0.003}
LATE_AVERAGE = {"schedule": "constant", "averaging": "ema"}
REALMLP = {
    "RealMLP: beta_2=0.95": {"optimizer__beta_2": 0.95},
    "RealMLP: coslog4": {"schedule": "coslog4"},
    "RealMLP: last layer from zero": {},
    "RealMLP: input scales": {},
}
SMOOTHED = {"RealMLP: label smoothing": {"loss__label_smoothing": 0.1}}

# A larger, earlier recipe, and the changes to it that led to the current one.
FULL = {"initializer": "he_normal", "dropout": 0.1, "averaging": "ema", **ADAMW}
PLAIN = {"dropout": 0.0, "averaging": None, **ADAM}
OF_FULL = {
    "no dropout": {"dropout": 0.0},
    "no averaging": {"averaging": None},
    "constant learning rate": {"schedule": "constant"},
    "no weight decay": {"optimizer__weight_decay": 0.0},
    "RealMLP: schedule of dropout": {},
    "RealMLP: schedule of weight decay": {},
    "plain": PLAIN,
    "plain, constant learning rate": {**PLAIN, "schedule": "constant"},
    "plain, averaging for the cosine": {**PLAIN, **LATE_AVERAGE},
    "plain, averaging for the cosine, auto": {**PLAIN, **LATE_AVERAGE, "initializer": "auto"},
    "plain, last layer from zero": PLAIN,
    "plain, auto": {**PLAIN, "initializer": "auto"},
    "plain, auto, last layer from zero": {**PLAIN, "initializer": "auto"},
    "plain, input scales": PLAIN,
    "plain, last layer from zero, input scales": PLAIN,
    "plain, dropout": {**PLAIN, "dropout": 0.1},
}
OF_RECIPE = {
    "He's first weights": {"initializer": "he_normal"},
    "dropout": {"dropout": 0.1},
    "averaging": {"averaging": "ema"},
    "constant learning rate": {"schedule": "constant"},
    "averaging for the cosine": LATE_AVERAGE,
    "weight decay": ADAMW,
    "penalty": {"alpha": "auto"},
}


def candidates(kind, base):
    """Return the pipeline parameters of each candidate, keyed by its name."""
    training = {**MEMBERS, **(OF_FULL if base == "full" else OF_RECIPE), **REALMLP}
    training |= SMOOTHED if kind == "classifier" else {}
    base_mlp = FULL if base == "full" else {}
    column_params = {"recipe": {}} | {
        name: {f"columns__numbers__{key}": value for key, value in changed.items()}
        for name, changed in COLUMNS.items()
    }
    base_params = {f"mlp{kind}__{key}": value for key, value in base_mlp.items()}
    mlp_params = {
        name: {f"mlp{kind}__{key}": value for key, value in changed.items()}
        for name, changed in training.items()
    }
    return {name: base_params | changed for name, changed in (column_params | mlp_params).items()}


# The input scales learn at this multiple of the learning rate.
RATE_OF_SCALES = 6.0


class Scales(Layer):
    """Learned factor for each input, initially 1."""

    def __init__(self, fan_in):
        self.parameters = (("p", (fan_in,), "norm"),)

    def start(self, initializer, bias_initializer, rng):
        """Initialize the layer as the identity."""
        self.p[...] = 0

    def forward(self, x, ws):
        """Return the scaled input."""
        ws["x"] = x
        return x * (1 + RATE_OF_SCALES * self.p[..., None, :])

    def backward(self, g, ws, need_input=True):
        """Write the gradient of the scales. This is the first layer, so x needs no gradient."""
        self.grad_p[...] = RATE_OF_SCALES * (g * ws["x"]).sum(axis=-2)


def _changed_build(scales, zeros):
    def built(n_features, *args, **options):
        network = build(n_features, *args, **options)
        if zeros:
            # The parameters are already 0 before their initialization.
            network.layers[-1].start = lambda *_: None
        if not scales:
            return network
        return Network([Scales(n_features), *network.layers], network.dtype, network.members)

    return built


def _flat_cosine(progress):
    """Return 1 during the first half of training, then a cosine decay to 0."""
    return 1.0 if progress < 0.5 else (1 + np.cos(2 * np.pi * (progress - 0.5))) / 2


def _scheduled(regularizer):
    """Return an epoch function in which dropout or weight decay follows a schedule."""
    epoch = training._epoch

    def run_epoch(run, plan, data, interrupted):
        fraction = _flat_cosine((run.clock.epoch - run.first_epoch) / plan.max_iter)
        if regularizer == "dropout":
            # Recorded steps contain the dropout rate of earlier epochs.
            run.network.kernels.forget()
            for layer in run.network.layers:
                if isinstance(layer, Dropout):
                    vars(layer).update(vars(Dropout(0.1 * fraction)))
            return epoch(run, plan, data, interrupted)
        full = plan.optimizer.weight_decay
        plan.optimizer.weight_decay = full * fraction
        try:
            return epoch(run, plan, data, interrupted)
        finally:
            plan.optimizer.weight_decay = full

    return run_epoch


@contextmanager
def prototype(name):
    """Patch the package with the features that a candidate needs."""
    with ExitStack() as stack:
        changed = _changed_build("input scales" in name, "last layer from zero" in name)
        stack.enter_context(patch.object(parameters, "build", changed))
        for regularizer in ("dropout", "weight decay"):
            if f"schedule of {regularizer}" in name:
                stack.enter_context(patch.object(training, "_epoch", _scheduled(regularizer)))
        yield
