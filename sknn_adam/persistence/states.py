"""Checks of the states of this package's objects before they are created from an archive.

Compiled loops read and write arrays without bounds checks, so the arrays and counters of an
estimator must be consistent. Each state is compared with newly created examples: an empty history,
a run before its first step, or a layer or optimizer state created from the stored arguments.
Properties that an example cannot express are checked by explicit conditions.
"""

from collections.abc import Callable, Iterator
from functools import partial
from inspect import signature
from math import prod
from typing import Any

import numpy as np

from sknn_adam._component.base import Component
from sknn_adam._estimator.continuous import Continuous
from sknn_adam._estimator.targets import Classes, Multiclass, Multilabel, Multioutput
from sknn_adam._nn.layers import Activate, ActivateLearned, Dense, Dropout, Layer, ScaledDense
from sknn_adam._nn.network import Network
from sknn_adam._nn.normalization import BatchNormLayer, RowNormLayer
from sknn_adam._training.history import History, LayerHistory
from sknn_adam._training.members import Members, OutOfFold
from sknn_adam._training.run import Run
from sknn_adam.activations import Activation
from sknn_adam.averaging import EMA
from sknn_adam.classifier import MLPClassifier
from sknn_adam.initializers import INITIALIZERS
from sknn_adam.losses import Loss
from sknn_adam.losses.multioutput import PerColumn
from sknn_adam.optimizers import Optimizer
from sknn_adam.persistence.comparison import (
    Each,
    Optional,
    alike,
    blank,
    floats,
    is_finite,
    is_positive,
    matches,
    one_or_each,
    rises,
)
from sknn_adam.persistence.contents import require
from sknn_adam.preprocessing import PiecewiseLinearEncoder, SmoothClipScaler
from sknn_adam.regressor import MLPRegressor
from sknn_adam.schedules import SCHEDULES, Clock

__all__ = ["CHECKED", "check_attributes"]

State = dict[str, Any]
Examples = Iterator[State]
REASONS = frozenset(
    {None, "callback", "diverged", "early_stopping", "max_iter", "no_progress", "tol"}
)


def _is_component(base: type[Component], value: Any) -> bool:
    """Return whether a value is an instance of `base`; raise if its parameters are invalid."""
    if isinstance(value, base):
        value.validate()
    return isinstance(value, base)


# The registered functions yield groups of examples, as dicts by attribute. A group is compared
# before the next one is created, so later groups can rely on attributes checked before. `fitted` is
# the name of an attribute that only fitted estimators have, or None if the class is always checked.
CHECKED: dict[type, tuple[str | None, Callable[[Any, State], Examples]]] = {}


def _examples_of(*classes: type, fitted: str | None = None) -> Callable[[Any], Any]:
    def register(examples: Callable[[Any, State], Examples]) -> Any:
        CHECKED.update(dict.fromkeys(classes, (fitted, examples)))
        return examples

    return register


# -- layers and networks -------------------------------------------------------------------------

ARGUMENTS: dict[str, Any] = {
    "fan_in": is_positive,
    "fan_out": is_positive,
    "width": is_positive,
    "initializer": frozenset(INITIALIZERS),
    "activation": partial(_is_component, Activation),
    "rate": lambda value: matches(value, 0.0) and 0 < value < 1,
    "dropped_value": 0.0,
    "momentum": lambda value: matches(value, 0.0) and 0 <= value < 1,
    "epsilon": lambda value: matches(value, 0.0) and value > 0,
    "centered": False,
}


@_examples_of(Activate, ActivateLearned, BatchNormLayer, Dense, Dropout, RowNormLayer, ScaledDense)
def _layer(cls: type[Layer], state: State) -> Examples:
    """Compare with a layer created from the same arguments."""
    names = signature(cls).parameters
    known = {"width": state["parameters"][0][1][0]} if "width" in names else {}
    known |= {name: state[name] for name in names if name not in known}
    fits = all(matches(value, ARGUMENTS[name]) for name, value in known.items())
    require(fits, f"{cls.__name__} has invalid arguments")
    if "activation" in names:
        yield {"activation": lambda activation: activation.learned == (cls is ActivateLearned)}
    yield {name: partial(alike, value) for name, value in vars(cls(**known)).items()}


def _is_chain(layers: list[Layer]) -> bool:
    """Return whether the widths of layers fit together, with a dense layer at both ends."""
    if not (layers and isinstance(layers[0], Dense) and isinstance(layers[-1], Dense)):
        return False
    width = layers[0].fan_in
    for layer in layers:
        if isinstance(layer, Dense):
            if layer.fan_in != width:
                return False
            width = layer.fan_out
        elif any(shape != (width,) for _, shape, _ in layer.parameters):
            return False
    return len(set(map(id, layers))) == len(layers)


@_examples_of(Network)
def _network_examples(cls: type, state: State) -> Examples:
    yield {
        "layers": Each(list, lambda layer: isinstance(layer, Layer)),
        "dtype": lambda dtype: isinstance(dtype, np.dtype) and dtype in (np.float32, np.float64),
        "members": Optional(is_positive),
    }
    yield {"layers": _is_chain}
    layers, dtype, lead = state["layers"], state["dtype"], state["members"] or 1
    n_parameters = sum(prod(shape) for layer in layers for _, shape, _ in layer.parameters)
    n_statistics = sum(prod(shape) for layer in layers for _, shape in layer.statistics)
    yield {"theta": blank(lead * n_parameters, dtype)}
    yield {"statistics": blank(lead * n_statistics, dtype)}
    bound = object.__new__(Network)
    bound.__setstate__(dict(state))
    tracked = [(layer, name) for layer in layers for name, _ in layer.statistics if name != "mean"]
    # NaN passes this comparison, as it must, because an interrupted run may contain NaN.
    fits = not any((getattr(layer, name) < 0).any() for layer, name in tracked)
    require(fits, "the statistics of a normalization are negative")


# -- runs ----------------------------------------------------------------------------------------


@_examples_of(Clock)
def _clock(cls: type, state: State) -> Examples:
    yield vars(Clock())
    yield {"progress": lambda progress: 0 <= progress <= 1}


def _have_equal_lengths(columns: dict[str, list]) -> bool:
    return len({len(column) for column in columns.values()}) < 2


@_examples_of(History)
def _history(cls: type, state: State) -> Examples:
    numbers = Each(dict, 0.0)
    yield {"columns": Each(dict, Each(list, 0.0)), "layers": LayerHistory, "table": numbers}
    yield {"columns": _have_equal_lengths}


@_examples_of(LayerHistory)
def _layer_history(cls: type, state: State) -> Examples:
    measured = Each(list, lambda item: matches(item, 0.0) or matches(item, Each(tuple, 0.0)))
    yield {"columns": Each(dict, measured), "distance": is_positive}
    yield {"columns": _have_equal_lengths} | ({"next_step": 0} if "next_step" in state else {})


@_examples_of(OutOfFold)
def _out_of_fold(cls: type, state: State) -> Examples:
    each = blank(len(state["best"]), np.float64)
    yield {"z": Optional(floats(len(each), None)), "best": each, "waited": each}


@_examples_of(Run, Members)
def _run(cls: type[Run], state: State) -> Examples:
    """Compare with a run before its first step."""
    yield {"network": Network, "clock": Clock, "shape": Each(tuple, 0)}
    network, clock, (n_samples, batch_size) = state["network"], state["clock"], state["shape"]
    require(
        (cls is Members) == (network.members is not None),
        "the type of a run does not fit the members of its network",
    )
    each = partial(one_or_each, network.members)
    weights = [network.theta, network.statistics]
    examples = {
        "network": Network,
        "rng": np.random.Generator,
        "clock": Clock,
        "history": History,
        # `_run_of_mlp` checks these two, because they depend on the estimator's optimizer and
        # schedule.
        "optimizer_state": lambda value: True,
        "schedule_state": lambda value: True,
        "shape": lambda shape: len(shape) == 2,
        "average": Optional(network.theta),
        "best": Optional(lambda best: type(best) is tuple and matches([*best], weights)),
        "order": Optional(blank(n_samples, np.intp)),
        "best_score": each("fiu"),
        "best_epoch": each("iu"),
        "waited": each("iu"),
        "limit": Optional(lambda limit: matches(limit, 0.0) and limit > 0),
        "stop_reason": REASONS,
        "contradiction": Optional(lambda pair: matches(pair, Each(tuple, 0.0)) and len(pair) == 2),
        "limits": Optional(each("f")),
        "totals": each("f"),
        "lost": each("b"),
        "oof": Optional(OutOfFold),
    }
    new = cls(network, np.random.default_rng(0))
    yield {name: examples.get(name, value) for name, value in vars(new).items()}
    n_batches = -(-n_samples // batch_size) if batch_size else 1
    n_raw = network.layers[-1].fan_out
    samples = np.arange(n_samples if state["order"] is not None else 0)
    yield {
        "best": Optional(lambda best: is_finite(best[0])),
        "order": Optional(lambda order: np.array_equal(np.sort(order), samples)),
        "batch": lambda batch: batch < max(1, n_batches),
        "first_epoch": lambda epoch: epoch <= clock.epoch,
        "best_epoch": lambda epoch: np.all((np.asarray(epoch) >= 0) & (epoch <= clock.epoch)),
    }
    if cls is Members:
        yield {"oof": Optional(lambda oof: oof.z is None or oof.z.shape[1] == n_raw)}


# -- estimators ----------------------------------------------------------------------------------


def _features(n_features: int, state: State) -> Examples:
    yield {"n_features_in_": lambda n: n == n_features}
    if "feature_names_in_" in state:
        yield {"feature_names_in_": np.ndarray}
        yield {"feature_names_in_": lambda names: names.shape == (n_features,)}
        yield {"feature_names_in_": lambda names: matches(names.tolist(), Each(list, str))}


def _arrays_of(network: Network) -> list[Any]:
    """Return the properties in which the network of a run must equal that of its estimator."""
    return [network.dtype, network.layout, [type(layer) for layer in network.layers]]


def _mlp(task: str, state: State) -> Examples:
    """Yield the examples of attributes common to fitted classifiers and regressors."""
    yield {
        "_network": Network,
        "_structure": Each(dict, str),
        "_loss": partial(_is_component, Loss),
        "optimizer_": partial(_is_component, Optimizer),
        "history_": History,
        "n_iter_": 0,
        "n_steps_": 0,
        **dict.fromkeys(("alpha_", "l1_ratio_"), 0.0),
        **dict.fromkeys(("batch_size_", "max_iter_"), is_positive),
        "averaging_": Optional(partial(_is_component, EMA)),
        "stop_reason_": REASONS,
        "best_validation_score_": Optional(0.0),
        "validation_scores_": Optional(Each(list, 0.0)),
        "converged_": False,
    }
    network, optimizer, loss = state["_network"], state["optimizer_"], state["_loss"]
    widths = [layer.fan_out for layer in network.dense()]
    n_raw = loss.n_raw(state["_targets"].n_outputs)
    yield from _features(network.layers[0].fan_in, state)
    # A later fit resumes training only if these strings match its parameters. The repr of the loss
    # depends on scikit-learn's configuration, so that string is generated again.
    hidden, name = tuple(map(int, widths[:-1])), type(optimizer).__name__
    expected = {"hidden_layer_sizes": repr(hidden)}
    expected["optimizer"] = f"{name} with state {optimizer.slots}"
    state["dtype_"] = network.dtype
    yield {
        "_loss": lambda loss: loss.task == task and n_raw == widths[-1],
        "_structure": lambda structure: expected.items() <= structure.items(),
        "n_layers_": lambda n: n == len(widths) + 1,
        "best_iter_": one_or_each(network.members, "iu"),
    }
    require(_fits_members(state["_structure"], network.members), "n_members or cv is not valid")
    state["_structure"] |= {"loss": repr(getattr(loss, "loss", loss))}
    state |= state["_targets"].published()
    for name in {"oof_prediction_", "oof_std_"} & state.keys():
        predicted = state[name]
        arrays = predicted if isinstance(predicted, list) else [predicted]
        fits = all(isinstance(array, np.ndarray) and array.dtype.kind == "f" for array in arrays)
        require(fits, "the out-of-fold predictions of an estimator are not numbers")
    run = state.get("_run")
    if run is not None:
        yield from _run_of_mlp(run, state)
    # In an interrupted epoch the weights may have diverged.
    if run is None or not run.batch:
        fits = is_finite(network.theta) and is_finite(network.statistics)
        require(fits, "the weights of an estimator are not finite")


def _fits_members(structure: dict[str, str], n_networks: int | None) -> bool:
    """Return whether `n_members` and `cv` fit the number of networks."""
    n, cv = n_networks or 1, structure.get("cv", "")
    allowed = {"None": [n], "set": [m for m in range(1, n + 1) if n_networks and n % m == 0]}
    return any(structure.get("n_members") == str(m) for m in allowed.get(cv, ()))


def _run_of_mlp(run: Any, state: State) -> Examples:
    """Yield the conditions that link a run to the network, optimizer and schedule."""
    network, optimizer = state["_network"], state["optimizer_"]
    yield {"_run": lambda run: isinstance(run, Run)}
    yield {"_run": lambda run: _arrays_of(run.network) == _arrays_of(network)}
    yield {"n_steps_": lambda step: step == run.clock.step}
    theta, optimizer_state = run.network.theta, run.optimizer_state
    fits = matches(optimizer_state, optimizer.init(theta, run.network.layout))
    require(fits, "the state of an optimizer does not fit the network")
    vectors = [theta, run.average, *(run.best or ())[:1]]
    vectors += [getattr(optimizer_state, name) for name in optimizer.slots]
    ids = [id(vector) for vector in vectors if vector is not None]
    require(len(set(ids)) == len(ids), "a run uses one array for two purposes")
    try:
        schedule = SCHEDULES.resolve(state["schedule"])
    except (TypeError, ValueError):
        # The next fit will raise this error.
        return
    # If the parameter `schedule` was changed, the next fit starts a new run.
    if schedule.kind == state["_structure"]["schedule"]:
        fits = matches(run.schedule_state, schedule.init())
        require(fits, "the state of a schedule is not valid")


@_examples_of(MLPClassifier, fitted="_network")
def _classifier(cls: type, state: State) -> Examples:
    yield {"_targets": lambda targets: type(targets) in (Multiclass, Multilabel, Multioutput)}
    targets = state["_targets"]
    several = targets.several and targets.exclusive
    sizes = [len(classes) for classes in targets.columns] if several else None
    yield {"_loss": lambda loss: getattr(loss, "n_classes", None) == sizes}
    yield from _mlp("classification", state)


@_examples_of(MLPRegressor, fitted="_network")
def _regressor(cls: type, state: State) -> Examples:
    yield {"_targets": Continuous}
    shape, n_networks = state["_targets"].shift.shape, state["_network"].members
    fits = len(shape) == 1 or shape[:2] == (n_networks, 1)
    require(fits, "the scaling of the targets does not fit the members")
    yield from _mlp("regression", state)


@_examples_of(SmoothClipScaler, fitted="scale_")
def _smooth_clip(cls: type, state: State) -> Examples:
    n_features = len(state["scale_"])
    yield {"center_": floats(n_features), "scale_": floats(n_features)}
    yield {"scale_": lambda scale: (scale > 0).all()}
    yield from _features(n_features, state)


@_examples_of(PiecewiseLinearEncoder, fitted="edges_")
def _piecewise_linear(cls: type, state: State) -> Examples:
    yield {"edges_": Each(list, floats(None))}
    yield {"edges_": lambda columns: all(map(rises, columns))}
    yield from _features(len(state["edges_"]), state)


# -- targets -------------------------------------------------------------------------------------


@_examples_of(Multiclass, Multilabel, Multioutput)
def _target_examples(cls: type[Classes], state: State) -> Examples:
    yield {"columns": Each(list, np.ndarray)}
    yield {"columns": Each(list, lambda known: known.ndim == 1 and len(known) and rises(known))}
    yield {"columns": lambda columns: len(columns) == 1 or (columns and cls.several)}
    if not cls.exclusive:
        yield {"columns": Each(list, lambda known: known.tolist() == [0, 1])}


@_examples_of(Continuous)
def _continuous(cls: type, state: State) -> Examples:
    yield {"shift": lambda shift: floats(None)(shift) or floats(None, 1, None)(shift)}
    shift = state["shift"]
    yield {"shift": lambda shift: is_finite(shift) and shift.size and shift.dtype == np.float64}
    yield {"scale": np.zeros(shift.shape)}
    yield {"scale": lambda scale: is_finite(scale) and (scale > 0).all()}
    yield {"double": True} if "double" in state else {}


@_examples_of(PerColumn)
def _per_column(cls: type, state: State) -> Examples:
    yield {"loss": partial(_is_component, Loss), "n_classes": Each(list, is_positive)}
    yield {"n_classes": lambda n_classes: len(n_classes) > 0}


def check_attributes(cls: type, state: State) -> None:
    """Raise Refused if the state of an object is not one that `save` writes."""
    fitted, examples = CHECKED.get(cls, ("", None))
    if examples is None or (fitted is not None and fitted not in state):
        return
    known = set[str]()
    for group in examples(cls, state):
        known |= group.keys()
        for name, example in group.items():
            fits = name in state and matches(state[name], example)
            require(fits, f"{name!r} of {cls.__name__} is missing or not valid")
    require(fitted or known == state.keys(), f"{cls.__name__} has unknown attributes")
