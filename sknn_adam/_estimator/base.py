"""What both estimators share: translation between scikit-learn and the training function."""

from copy import copy, deepcopy
from dataclasses import replace
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length

from sknn_adam._component.base import NestedNames
from sknn_adam._component.ranges import NETWORK
from sknn_adam._component.registry import Table
from sknn_adam._estimator.html import NetworkView
from sknn_adam._estimator.prediction import Published, joined
from sknn_adam._estimator.report import report
from sknn_adam._estimator.scoring import out_of_fold_score, validator
from sknn_adam._estimator.setup import (
    RENAMED,
    check_parts,
    check_unchanged,
    choose_sizes,
    describe,
    new_network,
)
from sknn_adam._training.batches import Data, Rows
from sknn_adam._training.history import LiveTable
from sknn_adam._training.loop import Run, train
from sknn_adam._training.members import Members
from sknn_adam._training.plan import Plan
from sknn_adam._training.splits import fold_numbers, hold_out
from sknn_adam._utils.inputs import group_codes, validate_pair
from sknn_adam._utils.interrupts import Interrupts
from sknn_adam._utils.sklearn_compat import (
    CallbackSupportMixin,
    Interval,
    StrOptions,
    unchanged_on_error,
    with_callbacks,
)
from sknn_adam._utils.validation import (
    NON_NEGATIVE,
    POSITIVE_INTEGER,
    UNIT_INTERVAL,
    check_sample_weight,
)
from sknn_adam._utils.warnings import warn, warn_if_split
from sknn_adam.activations import ACTIVATIONS
from sknn_adam.averaging import AVERAGINGS
from sknn_adam.clipping import CLIPPINGS
from sknn_adam.initializers import INITIALIZERS
from sknn_adam.normalization import NORMALIZATIONS
from sknn_adam.optimizers import OPTIMIZERS
from sknn_adam.schedules import SCHEDULES, Clock


class BaseMLP(NetworkView, CallbackSupportMixin, NestedNames, Published):
    """Base of MLPClassifier and MLPRegressor."""

    _tables: ClassVar[dict[str, Table]] = {
        "activation": ACTIVATIONS,
        "initializer": INITIALIZERS,
        "bias_initializer": INITIALIZERS,
        "normalization": NORMALIZATIONS,
        "optimizer": OPTIMIZERS,
        "schedule": SCHEDULES,
        "gradient_clip": CLIPPINGS,
        "averaging": AVERAGINGS,
    }
    _renamed: ClassVar[dict[str, str]] = RENAMED
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "alpha": [StrOptions({"auto"}), NON_NEGATIVE],
        "l1_ratio": [StrOptions({"auto"}), UNIT_INTERVAL],
        "batch_size": [StrOptions({"auto"}), POSITIVE_INTEGER],
        "max_iter": [POSITIVE_INTEGER],
        "shuffle": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "scoring": [str, callable, None],
        "n_iter_no_change": [Interval(Real, 1, np.inf, closed="both")],
        "tol": [NON_NEGATIVE],
        "warm_start": ["boolean"],
        "n_members": [POSITIVE_INTEGER],
        "verbose": ["verbose"],
        "record": ["boolean", StrOptions({"all"})],
        "on_divergence": [StrOptions({"warn", "raise"})],
        "dtype": [StrOptions({"auto", "float32", "float64"})],
        "random_state": ["random_state"],
    }
    ranges: ClassVar = NETWORK
    # The groups that a search splits by are not meant for fit unless set_fit_request says so.
    __metadata_request__fit: ClassVar = {"groups": False}

    # -- fitting --------------------------------------------------------------------------------

    @unchanged_on_error
    @with_callbacks
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        groups: Any = None,
    ) -> Self:
        """Fit the network to data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features. float32 and float64 are taken as they are, other types are converted.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets: numbers for a regressor, labels or a 0/1 matrix of labels for a classifier.
        sample_weight : array-like of shape (n_samples,), optional
            Weights, not negative, with a positive sum. Only their ratios matter; rows of weight
            zero are left out from the start.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), optional
            Features for validation. The validation score is then recorded every epoch, and
            decides with ``early_stopping=True`` when to stop; no row of X is held out.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), optional
            Targets for validation.
        sample_weight_val : array-like of shape (n_val,), optional
            Weights for validation.
        groups : array-like of shape (n_samples,), optional
            Rows of one group are left out by the same member. Only for cross-fitted members:
            `n_members` above 1, `early_stopping`, and no X_val.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        resume = self.warm_start and self.__sklearn_is_fitted__()
        parts, plan = check_parts(self)
        rows = self._check_data(X, y, sample_weight, plan.loss, not resume, min_rows=2)
        if resume:
            self._targets.check_resumed(y)
        rows.targets = self._targets.encode(rows.y, plan.loss, learned=not resume)
        validation = self._check_validation(X_val, y_val, sample_weight_val, plan.loss)
        seed = check_random_state(self.random_state)
        rows, validation = self._split(rows, validation, groups, resume, seed)
        rows.weight = self._targets.weights(self, rows.weight, rows.targets)
        plan, data = self._ready(parts, plan, rows, resume, seed, careful=True)
        run = self._run
        if not run.in_fit:
            run.new_fit()
        n_epochs = self.max_iter - (run.clock.epoch - run.first_epoch)
        if run.stop_reason == "max_iter" and n_epochs > 0:
            run.stop_reason = None
        try:
            with Interrupts() as interrupted:
                self._train(plan, data, n_epochs, rows, validation, interrupted)
                run.stop_reason = run.stop_reason or "max_iter"
                self._publish(plan)
                self._publish_out_of_fold(rows, validation if rows.fold is not None else None)
                if not interrupted.by_user:
                    report(self, plan, run)
                    run.in_fit = False
                    if not self.warm_start:
                        del self._run
                        self._network.release()
            return self
        except KeyboardInterrupt:  # the next fit with warm_start=True finishes this one
            run.in_fit, self._run = True, run
            if run.stop_reason != "diverged":
                self.stop_reason_, self.converged_ = None, False
            raise

    def _partial_fit(self, X, y, sample_weight, classes=None):
        resume = self.__sklearn_is_fitted__()
        parts, plan = check_parts(self)
        if self.early_stopping:
            raise ValueError(
                "partial_fit does not support early_stopping=True: it does one epoch, and whoever "
                "calls it decides when to stop. Set early_stopping=False."
            )
        rows = self._check_data(X, y, sample_weight, plan.loss, not resume, classes=classes)
        rows.targets = self._targets.encode(rows.y, plan.loss, classes, learned=not resume)
        rows.weight = self._targets.weights(self, rows.weight, rows.targets, partial=True)
        seed = check_random_state(self.random_state)
        plan, data = self._ready(parts, plan, rows, resume, seed, careful=False)
        undo = self._run.remember()
        try:
            self._one_epoch(plan, data, rows)
        except Exception:
            undo()
            raise
        return self

    def _one_epoch(self, plan, data, rows):
        run = self._run
        run.stop_reason, run.in_fit, run.batch, run.waited = None, False, 0, 0
        if plan.schedule.uses_progress and run.clock.epoch - run.first_epoch == self.max_iter:
            warn(
                f"{plan.schedule!r} has run out after max_iter={self.max_iter} epochs and stays "
                "at its last factor. Raise max_iter, or use a schedule that does not depend on "
                "progress, such as 'constant' or 'inverse_scaling'."
            )
        with Interrupts() as interrupted:
            self._train(plan, data, 1, rows, None, interrupted)
            self._publish(plan)
            report(self, plan, run)

    def _train(self, plan, data, n_epochs, rows, validation, interrupted) -> None:
        """Train, telling callbacks and the terminal about every epoch."""
        run, self._loss = self._run, plan.loss
        self._forget()
        self._publish(plan)
        task = {
            "estimator": self,
            "X": rows.features,  # called only for a callback that asks for X
            "y": rows.y,
            "metadata": {} if rows.weight is None else {"sample_weight": rows.weight},
        }
        context = self._init_callback_context(task_name="fit", max_subtasks=max(0, n_epochs))
        context.call_on_fit_task_begin(**task)
        table = LiveTable() if self.verbose else None
        told: Any = table is not None or hasattr(self, "_skl_callbacks")

        def snapshot():
            return {"_network": deepcopy(run.network.at(run.point(plan))), "_run": None}

        def on_epoch(run):
            self._publish(plan)
            if table is not None:
                table.show(run.history[-1])
            epoch = context.subcontext(task_name="epoch")
            epoch.call_on_fit_task_begin(**task)
            return epoch.call_on_fit_task_end(**task, reconstruction_attributes=snapshot)

        try:
            if run.stop_reason is None:  # else an interrupted fit had come to its end
                validate = validator(self, validation, plan, run)
                told = on_epoch if told else None
                train(run, plan, data, n_epochs, validate, told, interrupted)
        except KeyboardInterrupt:
            self._publish(plan)
            raise
        context.call_on_fit_task_end(**task, reconstruction_attributes=snapshot)

    def _check_data(self, X, y, sample_weight, loss, first, min_rows=1, classes=None):
        """Return the rows of positive weight, checked."""
        options = {"ensure_min_samples": min_rows, "reset": first}
        X, y = validate_pair(self, X, y, sample_weight, self._target_type, **options)
        rows = Rows(X, y.toarray() if issparse(y) else y)
        if sample_weight is not None:
            rows.weight = check_sample_weight(sample_weight, X)
        if first:
            self._targets = self._target_type.learn(self, rows.y, rows.weight, loss, classes)
        if sample_weight is not None:
            if not rows.weight.all():
                rows = rows.take(np.flatnonzero(rows.weight))
        return rows

    def _split(self, rows, validation, groups, resume, seed):
        """Return the rows to train on and to validate with; members get a fold each."""
        crossed = validation is None and self.early_stopping and self.n_members > 1
        if groups is not None and not crossed:
            raise ValueError(
                "groups is for cross-fitted members only: set n_members above 1 and "
                "early_stopping=True, and give no X_val, or leave groups out."
            )
        if validation is not None or not self.early_stopping:
            return rows, validation
        # A warm start must not train on the rows that were held out before.
        if not (resume and hasattr(self, "_seed_of_split")):
            self._seed_of_split = seed.randint(np.iinfo(np.int32).max)
        codes = rows.targets if rows.targets.ndim == 1 else None
        if not crossed:
            fraction = self.validation_fraction
            kept, held = hold_out(len(rows), fraction, codes, self._seed_of_split)
            return rows.take(kept), rows.take(held)
        if groups is not None:
            groups = group_codes(groups)
            check_consistent_length(rows.X, groups)
            groups = groups if rows.index is None else groups[rows.index]
        rows.fold = fold_numbers(len(rows), self.n_members, codes, groups, self._seed_of_split)
        return rows, copy(rows)

    def _check_validation(self, X_val, y_val, sample_weight_val, loss):
        """Return the user's validation rows, None if there are none."""
        if X_val is None and y_val is None:
            if sample_weight_val is not None:
                raise ValueError("sample_weight_val was given without X_val and y_val.")
            return None
        if X_val is None or y_val is None:
            raise ValueError("X_val and y_val must be given together.")
        warn_if_split(X_val)
        try:
            rows = self._check_data(X_val, y_val, sample_weight_val, loss, first=False)
            rows.targets = self._targets.encode(rows.y, loss)
        except ValueError as error:
            reason = getattr(error, "held_out", error)
            raise ValueError(f"X_val or y_val cannot be used: {reason}") from error
        return rows

    def _ready(self, parts, plan, rows, resume, seed, careful) -> tuple[Plan, Data]:
        """Make the run if there is none to go on with; return the plan and the rows in batches."""
        plan = replace(
            plan, loss=self._targets.loss(plan.loss), **choose_sizes(self, plan, len(rows))
        )
        rng = np.random.default_rng(seed.randint(np.iinfo(np.int32).max))
        if not resume:
            n_raw = plan.loss.n_raw(self.n_outputs_)
            network = new_network(self, parts, rows.X, n_raw, rng)
            kind = Run if network.members is None else Members
            self._run = kind(network, rng)
            self._structure = describe(self, parts)
            self._run.begin(plan)
        else:
            check_unchanged(self, parts, self._network)
            if getattr(self, "_run", None) is None:  # only the weights were kept
                clock = Clock(step=self.t_, epoch=self.n_iter_)
                kind = Run if self._network.members is None else Members
                self._run = kind(deepcopy(self._network), rng, clock=clock)
                self._run.history = deepcopy(self.history_)
                self._run.begin(plan)
            elif careful:  # an error must leave the present run as it is
                self._run = deepcopy(self._run)
        network = self._run.network
        table = rows.X, rows.targets, rows.weight, plan.batch_size
        data = Data(*table, network.dtype, rows.index, rows.fold, self.n_members)
        if parts["initializer"].unit_variance and not resume:
            network.unit_variance(data.batch(0, data.order(self._run.rng)).x)
        return plan, data

    def _publish(self, plan: Plan) -> None:
        """Set the fitted attributes from the run."""
        run = self._run
        self._network, self._loss = run.network.at(run.point(plan)), plan.loss
        self.optimizer_ = plan.optimizer
        self.history_ = run.history
        self.n_iter_ = run.clock.epoch - run.first_epoch
        self.best_iter_ = run.best_epoch - run.first_epoch
        self.validation_scores_ = run.history.columns.get("validation_score")
        score = float(np.mean(run.best_score))
        self.best_validation_score_ = score if plan.early_stopping else None
        self.t_ = run.clock.step
        self.n_layers_ = len(run.network.dense()) + 1
        self.stop_reason_ = run.stop_reason
        judged = not plan.early_stopping or bool(np.isfinite(run.best_score).any())
        self.converged_ = judged and run.stop_reason in ("tol", "early_stopping")

    def _forget(self) -> None:
        """Remove what an earlier training said of rows that were left out."""
        for name in ("oof_prediction_", "oof_score_"):
            self.__dict__.pop(name, None)

    def _publish_out_of_fold(self, rows, held) -> None:
        """Set what the rows that members have left out tell, if they have left out any."""
        run: Any = self._run
        if held is None or run.oof.z is None:  # training diverged in its first epoch
            return
        z, dtype, n_rows = run.oof.z, held.X.dtype, held.X.shape[0]
        self.oof_score_ = out_of_fold_score(self, held, z)
        self.oof_prediction_ = self._targets.predictions(self._loss, z, dtype)
        if len(held) < n_rows:  # rows without weight, which no member has seen
            others = np.setdiff1d(np.arange(n_rows), held.index)
            z = self._network.predict(held.X, others)
            mean = self._targets.predictions(self._loss, z, dtype)
            both = np.argsort(np.append(held.index, others))
            self.oof_prediction_ = joined(self.oof_prediction_, mean, both)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        return tags
