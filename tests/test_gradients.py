"""Gradients of complete networks equal central differences of the objective, in float64."""

from copy import deepcopy
from itertools import count

import numpy as np
import pytest
from rows import (
    ACTIVATIONS,
    LOSSES_AND_TARGETS,
    NORMALIZATIONS,
    central_differences,
    distance_to_kinks,
    n_raw,
    smooth_targets,
)

from sknn_adam._nn.layers import Activate, Workspace
from sknn_adam._nn.network import build
from sknn_adam._training.batches import Batch
from sknn_adam._training.loop import Plan, objective
from sknn_adam.activations import Tanh
from sknn_adam.initializers import GlorotNormal, VarianceScaling
from sknn_adam.losses import LogLoss, SquaredError
from sknn_adam.normalization import BatchNorm
from sknn_adam.optimizers import SGD
from sknn_adam.schedules import Constant

N_SAMPLES, N_FEATURES, WIDTHS = 7, 3, (5, 4)
WEIGHTS = np.array([0.0, 2.5, 0.5, 0.0, 1.0, 2.0, 1.0])  # mean 1


def distance_of(network, x):
    """Return the smallest distance between the input of an activation and its kinks."""
    nearest = np.inf
    # A pass in training mode updates running statistics.
    network = deepcopy(network)
    for layer in network.layers:
        if isinstance(layer, Activate):
            nearest = min(nearest, distance_to_kinks(layer.activation, x))
        x = layer.forward(x, Workspace(training=True))
    return nearest


def make(activation, normalization, outputs, widths=WIDTHS, learn_scales=False):
    """Return a network and features at which it is smooth."""
    for seed in count():
        rng = np.random.default_rng(seed)
        network = build(
            N_FEATURES,
            widths,
            outputs,
            [activation] * len(widths),
            normalization=normalization,
            learn_scales=learn_scales,
        )
        network.initialize(GlorotNormal(), VarianceScaling(), rng)
        for block, _, role in network.layout:
            if role != "weight":
                # The initial values of these parameters could hide errors in formulas.
                network.theta[block] += rng.uniform(-0.3, 0.3, block.stop - block.start)
            else:
                # The L1 penalty has a kink at 0.
                weights = network.theta[block]
                weights += np.copysign(0.05, weights)
        if learn_scales:
            # With factors near 0, batch normalization would have large third derivatives.
            network.layers[0].p /= 6
        x = rng.normal(size=(N_SAMPLES, N_FEATURES))
        if distance_of(network, x) > 0.01:
            network.prepare()
            return network, x, rng


def check(network, plan, x, y, weight=None):
    """Compare the full gradient and the gradient of each array."""
    batch = Batch(x, y, weight)
    objective(network, plan, batch)
    gradient = network.grad.copy()
    expected = central_differences(lambda: objective(network, plan, batch), network.theta, h=5e-4)
    size = np.linalg.norm(expected)
    assert size > 1e-3
    assert np.linalg.norm(gradient - expected) < 1e-6 * size
    for block, shape, role in network.layout:
        error = np.linalg.norm(gradient[block] - expected[block])
        # The gradient of an array may be exactly zero, as for a bias before batch normalization.
        scale = max(np.linalg.norm(expected[block]), 1e-4 * size)
        assert error < 1e-6 * scale, f"{role} of shape {shape}"


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("normalization", [pytest.param(None, id="plain"), *NORMALIZATIONS])
def test_gradient_for_every_activation_and_normalization(activation, normalization):
    network, x, _ = make(activation, normalization, 3)
    plan = Plan(LogLoss(), SGD(), Constant(), alpha=0.1)
    check(network, plan, x, np.arange(N_SAMPLES) % 3, WEIGHTS)


@pytest.mark.parametrize(("loss", "target_type"), LOSSES_AND_TARGETS)
@pytest.mark.parametrize("normalization", [None, BatchNorm()], ids=["plain", "normalized"])
@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["unweighted", "weighted"])
def test_gradient_for_every_loss(loss, target_type, normalization, weight):
    network, x, rng = make(Tanh(), normalization, n_raw(loss, target_type))
    y = smooth_targets(loss, target_type, network.forward(x), rng)
    check(network, Plan(loss, SGD(), Constant()), x, y, weight)


@pytest.mark.parametrize("widths", [WIDTHS, ()], ids=["hidden layers", "linear"])
@pytest.mark.parametrize("normalization", [pytest.param(None, id="plain"), *NORMALIZATIONS])
def test_gradient_for_learned_scales(widths, normalization):
    network, x, rng = make(Tanh(), normalization, 2, widths, learn_scales=True)
    plan = Plan(SquaredError(), SGD(), Constant(), alpha=0.7, l1_ratio=0.4)
    check(network, plan, x, rng.normal(size=(N_SAMPLES, 2)), WEIGHTS)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.4, 1.0])
def test_gradient_for_penalties(l1_ratio):
    network, x, rng = make(Tanh(), BatchNorm(), 2)
    plan = Plan(SquaredError(), SGD(), Constant(), alpha=0.7, l1_ratio=l1_ratio)
    check(network, plan, x, rng.normal(size=(N_SAMPLES, 2)), WEIGHTS)


def test_gradient_for_one_sample_with_batch_normalization():
    network, x, rng = make(Tanh(), BatchNorm(), 2)
    batch = Batch(x, rng.normal(size=(N_SAMPLES, 2)))
    objective(network, Plan(SquaredError(), SGD(), Constant()), batch)
    plan = Plan(SquaredError(), SGD(), Constant(), alpha=0.1)
    check(network, plan, x[:1], rng.normal(size=(1, 2)))


def test_gradient_without_hidden_layers():
    rng = np.random.default_rng(0)
    network = build(N_FEATURES, (), 1, [])
    network.initialize(GlorotNormal(), GlorotNormal(), rng)
    network.prepare()
    plan = Plan(LogLoss(), SGD(), Constant(), alpha=0.1)
    check(
        network, plan, rng.normal(size=(N_SAMPLES, N_FEATURES)), np.arange(N_SAMPLES) % 2, WEIGHTS
    )
