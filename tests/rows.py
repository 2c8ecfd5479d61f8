"""Tables of all components. Adding a row includes a component in all tests of its family.

A row is ``pytest.param(instance, id=...)``. All tests share these instances, because using a
component must not change it. The tables are followed by helpers for the tests of several families.
"""

import json
from numbers import Real
from pathlib import Path

import numpy as np
import pytest

from sknn_adam import (
    activations,
    averaging,
    clipping,
    initializers,
    losses,
    normalization,
    schedules,
)
from sknn_adam import optimizers as opt

OPTIMIZERS = [
    pytest.param(opt.SGD(learning_rate=0.05), id="SGD"),
    pytest.param(opt.SGD(learning_rate=0.02, momentum=0.8), id="SGD-momentum"),
    pytest.param(opt.SGD(learning_rate=0.02, momentum=0.8, nesterov=True), id="SGD-nesterov"),
    pytest.param(opt.RMSprop(learning_rate=0.01), id="RMSprop"),
    pytest.param(opt.RMSprop(learning_rate=0.01, momentum=0.5), id="RMSprop-momentum"),
    pytest.param(opt.RMSprop(learning_rate=0.01, centered=True), id="RMSprop-centered"),
    pytest.param(
        opt.RMSprop(learning_rate=0.01, centered=True, momentum=0.5),
        id="RMSprop-centered-momentum",
    ),
    pytest.param(opt.Lion(learning_rate=0.005), id="Lion"),
    pytest.param(opt.Lion(learning_rate=0.005, weight_decay=0.1), id="Lion-decay"),
    pytest.param(opt.Adagrad(learning_rate=0.1), id="Adagrad"),
    pytest.param(opt.Adadelta(learning_rate=10.0), id="Adadelta"),
    pytest.param(opt.Adam(learning_rate=0.01), id="Adam"),
    pytest.param(opt.AMSGrad(learning_rate=0.01), id="AMSGrad"),
    pytest.param(opt.AdamW(learning_rate=0.01, weight_decay=0.1), id="AdamW"),
    pytest.param(opt.Adamax(learning_rate=0.01), id="Adamax"),
    pytest.param(opt.NAdam(learning_rate=0.01), id="NAdam"),
    pytest.param(opt.RAdam(learning_rate=0.01), id="RAdam"),
    pytest.param(opt.ScheduleFreeAdamW(learning_rate=0.02), id="ScheduleFreeAdamW"),
    pytest.param(
        opt.ScheduleFreeAdamW(learning_rate=0.02, weight_decay=0.1, warmup_steps=2),
        id="ScheduleFreeAdamW-warmup-decay",
    ),
    pytest.param(opt.Prodigy(), id="Prodigy"),
    pytest.param(opt.Prodigy(weight_decay=0.1), id="Prodigy-decay"),
    pytest.param(opt.Muon(learning_rate=0.02), id="Muon"),
    pytest.param(
        opt.Muon(learning_rate=0.02, nesterov=False, weight_decay=0.1), id="Muon-plain-decay"
    ),
]

# Optimizers that minimize a function of all samples instead of taking steps.
MINIMIZERS = [
    pytest.param(opt.LBFGS(), id="LBFGS"),
    pytest.param(opt.LBFGS(history_size=3, max_line_search=30), id="LBFGS-3"),
]

ACTIVATIONS = [
    pytest.param(activations.Identity(), id="Identity"),
    pytest.param(activations.Logistic(), id="Logistic"),
    pytest.param(activations.Tanh(), id="Tanh"),
    pytest.param(activations.ReLU(), id="ReLU"),
    pytest.param(activations.LeakyReLU(), id="LeakyReLU"),
    pytest.param(activations.LeakyReLU(0.3), id="LeakyReLU-0.3"),
    pytest.param(activations.PReLU(), id="PReLU"),
    pytest.param(activations.ELU(), id="ELU"),
    pytest.param(activations.ELU(0.5), id="ELU-0.5"),
    pytest.param(activations.SELU(), id="SELU"),
    pytest.param(activations.GELU(), id="GELU"),
    pytest.param(activations.SiLU(), id="SiLU"),
    pytest.param(activations.Mish(), id="Mish"),
    pytest.param(activations.Softplus(), id="Softplus"),
]

INITIALIZERS = [
    pytest.param(initializers.Constant(0.3), id="Constant"),
    pytest.param(initializers.Zeros(), id="Zeros"),
    pytest.param(initializers.VarianceScaling(), id="VarianceScaling"),
    pytest.param(
        initializers.VarianceScaling(0.5, "out", "uniform"), id="VarianceScaling-out-uniform"
    ),
    pytest.param(
        initializers.VarianceScaling(3.0, "average", "normal"), id="VarianceScaling-average"
    ),
    pytest.param(initializers.GlorotUniform(), id="GlorotUniform"),
    pytest.param(initializers.GlorotNormal(), id="GlorotNormal"),
    pytest.param(initializers.HeUniform(), id="HeUniform"),
    pytest.param(initializers.HeNormal(), id="HeNormal"),
    pytest.param(initializers.LecunUniform(), id="LecunUniform"),
    pytest.param(initializers.LecunNormal(), id="LecunNormal"),
    pytest.param(initializers.RandomNormal(0.1), id="RandomNormal"),
    pytest.param(initializers.TruncatedNormal(0.1), id="TruncatedNormal"),
    pytest.param(initializers.RandomUniform(0.1), id="RandomUniform"),
    pytest.param(initializers.Orthogonal(), id="Orthogonal"),
    pytest.param(initializers.Orthogonal(1.5), id="Orthogonal-1.5"),
    pytest.param(initializers.LSUV(), id="LSUV"),
    pytest.param(initializers.Auto(), id="Auto"),
]

LOSSES = [
    pytest.param(losses.LogLoss(), id="LogLoss"),
    pytest.param(losses.LogLoss(label_smoothing=0.1), id="LogLoss-smoothed"),
    pytest.param(losses.FocalLoss(), id="FocalLoss"),
    pytest.param(losses.FocalLoss(gamma=0.5), id="FocalLoss-0.5"),
    pytest.param(losses.SquaredError(), id="SquaredError"),
    pytest.param(losses.AbsoluteError(), id="AbsoluteError"),
    pytest.param(losses.HuberLoss(), id="HuberLoss"),
    pytest.param(losses.HuberLoss(delta=0.4), id="HuberLoss-0.4"),
    pytest.param(losses.QuantileLoss(), id="QuantileLoss"),
    pytest.param(losses.QuantileLoss(level=0.9), id="QuantileLoss-0.9"),
    pytest.param(losses.QuantileLoss(level=(0.1, 0.5, 0.9)), id="QuantileLoss-three-levels"),
    pytest.param(losses.GaussianLoss(), id="GaussianLoss"),
    pytest.param(losses.PoissonLoss(), id="PoissonLoss"),
    pytest.param(losses.GammaLoss(), id="GammaLoss"),
    pytest.param(losses.TweedieLoss(), id="TweedieLoss"),
    pytest.param(losses.TweedieLoss(power=1.2), id="TweedieLoss-1.2"),
]

SCHEDULES = [
    pytest.param(schedules.Constant(), id="Constant"),
    pytest.param(schedules.Exponential(), id="Exponential"),
    pytest.param(schedules.Exponential(0.3), id="Exponential-0.3"),
    pytest.param(schedules.Cosine(), id="Cosine"),
    pytest.param(schedules.Cosine(0.1), id="Cosine-0.1"),
    pytest.param(schedules.Linear(), id="Linear"),
    pytest.param(schedules.Step(), id="Step"),
    pytest.param(schedules.InverseScaling(), id="InverseScaling"),
    pytest.param(schedules.OneCycle(), id="OneCycle"),
    pytest.param(schedules.CosLog4(), id="CosLog4"),
    pytest.param(schedules.FlatCos(), id="FlatCos"),
    pytest.param(schedules.Plateau(), id="Plateau"),
    pytest.param(schedules.Warmup(), id="Warmup"),
    pytest.param(schedules.Warmup("cosine", steps=10), id="Warmup-cosine"),
    pytest.param(schedules.Warmup(schedules.Plateau(patience=1)), id="Warmup-Plateau"),
]

CLIPPINGS = [
    pytest.param(clipping.ClipByNorm(0.5), id="ClipByNorm"),
    pytest.param(clipping.ClipByValue(0.25), id="ClipByValue"),
    pytest.param(clipping.ClipByLayerNorm(0.25), id="ClipByLayerNorm"),
]

AVERAGINGS = [
    pytest.param(averaging.EMA(), id="EMA"),
    pytest.param(averaging.EMA(0.5), id="EMA-0.5"),
    pytest.param(averaging.EMA(0.0), id="EMA-0"),
]

NORMALIZATIONS = [
    pytest.param(normalization.BatchNorm(), id="BatchNorm"),
    pytest.param(normalization.BatchNorm(momentum=0.5, epsilon=0.01), id="BatchNorm-0.5"),
    pytest.param(normalization.LayerNorm(), id="LayerNorm"),
    pytest.param(normalization.LayerNorm(epsilon=0.01), id="LayerNorm-0.01"),
    pytest.param(normalization.RMSNorm(), id="RMSNorm"),
]

COMPONENTS = (
    OPTIMIZERS
    + MINIMIZERS
    + ACTIVATIONS
    + INITIALIZERS
    + LOSSES
    + SCHEDULES
    + CLIPPINGS
    + AVERAGINGS
    + NORMALIZATIONS
)

# Points at which the derivative of an activation (as a function of z) or a loss (of z - y) jumps.
# Central differences are not valid there.
KINKS = {
    activations.ReLU: lambda _: (0.0,),
    activations.LeakyReLU: lambda _: (0.0,),
    activations.PReLU: lambda _: (0.0,),
    activations.ELU: lambda _: (0.0,),
    activations.SELU: lambda _: (0.0,),
    losses.AbsoluteError: lambda _: (0.0,),
    losses.QuantileLoss: lambda _: (0.0,),
    losses.HuberLoss: lambda loss: (-loss.delta, loss.delta),
}


def distance_to_kinks(component, x):
    """Return the smallest distance between an element of `x` and a jump of the derivative."""
    kinks = KINKS.get(type(component), lambda _: ())(component)
    return min((np.abs(x - kink).min() for kink in kinks), default=np.inf)


# Number of outputs by task and target type.
TARGETS = {
    "classification": {"binary": 1, "multiclass": 4, "multilabel": 3, "one-label": 1},
    "regression": {"one-output": 1, "three-outputs": 3},
}


def n_raw(loss, target_type):
    """Return the number of raw outputs of a loss, or None for an unsupported target type."""
    try:
        return loss.n_raw(TARGETS[loss.task][target_type])
    except ValueError:
        return None


LOSSES_AND_TARGETS = [
    pytest.param(row.values[0], target_type, id=f"{row.id}-{target_type}")
    for row in LOSSES
    for target_type in TARGETS[row.values[0].task]
    if n_raw(row.values[0], target_type) is not None
]


def targets(loss, target_type, n_rows, rng):
    """Return random targets that are valid for the loss."""
    n_outputs = TARGETS[loss.task][target_type]
    if target_type == "binary":
        return rng.permutation(np.arange(n_rows) % 2)
    if target_type == "multiclass":
        return rng.permutation(np.arange(n_rows) % n_outputs)
    if loss.task == "classification":
        return rng.integers(0, 2, (n_rows, n_outputs)).astype(float)
    # These losses require positive targets.
    if loss.target_scaling == "mean":
        return rng.gamma(2.0, 0.5, (n_rows, n_outputs))
    return rng.normal(size=(n_rows, n_outputs))


def smooth_targets(loss, target_type, z, rng):
    """Return random targets for which the loss is smooth at the raw outputs `z`."""
    while True:
        y = targets(loss, target_type, len(z), rng)
        if type(loss) not in KINKS or distance_to_kinks(loss, z - y) > 0.01:
            return y


def load_golden(name):
    """Return the reference results in a file of tests/golden, which README.md describes."""
    return json.loads((Path(__file__).parent / "golden" / f"{name}.json").read_text())


def with_numpy_numbers(component):
    """Return a copy whose float parameters are np.float64, as searches pass them."""
    return type(component)(
        **{
            name: np.float64(value)
            if isinstance(value, Real) and not isinstance(value, bool)
            else value
            for name, value in component.get_params(deep=False).items()
        }
    )


def central_differences(f, x, h=1e-3):
    """Return df/dx for every element of `x` by fourth-order central differences.

    `f` is called without arguments, so it must read `x`, which is changed in place.
    """
    result = np.empty(x.shape)
    for i in np.ndindex(x.shape):
        start, total = x[i], 0.0
        for steps, weight in ((1, 8.0), (-1, -8.0), (2, -1.0), (-2, 1.0)):
            x[i] = start + steps * h
            total += weight * f()
        x[i] = start
        result[i] = total / (12 * h)
    return result
