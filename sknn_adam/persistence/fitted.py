"""Checks of the state of this package's own objects, before they are made from an archive.

Compiled loops read and write arrays without looking at their sizes. So everything that a training
run or a prediction works on has to fit together: sizes, dtypes, and numbers that serve as indices.
Where an object follows from a few parameters, it is made anew from them and compared.
"""

from collections.abc import Callable
from dataclasses import MISSING, fields
from math import prod
from types import SimpleNamespace
from typing import Any

import numpy as np

from sknn_adam._estimator.targets import SHAPES
from sknn_adam._nn.layers import Activate, ActivateLearned, Dense, Dropout, Layer
from sknn_adam._nn.network import Network
from sknn_adam._nn.normalization import BatchNormLayer, RowNormLayer
from sknn_adam._training.history import History, LayerHistory
from sknn_adam._training.members import Members, OutOfFold
from sknn_adam._training.run import Run
from sknn_adam.activations import Activation
from sknn_adam.initializers import INITIALIZERS
from sknn_adam.losses import Loss
from sknn_adam.persistence.values import (
    alike,
    check_component,
    is_array,
    is_count,
    is_finite,
    is_number,
    is_one_or_each,
    require,
)
from sknn_adam.schedules import Clock

__all__ = [
    "REASONS",
    "check_clock",
    "check_history",
    "check_labels",
    "LAYERS",
    "check_layer",
    "check_layer_history",
    "check_members",
    "check_network",
    "check_out_of_fold",
    "check_per_column",
    "check_run",
    "check_state",
]

REASONS = {None, "callback", "diverged", "early_stopping", "max_iter", "no_progress", "tol"}


# -- layers and networks -------------------------------------------------------------------------


def _width(state: dict[str, Any]) -> int:
    """Return the width of a layer that learns something for each unit."""
    width = state["parameters"][0][1][0]
    require(is_count(width, 1), f"a layer has the width {str(width)[:50]}")
    return width


def _dense(state: dict[str, Any]) -> Layer:
    sizes = state["fan_in"], state["fan_out"]
    require(all(is_count(n, 1) for n in sizes), f"a layer has the sizes {str(sizes)[:50]}")
    require(state["initializer"] in INITIALIZERS, "a layer has an unknown initializer")
    return Dense(*sizes, state["initializer"])


def _activate(state: dict[str, Any]) -> Layer:
    check_component(state["activation"], Activation, "the activation of a layer")
    require(not state["activation"].learned, "an activation that learns has no parameters")
    return Activate(state["activation"])


def _activate_learned(state: dict[str, Any]) -> Layer:
    check_component(state["activation"], Activation, "the activation of a layer")
    require(state["activation"].learned, "an activation that does not learn has parameters")
    return ActivateLearned(state["activation"], _width(state))


def _dropout(state: dict[str, Any]) -> Layer:
    rate, dropped = state["rate"], state["dropped_value"]
    require(
        is_number(rate) and 0 < rate < 1 and is_number(dropped),
        "the rate of a dropout layer is not between 0 and 1",
    )
    return Dropout(rate, dropped)


def _batch_norm(state: dict[str, Any]) -> Layer:
    momentum, epsilon = state["momentum"], state["epsilon"]
    require(
        is_number(momentum) and 0 <= momentum < 1,
        "the momentum of batch normalization is not in [0, 1)",
    )
    require(
        is_number(epsilon) and epsilon > 0, "the epsilon of batch normalization is not positive"
    )
    return BatchNormLayer(_width(state), momentum, epsilon)


def _row_norm(state: dict[str, Any]) -> Layer:
    epsilon, centered = state["epsilon"], state["centered"]
    require(is_number(epsilon) and epsilon > 0, "the epsilon of normalization is not positive")
    require(isinstance(centered, bool), "'centered' of normalization is not a boolean")
    return RowNormLayer(_width(state), epsilon, centered)


LAYERS: dict[str, Callable[[dict[str, Any]], Layer]] = {
    "Activate": _activate,
    "ActivateLearned": _activate_learned,
    "BatchNormLayer": _batch_norm,
    "Dense": _dense,
    "Dropout": _dropout,
    "RowNormLayer": _row_norm,
}


def check_layer(state: dict[str, Any], name: str) -> None:
    """Compare the state of a layer with that of a new one with the same parameters."""
    expected = vars(LAYERS[name](state))
    same = state.keys() == expected.keys()
    same = same and all(alike(state[key], expected[key]) for key in expected)
    require(same, f"the state of a layer {name} does not follow from its parameters")


def _check_chain(layers: Any) -> None:
    """Raise unless the layers follow each other with the right widths."""
    require(type(layers) is list and layers, "a network has no list of layers")
    require(
        all(isinstance(layer, Layer) for layer in layers), "a network has layers of an unknown type"
    )
    require(len(set(map(id, layers))) == len(layers), "a network has the same layer twice")
    ends = isinstance(layers[0], Dense) and isinstance(layers[-1], Dense)
    require(ends, "a network does not begin and end with a dense layer")
    width = layers[0].fan_in
    for layer in layers:
        if isinstance(layer, Dense):
            fits, width = layer.fan_in == width, layer.fan_out
        else:
            fits = all(shape == (width,) for _, shape, _ in layer.parameters)
        require(fits, "the layers of a network have widths that do not fit")


def check_network(state: dict[str, Any]) -> None:
    """Check the state of a network."""
    known = {"layers", "dtype", "members", "theta", "statistics"}
    require(state.keys() == known, "a network lacks an attribute or has an unknown one")
    layers, dtype, members = state["layers"], state["dtype"], state["members"]
    require(isinstance(dtype, np.dtype), "a network has no dtype")
    require(dtype in (np.float32, np.float64), f"a network has the dtype {dtype}")
    require(members is None or is_count(members, 2), "a network has no number of members")
    _check_chain(layers)
    tracked = [(name, prod(shape)) for layer in layers for name, shape in layer.statistics]
    sizes = {
        "theta": sum(prod(shape) for layer in layers for _, shape, _ in layer.parameters),
        "statistics": sum(size for _, size in tracked),
    }
    for name, size in sizes.items():
        expected = (size * (members or 1),)
        require(
            is_array(state[name], expected, dtype),
            f"the {name!r} of a network must be {dtype} of shape {expected}",
        )
    start = 0
    for name, size in tracked:
        block = state["statistics"][start : start + size * (members or 1)]
        start += len(block)
        # Written so that nan passes: a run that was interrupted may hold it.
        require(name == "mean" or not (block < 0).any(), f"a {name} of normalization is negative")


# -- runs ----------------------------------------------------------------------------------------


def check_clock(state: dict[str, Any]) -> None:
    """Check the state of a clock."""
    require(
        state.keys() == {f.name for f in fields(Clock)},
        "a clock lacks an attribute or has an unknown one",
    )
    counts = is_count(state["step"]) and is_count(state["epoch"])
    require(counts, "the step or epoch of a clock is not a count")
    progress = state["progress"]
    require(
        is_number(progress) and 0 <= progress <= 1, "the progress of a clock is not between 0 and 1"
    )
    require(is_number(state["loss"]), "a clock has no loss")


def _check_columns(columns: Any, item: Callable[[Any], bool]) -> None:
    require(type(columns) is dict, "a history has no columns")
    for name, column in columns.items():
        require(type(name) is str and type(column) is list, "a history has a wrong column")
        require(all(map(item, column)), f"the column {name[:50]!r} of a history is wrong")
    require(len({len(column) for column in columns.values()}) < 2, "a history has ragged columns")


def check_history(state: dict[str, Any]) -> None:
    """Check the state of a history."""
    require(
        state.keys() == {"columns", "layers", "table"},
        "a history lacks an attribute or has an unknown one",
    )
    _check_columns(state["columns"], is_number)
    require(type(state["layers"]) is LayerHistory, "a history has no history of layers")
    table = state["table"]
    require(type(table) is dict and all(map(is_number, table.values())), "a table has no numbers")


def check_layer_history(state: dict[str, Any]) -> None:
    """Check the state of a history of layers."""
    known = {"columns", "distance", "next_step"}
    require(
        state.keys() <= known and "distance" in state,
        "a history lacks an attribute or has an unknown one",
    )
    require(is_count(state["distance"], 1), "a history has no distance of samples")
    require(is_count(state.get("next_step", 0)), "a history has no next sample")
    _check_columns(
        state["columns"],
        lambda item: is_number(item) or (type(item) is tuple and all(map(is_number, item))),
    )


def check_out_of_fold(state: dict[str, Any]) -> None:
    """Check the state of out-of-fold predictions."""
    require(
        state.keys() == {"z", "best", "waited"},
        "out-of-fold predictions lack an attribute or have an unknown one",
    )
    z, n_samples = state["z"], len(state["best"])
    require(
        all(is_array(state[name], (n_samples,)) for name in ("best", "waited")),
        "a run has out-of-fold scores of a wrong shape",
    )
    if z is not None:
        fits = isinstance(z, np.ndarray) and z.dtype.kind == "f" and z.ndim == 2
        require(fits and len(z) == n_samples, "a run has out-of-fold outputs of a wrong shape")


def check_run(state: dict[str, Any], cls: type = Run) -> None:
    """Check the state of a run; attributes that an older release did not have get their default."""
    defaults = {f.name: f.default for f in fields(cls) if f.default is not MISSING}
    state.update({name: value for name, value in defaults.items() if name not in state})
    require(
        state.keys() == {f.name for f in fields(cls)},
        "a run lacks an attribute or has an unknown one",
    )
    network, clock = state["network"], state["clock"]
    require(type(network) is Network, "a run has no network")
    require(isinstance(state["rng"], np.random.Generator), "a run has no random generator")
    require(type(clock) is Clock, "a run has no clock")
    require(type(state["history"]) is History, "a run has no history")
    theta, average, best = network.theta, state["average"], state["best"]
    fits = average is None or is_array(average, theta.shape, theta.dtype)
    require(fits, f"the average of a run must be {theta.dtype} of shape {theta.shape}")
    if best is not None:
        pair = (
            type(best) is tuple and len(best) == 2 and is_array(best[0], theta.shape, theta.dtype)
        )
        statistics = network.statistics
        fits = pair and is_array(best[1], statistics.shape, statistics.dtype)
        require(fits, f"the best weights of a run must be {theta.dtype} of shape {theta.shape}")
        require(is_finite(best[0]), "the best weights of a run are not finite")
    _check_progress(state, clock)
    n_members = network.members
    for name, kinds in (("best_score", "fiu"), ("best_epoch", "iu"), ("waited", "iu")):
        fits = is_one_or_each(state[name], n_members, kinds)
        require(fits, f"the {name!r} of a run has a wrong shape or type")
    epochs = np.asarray(state["best_epoch"])
    require(
        ((epochs >= 0) & (epochs <= clock.epoch)).all(),
        "'best_epoch' of a run is after its present epoch",
    )


def _check_progress(state: dict[str, Any], clock: Clock) -> None:
    """Check what a run knows of the present epoch."""
    shape, batch, order = state["shape"], state["batch"], state["order"]
    fits = type(shape) is tuple and len(shape) == 2 and all(map(is_count, shape))
    require(fits, "the shape of a run is not two numbers")
    n_samples, batch_size = shape
    n_batches = -(-n_samples // batch_size) if batch_size else 0
    require(
        is_count(batch) and batch < max(1, n_batches), "the batch of a run is not one of its epoch"
    )
    if order is not None:
        fits = is_array(order, (n_samples,), np.intp)
        fits = fits and np.array_equal(np.sort(order), np.arange(n_samples))
        require(fits, f"the order of a run is not a permutation of {n_samples} samples")
    for name in ("total", "unclipped", "clip_rate"):
        require(is_number(state[name]), f"the {name!r} of a run is not a number")
    require(is_count(state["clipped"]), "'clipped' of a run is not a count")
    require(is_count(state["first_epoch"]), "'first_epoch' of a run is not a count")
    require(
        state["first_epoch"] <= clock.epoch, "'first_epoch' of a run is after its present epoch"
    )
    limit = state["limit"]
    require(
        limit is None or (is_number(limit) and limit > 0),
        "'limit' of a run is not a positive number",
    )
    losses = state["contradiction"]
    fits = losses is None or (
        type(losses) is tuple and len(losses) == 2 and all(map(is_number, losses))
    )
    require(fits, "a run has wrong losses of predictions and training")
    require(state["stop_reason"] in REASONS, "a run has an unknown reason to stop")
    require(isinstance(state["in_fit"], bool), "'in_fit' of a run is not a boolean")


def check_members(state: dict[str, Any]) -> None:
    """Check the state of a run of several networks."""
    check_run(state, Members)
    n_members, oof = state["network"].members, state["oof"]
    require(n_members is not None, "a run of several networks has a single one")
    for name, kinds in (("limits", "f"), ("totals", "f"), ("lost", "b")):
        fits = is_one_or_each(state[name], n_members, kinds)
        require(fits or (name, state[name]) == ("limits", None), f"the {name!r} of a run is wrong")
    require(
        is_number(state["least"]) and is_count(state["seen"]),
        "'least' or 'seen' of a run is not a number",
    )
    require(oof is None or type(oof) is OutOfFold, "'oof' of a run has an unknown type")
    if oof is not None and oof.z is not None:
        n_raw = state["network"].layers[-1].fan_out
        require(oof.z.shape[1] == n_raw, "a run has out-of-fold outputs of a wrong width")


def check_state(found: Any, like: Any, name: str) -> None:
    """Raise unless the state of an optimizer or a schedule is like a new one."""
    fits = True
    if isinstance(like, SimpleNamespace):
        fits = type(found) is SimpleNamespace and vars(found).keys() == vars(like).keys()
        for key, value in vars(like).items() if fits else ():
            check_state(vars(found)[key], value, key)
    elif isinstance(like, np.ndarray):
        fits = is_array(found, like.shape, like.dtype)
    elif isinstance(like, float):
        fits = is_number(found)
    elif isinstance(like, int) and not isinstance(like, bool):
        fits = is_count(found)
    elif isinstance(like, list) and like and isinstance(like[0], float):
        fits = type(found) is list and len(found) == len(like) and all(map(is_number, found))
    else:  # what follows from the layout
        fits = type(found) is type(like) and found == like
    require(fits, f"{name!r} in the state of an optimizer or schedule does not fit the network")


# -- targets -------------------------------------------------------------------------------------


def check_labels(state: dict[str, Any]) -> None:
    """Check the state of a classifier's labels."""
    require(
        state.keys() == {"kind", "columns"}, "the labels lack an attribute or have an unknown one"
    )
    kind, columns = state["kind"], state["columns"]
    require(kind in SHAPES and type(columns) is list and columns, "labels have no columns")
    require(kind != "exclusive" or len(columns) == 1, "labels have several columns")
    for classes in columns:
        fits = type(classes) is np.ndarray and classes.ndim == 1 and len(classes)
        require(fits and (classes[:-1] < classes[1:]).all(), "classes are not in order")
        require(kind != "labels" or classes.tolist() == [0, 1], "labels are not 0 and 1")


def check_per_column(state: dict[str, Any]) -> None:
    """Check the state of a loss of several columns."""
    require(
        state.keys() - {"_sklearn_version"} == {"loss", "n_classes"},
        "a loss of several columns lacks an attribute or has an unknown one",
    )
    check_component(state["loss"], Loss, "the loss of a column")
    n_classes = state["n_classes"]
    fits = type(n_classes) is list and all(is_count(n, 1) for n in n_classes)
    require(fits and n_classes, "a loss has no numbers of classes")
