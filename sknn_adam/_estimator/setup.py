"""Preparation of a training session from parameters and data."""

from copy import copy, deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length

from sknn_adam._estimator.parameters import Architecture, make_plan
from sknn_adam._estimator.typing import MLP
from sknn_adam._nn.network import Network
from sknn_adam._training.batches import Data, Rows
from sknn_adam._training.members import Members
from sknn_adam._training.plan import Plan
from sknn_adam._training.run import Run
from sknn_adam._training.splits import fold_numbers, hold_out
from sknn_adam._utils.validation import check_sample_weight, group_codes, validate_pair
from sknn_adam.losses import Loss
from sknn_adam.schedules import Clock

__all__ = ["Session", "new_run", "prepare"]


@dataclass(frozen=True)
class Session:
    """Everything that a call of ``fit`` or ``partial_fit`` needs for training.

    Parameters
    ----------
    model : MLPClassifier or MLPRegressor
        A copy of the estimator that receives the fitted attributes. The estimator copies them at
        the end, so that an error before then leaves it unchanged.
    plan : Plan
        The components and numbers of the training.
    run : Run
        The state of the training.
    data : Data
        The training samples in batches.
    samples : Rows
        The training samples.
    validation : Rows or None
        The validation samples; for cross-fitted members, the training samples with their folds.
    """

    model: Any
    plan: Plan
    run: Run
    data: Data
    samples: Rows
    validation: Rows | None


def prepare(
    estimator: MLP,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    resume: bool = False,
    partial: bool = False,
    classes: Any = None,
    validation: tuple[Any, Any, Any] = (None, None, None),
    groups: Any = None,
) -> Session:
    """Validate parameters and data, and return a session that is ready to train.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        The estimator, which is unchanged. With both `partial` and `resume`, however, the session
        uses its run instead of a copy.
    X, y, sample_weight : array-like
        Training data.
    resume : bool, default=False
        Whether to resume the training of a fitted estimator.
    partial : bool, default=False
        Whether this is a ``partial_fit``: a single epoch, possibly on a subset of the samples.
    classes : array-like, optional
        All classes, if `y` can lack some.
    validation : tuple of (X, y, sample_weight)
        Validation data passed by the user.
    groups : array-like, optional
        Group labels. All samples of a group are held out by the same member.
    """
    architecture = Architecture.of(estimator)
    if partial and estimator.early_stopping:
        raise ValueError(
            "partial_fit does not support early_stopping=True, because it trains for one epoch and "
            "the caller decides when to stop. Set early_stopping=False."
        )
    model: Any = copy(estimator)
    # These attributes belong to the previous training.
    for name in ("oof_prediction_", "oof_score_"):
        vars(model).pop(name, None)
    loss = architecture.loss
    minimum = 1 if partial else 2
    samples = _checked(model, X, y, sample_weight, loss, classes, not resume, minimum)
    if resume and not partial:
        model._targets.check_resumed(y)
    samples.targets = model._targets.encode(samples.y, loss, classes, learned=not resume)
    held_out = _validation_samples(model, *validation, loss)
    seed = check_random_state(estimator.random_state)
    samples, held_out = _split(model, samples, held_out, groups, resume, seed)
    weight = model._targets.weights(model, samples.weight, samples.targets, partial)
    samples = replace(samples, weight=weight)
    plan = make_plan(model, architecture, model._targets.loss(loss), len(samples))
    rng = np.random.default_rng(seed.randint(np.iinfo(np.int32).max))
    if resume:
        run = _resumed_run(model, architecture, plan, rng, copied=not partial)
    else:
        n_raw = plan.loss.n_raw(model._targets.n_outputs)
        run = new_run(architecture.network(samples.X, n_raw, rng), rng, plan)
        model._structure = architecture.described()
    arrays = samples.X, samples.targets, samples.weight
    folds = samples.index, samples.fold, architecture.n_members
    data = Data(*arrays, plan.batch_size, run.network.dtype, *folds)
    if architecture.initializer.unit_variance and not resume:
        run.network.unit_variance(data.batch(0, data.order(run.rng)).x)
    return Session(model, plan, run, data, samples, held_out)


def new_run(network: Network, rng: np.random.Generator, plan: Plan, **state: Any) -> Run:
    """Return a run that starts from the weights of a network."""
    run = (Run if network.members is None else Members)(network, rng, **state)
    run.begin(plan)
    return run


def _resumed_run(
    model: Any, architecture: Architecture, plan: Plan, rng: np.random.Generator, copied: bool
) -> Run:
    """Return the run of a fitted estimator, or a copy of it."""
    architecture.check_unchanged(model._structure, model._network.dtype)
    run = getattr(model, "_run", None)
    if run is None:
        # A fit without warm_start stores the weights, but not the run.
        clock, history = Clock(step=model.t_, epoch=model.n_iter_), deepcopy(model.history_)
        return new_run(deepcopy(model._network), rng, plan, clock=clock, history=history)
    return deepcopy(run) if copied else run


def _checked(
    model: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    loss: Loss,
    classes: Any = None,
    first: bool = False,
    minimum: int = 1,
) -> Rows:
    """Validate data and return samples with positive weight; if `first`, learn the target type."""
    model._target_type.check(y)
    options = {"ensure_min_samples": minimum, "reset": first}
    X, y = validate_pair(model, X, y, sample_weight, model._target_type.numeric, **options)
    samples = Rows(X, y.toarray() if issparse(y) else y)
    if sample_weight is not None:
        samples.weight = check_sample_weight(sample_weight, X)
    if first:
        learned = model._target_type.learn(model, samples.y, samples.weight, loss, classes)
        model._targets = learned
    if samples.weight is None or samples.weight.all():
        return samples
    return samples.take(np.flatnonzero(samples.weight))


def _validation_samples(
    model: Any, X_val: Any, y_val: Any, sample_weight_val: Any, loss: Loss
) -> Rows | None:
    """Return the validation samples passed by the user, or None."""
    if X_val is None and y_val is None:
        if sample_weight_val is not None:
            raise ValueError("sample_weight_val was given without X_val and y_val.")
        return None
    if X_val is None or y_val is None:
        raise ValueError("X_val and y_val must be given together.")
    try:
        samples = _checked(model, X_val, y_val, sample_weight_val, loss)
        samples.targets = model._targets.encode(samples.y, loss)
    except ValueError as error:
        reason = getattr(error, "held_out", error)
        raise ValueError(f"X_val or y_val cannot be used: {reason}") from error
    return samples


def _split(
    model: Any, samples: Rows, validation: Rows | None, groups: Any, resume: bool, seed: Any
) -> tuple[Rows, Rows | None]:
    """Return training and validation samples; cross-fitted members get one fold each."""
    crossed = validation is None and model.early_stopping and model.n_members > 1
    if groups is not None and not crossed:
        raise ValueError(
            "groups is for cross-fitted members only: set n_members above 1 and "
            "early_stopping=True without passing X_val, or do not pass groups."
        )
    if validation is not None or not model.early_stopping:
        return samples, validation
    # A warm start must not train on samples that were held out before.
    if not (resume and hasattr(model, "_seed_of_split")):
        model._seed_of_split = seed.randint(np.iinfo(np.int32).max)
    codes = samples.targets if samples.targets.ndim == 1 else None
    if not crossed:
        fraction = model.validation_fraction
        kept, held = hold_out(len(samples), fraction, codes, model._seed_of_split)
        return samples.take(kept), samples.take(held)
    if groups is not None:
        groups = group_codes(groups)
        check_consistent_length(samples.X, groups)
        groups = groups if samples.index is None else groups[samples.index]
    samples.fold = fold_numbers(len(samples), model.n_members, codes, groups, model._seed_of_split)
    return samples, samples
