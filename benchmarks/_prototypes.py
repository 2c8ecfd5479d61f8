"""Parts of RealMLP's recipe that the package does not have, for the ablation only.

Holzmueller, D., Grinsztajn, L., Steinwart, I. (2024). Better by default: strong pre-tuned MLPs and
boosted trees on tabular data. NeurIPS.
"""

from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import numpy as np

from sknn_adam import _building, training
from sknn_adam.initializers import Initializer
from sknn_adam.layers import Dropout, Layer
from sknn_adam.network import Network, build

RATE_OF_SCALES = 6.0  # times the learning rate


class ZeroLast(Initializer):
    """He's normal weights, and zeros for a layer of few outputs: the last one."""

    def __call__(self, fan_in, fan_out, rng):
        scale = np.sqrt(2 / fan_in) if fan_out > 26 else 0.0
        return scale * rng.normal(size=(fan_in, fan_out))


class Scales(Layer):
    """Multiplies every input by a number that is learned, 1 at the start."""

    def __init__(self, fan_in):
        self.parameters = (("p", (fan_in,), "norm"),)

    def start(self, initializer, bias_initializer, rng):
        """Start as the identity."""
        self.p[...] = 0

    def forward(self, x, ws):
        """Return x by the scales."""
        ws["x"] = x
        return x * (1 + RATE_OF_SCALES * self.p[..., None, :])

    def backward(self, g, ws, need_input=True):
        """Write the gradient of the scales; there is nothing before them."""
        self.grad_p[...] = RATE_OF_SCALES * (g * ws["x"]).sum(axis=-2)


def _with_scales(n_features, *args, **options):
    plain = build(n_features, *args, **options)
    return Network([Scales(n_features), *plain.layers], plain.dtype, plain.members)


def _with_zeros(*args, **options):
    network = build(*args, **options)
    network.layers[-1].initializer = "zeros"  # what "auto" stands for there
    return network


def _flat_cosine(progress):
    """Return 1 up to half of the training, then half a cosine down to 0."""
    return 1.0 if progress < 0.5 else (1 + np.cos(2 * np.pi * (progress - 0.5))) / 2


def _scheduled(what):
    """Return an epoch in which dropout or weight decay follow their schedule."""
    epoch = training._epoch

    def run_epoch(run, plan, data, interrupted):
        share = _flat_cosine((run.clock.epoch - run.first_epoch) / plan.max_iter)
        if what == "dropout":
            run.kernels.forget()  # the calls that were kept hold the rate
            for layer in run.network.layers:
                if isinstance(layer, Dropout):
                    vars(layer).update(vars(Dropout(0.1 * share)))
            return epoch(run, plan, data, interrupted)
        full = plan.optimizer.weight_decay
        plan.optimizer.weight_decay = full * share
        try:
            return epoch(run, plan, data, interrupted)
        finally:
            plan.optimizer.weight_decay = full

    return run_epoch


@contextmanager
def prototype(name):
    """Patch the package with what this candidate needs, if it needs anything."""
    with ExitStack() as stack:
        if "input scales" in name:
            stack.enter_context(patch.object(_building, "build", _with_scales))
        if "auto, last layer from zero" in name:
            stack.enter_context(patch.object(_building, "build", _with_zeros))
        for what in ("dropout", "weight decay"):
            if f"schedule of {what}" in name:
                stack.enter_context(patch.object(training, "_epoch", _scheduled(what)))
        yield
