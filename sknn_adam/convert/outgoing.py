"""Conversion to scikit-learn's networks, if there is an equivalent one."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.utils import check_random_state

from sknn_adam._estimator.parameters import Architecture, make_plan
from sknn_adam.activations import Identity, Logistic, ReLU, Tanh
from sknn_adam.classifier import MLPClassifier
from sknn_adam.convert.incoming import SAME
from sknn_adam.losses import LogLoss, PoissonLoss, SquaredError
from sknn_adam.normalization import BatchNorm
from sknn_adam.optimizers import LBFGS, SGD, Adam
from sknn_adam.regressor import MLPRegressor
from sknn_adam.schedules import Constant, InverseScaling, Plateau

__all__ = ["to_sklearn"]

ACTIVATIONS = {Identity: "identity", Logistic: "logistic", Tanh: "tanh", ReLU: "relu"}
LOSSES = {LogLoss: "log_loss", SquaredError: "squared_error", PoissonLoss: "poisson"}


def to_sklearn(estimator: MLPClassifier | MLPRegressor, n_samples: int | None = None) -> Any:
    """Convert an estimator of this package to a network of scikit-learn.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        The estimator, fitted or not. It is not modified. The weights of a fitted estimator are
        copied, with learned scales, batch normalization and target scaling folded in, so the
        network makes the same predictions. Its training parameters are mapped if scikit-learn has a
        counterpart, and otherwise omitted, for example dropout. If the estimator is not fitted, all
        parameters must have a counterpart.
    n_samples : int, optional
        Number of training samples, 1000 by default. It determines the values that ``"auto"`` stands
        for in ``batch_size`` and ``alpha``.

    Returns
    -------
    sklearn.neural_network.MLPClassifier or sklearn.neural_network.MLPRegressor
        The network.

    Raises
    ------
    ValueError
        If scikit-learn has no equivalent network. The message lists all properties and parameters
        without a counterpart.

    See Also
    --------
    from_sklearn : The reverse conversion.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sknn_adam import MLPRegressor, to_sklearn
    >>> X, y = load_diabetes(return_X_y=True)
    >>> ours = MLPRegressor("16x2", normalization="batch", random_state=0).fit(X, y)
    >>> theirs = to_sklearn(ours)
    >>> bool(abs(theirs.predict(X) - ours.predict(X)).max() < 1e-9)
    True
    """
    if not isinstance(estimator, MLPClassifier | MLPRegressor):
        raise TypeError(
            "to_sklearn takes an MLPClassifier or MLPRegressor of sknn_adam. Got "
            f"{estimator!r} instead."
        )
    from sklearn import neural_network

    fitted = estimator.__sklearn_is_fitted__()
    architecture = Architecture.of(estimator)
    problems = [*_network_problems(estimator, architecture, fitted)]
    if not fitted:
        problems += _training_problems(estimator, architecture)
    name = "MLPClassifier" if is_classifier(estimator) else "MLPRegressor"
    if problems:
        hint = "" if fitted else " After fit, training parameters need no counterpart."
        raise ValueError(
            f"scikit-learn's {name} has no counterpart of {', '.join(problems)}.{hint}"
        )
    params = _their_parameters(estimator, architecture, n_samples or 1000)
    if name == "MLPRegressor":
        params["loss"] = LOSSES[type(architecture.loss)]
    model = getattr(neural_network, name)(**params)
    if fitted:
        _copy_state(estimator, model)
    return model


def _network_problems(estimator: Any, architecture: Architecture, fitted: bool) -> Iterator[str]:
    """Yield the properties of the network that scikit-learn does not support."""
    used = {type(activation) for activation in architecture.activations}
    if len(used) > 1 or not used <= ACTIVATIONS.keys():
        yield f"activation={estimator.activation!r}"
    foldable = fitted and type(architecture.normalization) is BatchNorm
    if not (architecture.normalization is None or foldable):
        yield f"normalization={estimator.normalization!r}"
    if type(architecture.loss) not in LOSSES:
        yield f"loss={estimator.loss!r}"
    if fitted and is_classifier(estimator):
        targets = estimator._targets
        if targets.several and targets.exclusive:
            yield "several columns of classes"
        if not targets.several and len(targets.classes) < 2:
            yield "a single class"
    several = estimator.n_members > 1 or estimator.cv is not None
    if estimator._network.members is not None if fitted else several:
        yield "several members"


def _training_problems(estimator: Any, architecture: Architecture) -> Iterator[str]:
    """Yield the training parameters that scikit-learn does not support."""
    optimizer = type(architecture.optimizer)
    schedules = (Constant, InverseScaling, Plateau) if optimizer is SGD else (Constant,)
    for name, used, convertible in (
        ("optimizer", optimizer, (SGD, Adam, LBFGS)),
        ("schedule", type(architecture.schedule), schedules),
        ("gradient_clip", type(architecture.clip), (type(None),)),
        ("averaging", type(architecture.averaging), (type(None),)),
    ):
        if used not in convertible:
            yield f"{name}={getattr(estimator, name)!r}"
    if any(architecture.dropout):
        yield f"dropout={estimator.dropout!r}"
    l1_ratio, smooth = estimator.l1_ratio, architecture.optimizer.full_batch
    if l1_ratio and not (l1_ratio == "auto" and (smooth or architecture.loss.task == "regression")):
        yield f"l1_ratio={l1_ratio!r}"
    for name in ("learn_scales", "class_weight", "target_scaling"):
        if getattr(estimator, name, None):
            yield f"{name}={getattr(estimator, name)!r}"


def _their_parameters(estimator: Any, architecture: Architecture, n: int) -> dict[str, Any]:
    plan = make_plan(estimator, architecture, architecture.loss, n)
    params = {name: getattr(estimator, name) for name in SAME} | {"max_iter": plan.max_iter}
    params["hidden_layer_sizes"] = architecture.widths
    activations = [ACTIVATIONS[type(activation)] for activation in architecture.activations]
    optimizer, schedule = architecture.optimizer, architecture.schedule
    params |= {
        "activation": (activations or ["relu"])[0],
        "verbose": estimator.verbose not in (False, "auto"),
        "alpha": plan.alpha * plan.batch_size,
        "batch_size": "auto" if optimizer.full_batch else plan.batch_size,
        "solver": "lbfgs" if optimizer.full_batch else "adam",
    }
    if not optimizer.full_batch:
        params["learning_rate_init"] = optimizer.learning_rate
    if type(optimizer) is SGD:
        params["solver"] = "sgd"
        params["momentum"], params["nesterovs_momentum"] = optimizer.momentum, optimizer.nesterov
        if type(schedule) is InverseScaling:
            params["learning_rate"], params["power_t"] = "invscaling", schedule.power
        elif type(schedule) is Plateau:
            params["learning_rate"], params["n_iter_no_change"] = "adaptive", schedule.patience - 1
    elif type(optimizer) is Adam:
        params |= {name: getattr(optimizer, name) for name in ("beta_1", "beta_2", "epsilon")}
    return params


def _copy_state(estimator: Any, model: Any) -> None:
    """Copy the weights, counters and curves of a fitted estimator to scikit-learn's network.

    One epoch on dummy samples first sets all fitted attributes of the installed scikit-learn.
    """
    template = clone(model).set_params(
        solver="sgd", early_stopping=False, verbose=False, random_state=0, batch_size="auto"
    )
    if is_classifier(estimator):
        y, known = estimator.classes_, {"classes": estimator.classes_}
        if estimator._targets.several:
            y = np.repeat([[0], [1]], len(y), axis=1)
    else:
        n_outputs = estimator.n_outputs_
        y, known = np.ones(2) if n_outputs == 1 else np.ones((2, n_outputs)), {}
    template.partial_fit(np.zeros((len(y), estimator.n_features_in_)), y, **known)
    made = {
        name: value for name, value in vars(template).items() if name not in template.get_params()
    }
    # Further training creates a new optimizer.
    made.pop("_optimizer")
    vars(model).update(made)
    if hasattr(estimator, "feature_names_in_"):
        model.feature_names_in_ = estimator.feature_names_in_
    model.coefs_ = [W.copy() for W in estimator.coefs_]
    model.intercepts_ = [b.copy() for b in estimator.intercepts_]
    model.n_iter_, model.t_ = estimator.n_iter_, 0
    model.loss_, model.best_loss_ = estimator.loss_, estimator.best_loss_
    model.loss_curve_ = list(estimator.loss_curve_)
    model.validation_scores_ = estimator.validation_scores_
    model.best_validation_score_ = estimator.best_validation_score_
    model._no_improvement_count = 0
    model._random_state = check_random_state(estimator.random_state)
