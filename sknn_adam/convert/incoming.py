"""Conversion from scikit-learn's networks, with parameters, weights and moments."""

from math import ceil, inf, log
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import check_random_state

from sknn_adam._estimator.continuous import Continuous
from sknn_adam._estimator.parameters import Architecture, make_plan
from sknn_adam._estimator.setup import new_run
from sknn_adam._estimator.targets import learn_classes
from sknn_adam._nn.network import build
from sknn_adam._training.history import History
from sknn_adam._training.run import Run
from sknn_adam._utils.warnings import warn
from sknn_adam.classifier import MLPClassifier
from sknn_adam.initializers import VarianceScaling
from sknn_adam.optimizers import LBFGS, SGD, Adam
from sknn_adam.regressor import MLPRegressor
from sknn_adam.schedules import InverseScaling, Plateau

__all__ = ["SAME", "from_sklearn"]

SAME = (
    "hidden_layer_sizes activation max_iter shuffle random_state tol verbose warm_start "
    "early_stopping validation_fraction n_iter_no_change"
).split()
THEIR_BATCH = 200
# scikit-learn's "adaptive" learning rate stops training once it is at or below this value.
THEIR_MIN_RATE = 1e-6


def from_sklearn(model: Any, n_samples: int | None = None) -> MLPClassifier | MLPRegressor:
    """Convert a network of scikit-learn to an estimator of this package.

    The parameters are mapped. The weights, curves and counters of a fitted network are copied, so
    the estimator makes the same predictions. ``partial_fit``, or ``fit`` with ``warm_start``,
    continues with the moments of the optimizer. For a network with ``early_stopping=True`` or
    ``solver="lbfgs"``, it starts with a new optimizer state instead.

    Parameters
    ----------
    model : sklearn.neural_network.MLPClassifier or sklearn.neural_network.MLPRegressor
        The network, fitted or not. It is not modified.
    n_samples : int, optional
        Number of training samples. It is needed because scikit-learn divides ``alpha`` by the batch
        size, which is the number of samples for ``solver="lbfgs"``, and for ``batch_size="auto"``
        with fewer than 200 samples. By default, the number is derived from a fitted network, unless
        its solver is ``"lbfgs"``. Otherwise 200 is assumed.

    Returns
    -------
    MLPClassifier or MLPRegressor
        The estimator. It computes in float32 if the weights of `model` are float32, else in
        float64.

    Warns
    -----
    UserWarning
        If the solver is ``"lbfgs"``, `alpha` is not 0 and `n_samples` is not given.

    See Also
    --------
    to_sklearn : The reverse conversion.

    Notes
    -----
    Training differs from scikit-learn's in three details. Adam adds epsilon to the bias-corrected
    root. The schedule for ``learning_rate="invscaling"`` counts epochs instead of samples. The
    samples are shuffled by another random generator.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neural_network import MLPClassifier as TheirClassifier
    >>> from sknn_adam import from_sklearn
    >>> X, y = load_iris(return_X_y=True)
    >>> theirs = TheirClassifier((8,), learning_rate_init=0.01, max_iter=999, random_state=0)
    >>> _ = theirs.fit(X, y)
    >>> ours = from_sklearn(theirs)
    >>> bool((ours.predict(X) == theirs.predict(X)).all())
    True
    >>> ours = ours.partial_fit(X, y)  # one more epoch
    """
    from sklearn.neural_network import MLPClassifier as TheirClassifier
    from sklearn.neural_network import MLPRegressor as TheirRegressor

    if not isinstance(model, TheirClassifier | TheirRegressor):
        raise TypeError(
            "from_sklearn takes an MLPClassifier or MLPRegressor of sklearn.neural_network. Got "
            f"{model!r} instead."
        )
    fitted = hasattr(model, "coefs_")
    if n_samples is None and fitted and model.solver != "lbfgs":
        # `t_` is the number of samples processed in all epochs.
        n_samples = model.t_ // max(1, len(model.loss_curve_))
    params = _our_parameters(model.get_params(deep=False), n_samples)
    if fitted:
        params["dtype"] = "float32" if model.coefs_[0].dtype == np.float32 else "float64"
    if isinstance(model, TheirClassifier):
        estimator: MLPClassifier | MLPRegressor = MLPClassifier(**params)
    else:
        estimator = MLPRegressor(loss=model.loss, target_scaling=False, **params)
    if fitted:
        _copy_fitted_state(estimator, model, n_samples)
    return estimator


def _our_parameters(theirs: dict[str, Any], n_samples: int | None) -> dict[str, Any]:
    solver, rate = theirs["solver"], theirs["learning_rate_init"]
    params = {name: theirs[name] for name in SAME}
    batch = theirs["batch_size"]
    if solver == "lbfgs":
        if n_samples is None and theirs["alpha"]:
            warn(
                "For solver='lbfgs', scikit-learn divides alpha by the number of samples. It is "
                f"unknown, so {THEIR_BATCH} is assumed. Pass n_samples to from_sklearn."
            )
        divisor, batch = n_samples or THEIR_BATCH, "auto"
    else:
        batch = min(THEIR_BATCH, n_samples or THEIR_BATCH) if batch == "auto" else int(batch)
        divisor = batch
    schedule: Any = "constant"
    if solver == "sgd" and theirs["learning_rate"] == "invscaling":
        schedule = InverseScaling(theirs["power_t"])
    elif (
        solver == "sgd"
        and theirs["learning_rate"] == "adaptive"
        and params["n_iter_no_change"] < inf
    ):
        patience = int(params["n_iter_no_change"]) + 1
        schedule = Plateau(0.2, patience, theirs["tol"])
        n_drops = max(0, ceil(log(rate / THEIR_MIN_RATE) / log(5)))
        params["n_iter_no_change"] = patience * (n_drops + 1) - 1
    initializer: Any = "glorot_uniform"
    if theirs["activation"] == "logistic":
        initializer = VarianceScaling(1 / 3, "average", "uniform")
    optimizers = {
        "sgd": lambda: SGD(rate, theirs["momentum"], theirs["nesterovs_momentum"]),
        "adam": lambda: Adam(rate, theirs["beta_1"], theirs["beta_2"], theirs["epsilon"]),
        "lbfgs": LBFGS,
    }
    return params | {
        "optimizer": optimizers[solver](),
        "schedule": schedule,
        "alpha": theirs["alpha"] / divisor,
        "batch_size": batch,
        "l1_ratio": 0.0,
        "averaging": None,
        "initializer": initializer,
        "bias_initializer": initializer,
        "scoring": None,
        "dtype": "float64",
    }


def _copy_fitted_state(estimator: Any, model: Any, n_samples: int | None) -> None:
    """Copy the weights, counters and moments of a fitted network to the estimator."""
    architecture = Architecture.of(estimator)
    widths = [len(b) for b in model.intercepts_[:-1]]
    if list(architecture.widths) != widths:
        raise ValueError(
            f"hidden_layer_sizes={model.hidden_layer_sizes!r} was changed after fit: the weights "
            f"are those of hidden layers of {widths} units."
        )
    if is_classifier(model):
        labels = model.classes_
        if model._label_binarizer.y_type_ == "multilabel-indicator":
            labels = np.repeat([[0], [1]], len(labels), axis=1)
        estimator._targets = learn_classes(labels)
    else:
        n_outputs = model.n_outputs_
        estimator._targets = Continuous(np.zeros(n_outputs), np.ones(n_outputs))
    for name in ("n_features_in_", "feature_names_in_"):
        if hasattr(model, name):
            setattr(estimator, name, getattr(model, name))
    network = build(
        model.n_features_in_,
        widths,
        len(model.intercepts_[-1]),
        architecture.activations,
        dtype=estimator.dtype,
    )
    network.theta[...] = _as_vector(model.coefs_ + model.intercepts_)
    loss = estimator._targets.loss(architecture.loss)
    plan = make_plan(estimator, architecture, loss, n_samples or THEIR_BATCH)
    seed = check_random_state(estimator.random_state).randint(np.iinfo(np.int32).max)
    run = new_run(network, np.random.default_rng(seed), plan)
    known = _copy_counters(run, model, plan.batch_size, n_samples)
    estimator._structure = architecture.described()
    estimator._publish(plan, run)
    if not (known and _copy_moments(run, plan.optimizer, model)):
        # Without a run, further training keeps the weights but starts with a new optimizer state.
        estimator._run = None


def _as_vector(arrays: list[np.ndarray]) -> np.ndarray:
    """Return the arrays as one vector."""
    return np.concatenate([array.ravel() for array in arrays])


def _copy_counters(run: Run, model: Any, batch_size: int, n_samples: int | None) -> bool:
    """Set counters, curves and stop reason; return whether the number of steps is known."""
    curve = getattr(model, "loss_curve_", None)
    # L-BFGS stores only the last loss.
    if curve is None:
        curve = [model.loss_]
    scores = getattr(model, "validation_scores_", None)
    n_rows = 0 if n_samples is None or model.solver == "lbfgs" else n_samples
    run.history = History()
    for epoch, loss in enumerate(curve, start=1):
        row = {"epoch": epoch, "loss": float(loss)}
        if scores is not None:
            row["validation_score"] = float(scores[epoch - 1])
        run.history.append(**row)
    run.clock.epoch = len(curve) if n_rows else model.n_iter_
    run.first_epoch = run.clock.epoch - model.n_iter_
    run.clock.loss = float(curve[-1])
    run.clock.step = model.n_iter_
    if n_rows:
        run.clock.step = len(curve) * -(-n_rows // batch_size)
    best = np.argmin(curve) if scores is None else np.argmax(scores)
    run.best_epoch = int(best) + 1
    if scores is not None:
        run.best_score = float(model.best_validation_score_)
    if model.n_iter_ >= model.max_iter:
        run.stop_reason = "max_iter"
    elif not n_rows or model._no_improvement_count > model.n_iter_no_change:
        run.stop_reason = "early_stopping" if model.early_stopping else "tol"
    return n_rows > 0


def _copy_moments(run: Run, optimizer: Any, model: Any) -> bool:
    """Copy the moments of scikit-learn's optimizer, unless they do not match the weights.

    Return whether they were copied.
    """
    theirs = getattr(model, "_optimizer", None)
    # Early stopping restores the weights of an earlier epoch, but not the moments.
    if theirs is None or model.early_stopping:
        return False
    state = run.optimizer_state
    if isinstance(optimizer, Adam):
        state.m[...], state.v[...], state.t = _as_vector(theirs.ms), _as_vector(theirs.vs), theirs.t
        run.clock.step = theirs.t
    else:
        state.t = run.clock.step
        # scikit-learn's velocity includes the learning rate and has the opposite sign.
        if optimizer.slots:
            state.v[...] = _as_vector(theirs.velocities) / -theirs.learning_rate
    return True
