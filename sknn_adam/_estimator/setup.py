"""Preparation of a training session from parameters and data."""

from copy import copy, deepcopy
from dataclasses import dataclass
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
from sknn_adam._training.splits import Folds, hold_out, make_folds
from sknn_adam._utils.validation import check_sample_weight, validate_pair
from sknn_adam._utils.warnings import warn
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
    rows : Rows
        All samples that were passed, including those with weight zero.
    samples : Rows
        The training samples.
    validation : Rows or None
        The validation samples, unless members hold out samples by `folds`.
    folds : Folds or None
        The samples that each cross-fitted network trains on and holds out.
    """

    model: Any
    plan: Plan
    run: Run
    data: Data
    rows: Rows
    samples: Rows
    validation: Rows | None
    folds: Folds | None


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
        Group labels for `cv`.
    """
    architecture = Architecture.of(estimator)
    if partial and estimator.early_stopping:
        raise ValueError(
            "partial_fit does not support early_stopping=True, because it trains for one epoch and "
            "the caller decides when to stop. Set early_stopping=False."
        )
    model: Any = copy(estimator)
    # These attributes belong to the previous training.
    for name in ("oof_prediction_", "oof_std_", "oof_score_", "oof_loss_"):
        vars(model).pop(name, None)
    loss = architecture.loss
    rows = _checked(model, X, y, sample_weight, loss, classes, not resume, 1 if partial else 2)
    if resume and not partial:
        model._targets.check_resumed(y)
    samples = rows.of_positive_weight()
    samples.targets = model._targets.encode(samples.y, loss, classes, learned=not resume)
    seed = check_random_state(estimator.random_state)
    given = validation[0] is not None
    folds = _folds(model, rows, samples, groups, seed, resume, given)
    if folds is not None and not resume:
        weights = folds.per_network(_split_weights(samples, folds))
        model._targets = model._targets.per_network(model, samples.y, weights, loss)
        samples.targets = model._targets.encode(samples.y, loss, classes, learned=True)
    held_out = _validation_samples(model, *validation, loss)
    if model.early_stopping and folds is None and not given:
        samples, held_out = _hold_out(model, samples, seed, resume)
    weight, kept = _weights(model, samples, folds, partial)
    plan = make_plan(model, architecture, model._targets.loss(loss), len(samples))
    rng = np.random.default_rng(seed.randint(np.iinfo(np.int32).max))
    if resume:
        run = _resumed_run(model, architecture, plan, rng, copied=not partial)
        if folds is not None:
            _check_splits(model, folds)
    else:
        n_raw = plan.loss.n_raw(model._targets.n_outputs)
        members = architecture.n_members if folds is None else len(folds)
        run = new_run(architecture.network(samples.X, n_raw, rng, members), rng, plan)
        model._structure = architecture.described()
    model._splits = None if folds is None else folds.checksum()
    arrays = samples.X, samples.targets, weight
    data = Data(*arrays, plan.batch_size, run.network.dtype, samples.index, kept)
    if architecture.initializer.unit_variance and not resume:
        run.network.unit_variance(data.batch(0, data.order(run.rng)).x)
    return Session(model, plan, run, data, rows, samples, held_out, folds)


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
        clock, history = Clock(step=model.n_steps_, epoch=model.n_iter_), deepcopy(model.history_)
        return new_run(deepcopy(model._network), rng, plan, clock=clock, history=history)
    return deepcopy(run) if copied else run


def _check_splits(model: Any, folds: Folds) -> None:
    """Check that training is resumed with the splits of the previous fit."""
    if len(folds) != model._network.members:
        now, before = len(folds.train), model._network.members // model.n_members
        raise ValueError(
            f"Training cannot be resumed with another number of splits: cv had {before} and has "
            f"{now} now. Restore it, or start over with warm_start=False or a clone."
        )
    if folds.checksum() != model._splits:
        warn(
            "The splits of cv differ from those of the previous fit. If X contains samples of that "
            "fit, networks have been trained on samples that they now hold out, so "
            "oof_prediction_ and oof_score_ are optimistic. Pass a splitter with a fixed "
            "random_state, or set warm_start=False."
        )


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
    """Validate data and return its rows; if `first`, learn the target type."""
    model._target_type.check(y)
    options = {"ensure_min_samples": minimum, "reset": first}
    X, y = validate_pair(model, X, y, sample_weight, model._target_type.numeric, **options)
    rows = Rows(X, y.toarray() if issparse(y) else y)
    if sample_weight is not None:
        rows.weight = check_sample_weight(sample_weight, X)
    if first:
        model._targets = model._target_type.learn(model, rows.y, rows.weight, loss, classes)
    return rows


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
        samples = _checked(model, X_val, y_val, sample_weight_val, loss).of_positive_weight()
        samples.targets = model._targets.encode(samples.y, loss)
    except ValueError as error:
        reason = getattr(error, "held_out", error)
        raise ValueError(f"X_val or y_val cannot be used: {reason}") from error
    return samples


def _class_codes(samples: Rows) -> np.ndarray | None:
    """Return the class codes if there is a single column of classes, else None."""
    return samples.targets if samples.targets.ndim == 1 else None


def _seed_of_split(model: Any, seed: Any, resume: bool) -> int:
    """Return the seed of the split; a warm start must not train on samples held out before."""
    if not (resume and hasattr(model, "_seed_of_split")):
        model._seed_of_split = seed.randint(np.iinfo(np.int32).max)
    return model._seed_of_split


def _hold_out(model: Any, samples: Rows, seed: Any, resume: bool) -> tuple[Rows, Rows]:
    """Return training and validation samples."""
    split = _seed_of_split(model, seed, resume)
    codes = _class_codes(samples)
    train, held = hold_out(len(samples), model.validation_fraction, codes, split)
    return samples.take(train), samples.take(held)


def _folds(
    model: Any, rows: Rows, samples: Rows, groups: Any, seed: Any, resume: bool, given: bool
) -> Folds | None:
    """Return the folds of `cv`, or None without it; `given` is whether X_val was passed."""
    if model.cv is None:
        if groups is not None:
            raise ValueError(
                "groups is for cross-fitting only: set cv, for example cv=5, or do not pass groups."
            )
        return None
    if groups is not None:
        check_consistent_length(rows.X, groups)
    codes = _class_codes(samples)
    if codes is not None and len(samples) < len(rows):
        # Samples with weight zero are held out like the others.
        codes = np.unique(rows.y.ravel(), return_inverse=True)[1]
    return make_folds(
        model.cv,
        model.n_members,
        rows.X,
        rows.y,
        codes,
        groups,
        rows.weight,
        # The best epoch for a sample is determined by the others in its fold.
        least=2 if model.early_stopping and not given else 1,
        random_state=_seed_of_split(model, seed, resume),
    )


def _split_weights(samples: Rows, folds: Folds) -> np.ndarray:
    """Return the weight of each sample in the training set of each split."""
    counts = folds.counts(samples.index)
    return counts if samples.weight is None else counts * samples.weight


def _weights(model: Any, samples: Rows, folds: Folds | None, partial: bool) -> tuple[Any, Any]:
    """Return sample weights times class weights, and which samples each network trains on."""
    weights = model._targets.weights
    if folds is None:
        return weights(model, samples.weight, samples.targets, partial), None
    by_split = _split_weights(samples, folds)
    weight = folds.per_network(weights(model, row, samples.targets) for row in by_split)
    return weight, folds.per_network(by_split > 0)
