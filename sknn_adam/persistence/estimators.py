"""Checks of the state of this package's estimators and transformers, before they are made."""

from typing import Any

import numpy as np

from sknn_adam._estimator.continuous import Continuous
from sknn_adam._nn.network import Network
from sknn_adam._training.history import History
from sknn_adam._training.members import Members
from sknn_adam._training.run import Run
from sknn_adam.losses import Loss
from sknn_adam.losses.multioutput import PerColumn
from sknn_adam.optimizers import Optimizer
from sknn_adam.persistence.fitted import CLASSES, REASONS, check_state
from sknn_adam.persistence.values import (
    check_component,
    is_array,
    is_count,
    is_finite,
    is_number,
    is_one_or_each,
    require,
)
from sknn_adam.schedules import SCHEDULES

__all__ = [
    "check_classifier",
    "check_continuous",
    "check_piecewise_linear",
    "check_regressor",
    "check_smooth_clip",
]


def _check_features(state: dict[str, Any], n_features: int) -> None:
    require(
        state["n_features_in_"] == n_features,
        "n_features_in_ is not the number of features that the state is for",
    )
    names = state.get("feature_names_in_")
    if names is not None:
        fits = type(names) is np.ndarray and names.shape == (n_features,)
        fits = fits and all(isinstance(name, str) for name in names.tolist())
        require(fits, "an estimator has feature names that do not fit")


def _check_fitted(state: dict[str, Any], task: str) -> None:
    """Check what both estimators have when they are fitted."""
    network, run, optimizer = state["_network"], state.get("_run"), state["optimizer_"]
    require(type(network) is Network, "an estimator has no network")
    _check_features(state, network.layers[0].fan_in)
    loss = state["_loss"]
    if type(loss) is not PerColumn:  # that has no parameters of its own
        check_component(loss, Loss, "the loss of an estimator")
    require(loss.task == task, "the loss of an estimator is for other targets")
    fits = network.layers[-1].fan_out == loss.n_raw(state["_targets"].n_outputs)
    require(fits, "the network of an estimator has another number of outputs")
    check_component(optimizer, Optimizer, "the optimizer of an estimator")
    require(type(state["history_"]) is History, "an estimator has no history")
    for name in ("n_iter_", "t_"):
        require(is_count(state[name]), f"the {name!r} of an estimator is not a count")
    require(
        state["n_layers_"] == len(network.dense()) + 1,
        "n_layers_ is not the number of layers of the network",
    )
    require(state["stop_reason_"] in REASONS, "an estimator has an unknown reason to stop")
    fits = is_one_or_each(state["best_iter_"], network.members, "iu")
    require(fits, "best_iter_ has a wrong shape or type")
    score = state["best_validation_score_"]
    require(score is None or is_number(score), "best_validation_score_ is not a number")
    scores = state["validation_scores_"]
    fits = scores is None or (type(scores) is list and all(map(is_number, scores)))
    require(
        fits and isinstance(state["converged_"], bool),
        "validation_scores_ or converged_ has a wrong type",
    )
    predictions = state.get("oof_prediction_", [])
    for array in predictions if isinstance(predictions, list) else [predictions]:
        fits = type(array) is np.ndarray and array.dtype.kind == "f" and is_finite(array)
        require(fits, "an estimator has out-of-fold predictions that are not finite")
    _check_structure(state, network, optimizer, loss)
    if run is not None:
        _check_run_of(state, run, network, optimizer)
    if run is None or not run.batch:  # an epoch that was interrupted may be about to diverge
        fits = is_finite(network.theta) and is_finite(network.statistics)
        require(fits, "the weights of an estimator are not finite")


def _check_structure(
    state: dict[str, Any], network: Network, optimizer: Optimizer, loss: Loss
) -> None:
    """Check the texts that a later fit compares with its parameters, to go on only with the same.

    The text of the loss depends on how scikit-learn is configured, so it is written anew.
    """
    structure = state["_structure"]
    fits = type(structure) is dict and all(type(text) is str for text in structure.values())
    require(fits, "an estimator does not describe its structure")
    expected = {
        "hidden_layer_sizes": repr(tuple(int(layer.fan_out) for layer in network.dense()[:-1])),
        "optimizer": f"{type(optimizer).__name__} with state {optimizer.slots}",
        "n_members": str(network.members or 1),
    }
    for name, text in expected.items():
        require(structure[name] == text, f"an estimator describes its {name} wrongly")
    state["_structure"] = structure | {"loss": repr(getattr(loss, "loss", loss))}


def _plan_of(network: Network) -> list[tuple[Any, ...]]:
    """Return what two networks must have in common to be of one estimator."""
    shapes = [(type(layer), layer.parameters, layer.statistics) for layer in network.layers]
    return [*shapes, (network.dtype, network.members, network.dense()[0].fan_in)]


def _check_run_of(state: dict[str, Any], run: Any, network: Network, optimizer: Optimizer) -> None:
    """Check that the run of an estimator belongs to its network and its optimizer."""
    kind = Run if network.members is None else Members
    require(type(run) is kind, "an estimator has a run of another kind")
    require(_plan_of(run.network) == _plan_of(network), "an estimator has a run of another network")
    require(state["t_"] == run.clock.step, "t_ is not the number of steps of the run")
    layout = run.network.layout
    check_state(run.optimizer_state, optimizer.init(run.network.theta, layout), "optimizer_state")
    vectors = [run.network.theta, *(getattr(run.optimizer_state, name) for name in optimizer.slots)]
    vectors += [] if run.average is None else [run.average]
    vectors += [] if run.best is None else [run.best[0]]
    apart = len({id(vector) for vector in vectors}) == len(vectors)
    require(apart, "a run has one array for two purposes")
    try:
        schedule = SCHEDULES.resolve(state["schedule"])
    except (TypeError, ValueError):  # a fit with this parameter will say so
        return
    if schedule.kind == state["_structure"]["schedule"]:  # else the fit will not go on
        check_state(run.schedule_state, schedule.init(), "schedule_state")


def check_classifier(state: dict[str, Any]) -> None:
    """Check the state of an MLPClassifier."""
    if "_network" not in state:
        return
    targets, loss = state["_targets"], state["_loss"]
    require(type(targets) in CLASSES, "a classifier has no classes")
    several = targets.several and targets.exclusive
    require((type(loss) is PerColumn) == several, "a classifier has a loss of other targets")
    if several:
        sizes = [len(classes) for classes in targets.columns]
        require(loss.n_classes == sizes, "a classifier has a loss of other classes")
    _check_fitted(state, "classification")


def check_regressor(state: dict[str, Any]) -> None:
    """Check the state of an MLPRegressor."""
    if "_network" not in state:
        return
    require(type(state["_targets"]) is Continuous, "a regressor has no scaling of its targets")
    _check_fitted(state, "regression")


def check_continuous(state: dict[str, Any]) -> None:
    """Check the state of the targets of regression."""
    require(state.keys() == {"shift", "scale"}, "targets lack an attribute or have an unknown one")
    shift, scale = state["shift"], state["scale"]
    fits = type(shift) is np.ndarray and shift.ndim == 1 and len(shift) > 0
    for array in (shift, scale):
        fits = fits and is_array(array, shift.shape) and is_finite(array)
    require(fits, "shift and scale of targets must be finite, one of each for every output")
    require((scale > 0).all(), "the scale of targets is not positive")


def check_smooth_clip(state: dict[str, Any]) -> None:
    """Check the state of a SmoothClip."""
    if "scale_" not in state:
        return
    n_features = len(state["scale_"])
    _check_features(state, n_features)
    for name in ("center_", "scale_"):
        fits = type(state[name]) is np.ndarray and state[name].dtype.kind == "f"
        require(fits and state[name].shape == (n_features,), f"{name!r} of a scaler does not fit")
    require((state["scale_"] > 0).all(), "the scale of a scaler is not positive")


def check_piecewise_linear(state: dict[str, Any]) -> None:
    """Check the state of a PiecewiseLinear."""
    if "edges_" not in state:
        return
    columns = state["edges_"]
    require(type(columns) is list, "an encoder of bins has no edges")
    _check_features(state, len(columns))
    for edges in columns:
        fits = type(edges) is np.ndarray and edges.ndim == 1 and edges.dtype.kind == "f"
        require(fits and (edges[:-1] < edges[1:]).all(), "an encoder has edges that do not rise")
