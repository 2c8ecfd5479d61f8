"""Base class of both estimators: the scikit-learn interface of the training loop."""

from contextlib import nullcontext
from copy import copy, deepcopy
from math import inf
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping

from sknn_adam._backends.compilation import announcing
from sknn_adam._component.base import NestedNames
from sknn_adam._component.ranges import NETWORK
from sknn_adam._component.registry import Table
from sknn_adam._estimator.foreign_parameters import RENAMED
from sknn_adam._estimator.html import NetworkView
from sknn_adam._estimator.out_of_fold import publish_out_of_fold
from sknn_adam._estimator.prediction import Published
from sknn_adam._estimator.progress import progress_shown
from sknn_adam._estimator.report import report
from sknn_adam._estimator.scoring import validator
from sknn_adam._estimator.setup import Session, prepare
from sknn_adam._training.history import LiveTable
from sknn_adam._training.loop import train
from sknn_adam._training.plan import Plan
from sknn_adam._training.run import Run
from sknn_adam._utils.sklearn_compat import (
    CallbackSupportMixin,
    Interval,
    StrOptions,
    has_progress_bar,
    with_callbacks,
)
from sknn_adam._utils.validation import NON_NEGATIVE, POSITIVE_INTEGER, UNIT_INTERVAL
from sknn_adam._utils.warnings import warn
from sknn_adam.activations import ACTIVATIONS
from sknn_adam.averaging import AVERAGINGS
from sknn_adam.clipping import CLIPPINGS
from sknn_adam.initializers import INITIALIZERS
from sknn_adam.layers import HIDDEN_LAYERS
from sknn_adam.normalization import NORMALIZATIONS
from sknn_adam.optimizers import OPTIMIZERS
from sknn_adam.schedules import SCHEDULES


class MultilabelClassifierMixin(ClassifierMixin):
    """scikit-learn's classifier mixin, with support for multilabel targets."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class BaseMLP(NetworkView, CallbackSupportMixin, NestedNames, Published):
    """Base class of MLPClassifier and MLPRegressor."""

    _tables: ClassVar[dict[str, Table]] = {
        "hidden_layer_sizes": HIDDEN_LAYERS,
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
    cv: Any
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "learn_scales": ["boolean"],
        "alpha": [StrOptions({"auto"}), NON_NEGATIVE],
        "l1_ratio": [StrOptions({"auto"}), UNIT_INTERVAL],
        "batch_size": [StrOptions({"auto"}), POSITIVE_INTEGER],
        "max_iter": [StrOptions({"auto"}), POSITIVE_INTEGER],
        "shuffle": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "scoring": [str, callable, None],
        "n_iter_no_change": [Interval(Real, 1, np.inf, closed="both")],
        "tol": [NON_NEGATIVE],
        "warm_start": ["boolean"],
        "n_members": [POSITIVE_INTEGER],
        "cv": ["cv_object"],
        "verbose": ["verbose", StrOptions({"auto"})],
        "record": ["boolean", StrOptions({"all"})],
        "dtype": [StrOptions({"auto", "float32", "float64"})],
        "random_state": ["random_state"],
    }
    ranges: ClassVar = NETWORK
    # Searches and cross-validation also split by groups, so they pass them on to fit only if
    # set_fit_request or the splitter in `cv` requests it.
    __metadata_request__fit: ClassVar = {"groups": False}

    def get_metadata_routing(self) -> Any:
        """Return the metadata that this estimator and the splitter in `cv` request.

        Returns
        -------
        routing : MetadataRequest or MetadataRouter
            The routing of the metadata of ``fit``: ``groups`` reach the splitter if it requests
            them, as all group splitters do.
        """
        if not hasattr(self.cv, "split"):
            return super().get_metadata_routing()
        router = MetadataRouter(owner=self).add_self_request(self)
        to_split = MethodMapping().add(caller="fit", callee="split")
        return router.add(splitter=self.cv, method_mapping=to_split)

    def _get_metadata_request(self) -> Any:
        """Return the requests of this estimator, with the name of its class as their owner.

        scikit-learn stores the estimator itself. Archives cannot contain such a cycle, and a pickle
        of one of the `members_` would contain all of them.
        """
        request = super()._get_metadata_request()
        for part in (request, *vars(request).values()):
            if hasattr(part, "owner"):
                part.owner = type(self).__name__
        return request

    # -- fitting --------------------------------------------------------------------------------

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
            Features. float32 and float64 arrays keep their dtype; other dtypes are converted.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets: numbers for a regressor, class labels or a 0/1 indicator matrix for a
            classifier.
        sample_weight : array-like of shape (n_samples,), optional
            Non-negative sample weights with a positive sum. Only their ratios matter. Samples with
            weight zero are dropped before training.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), optional
            Validation features. The validation score is then recorded for every epoch. With
            ``early_stopping=True``, it determines when to stop, and no samples of X are held out
            for this purpose.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), optional
            Validation targets.
        sample_weight_val : array-like of shape (n_val,), optional
            Sample weights of the validation data.
        groups : array-like of shape (n_samples,), optional
            Group labels, which are passed to the splitter. If `cv` is an int, all samples of a
            group are in the same fold. Only allowed with `cv`.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        session = prepare(
            self,
            X,
            y,
            sample_weight,
            resume=self.warm_start and hasattr(self, "_network"),
            validation=(X_val, y_val, sample_weight_val),
            groups=groups,
        )
        run = session.run
        if not run.in_fit:
            run.new_fit()
        n_epochs = session.plan.max_iter - (run.clock.epoch - run.first_epoch)
        if run.stop_reason == "max_iter" and n_epochs > 0:
            run.stop_reason = None
        return self._trained(session, n_epochs, X_val)

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> Self:
        resume = hasattr(self, "_network")
        session = prepare(self, X, y, sample_weight, resume=resume, partial=True, classes=classes)
        run, schedule, limit = session.run, session.plan.schedule, session.plan.max_iter
        undo = run.remember()
        try:
            run.stop_reason, run.in_fit, run.batch, run.waited = None, False, 0, 0
            # If training diverges, the weights before this call are restored: losses of different
            # batches of a stream cannot be compared.
            run.keep(-inf, run.point(session.plan))
            if schedule.uses_progress and run.clock.epoch - run.first_epoch == limit:
                warn(
                    f"{schedule!r} has run out after max_iter={limit} epochs and stays "
                    "at its last factor. Increase max_iter, or use a schedule that does not depend "
                    "on progress, such as 'constant' or 'inverse_scaling'."
                )
            return self._trained(session, 1)
        except Exception:
            undo()
            raise

    def _trained(self, session: Session, n_epochs: int, X_val: Any = None) -> Self:
        """Train, then set the fitted attributes; an error leaves the estimator unchanged.

        A KeyboardInterrupt can occur at any line, so every step of its handler must be safe to
        repeat. The next ``fit`` with ``warm_start=True`` finishes the interrupted one.
        """
        model, plan, run, in_fit = session.model, session.plan, session.run, session.run.in_fit
        before = copy(self)
        try:
            self._run_epochs(session, n_epochs, before)
            report(self, plan, run, X_val)
            run.in_fit = False
            if in_fit and not self.warm_start:
                model._run = None
                if model._network is run.network:
                    # The copy does not keep the training buffers in memory.
                    model._network = run.network.at(run.network.theta.copy())
            self._take_over(before, model)
            return self
        except KeyboardInterrupt:
            run.in_fit = in_fit
            model._publish(plan, run)
            if run.stop_reason != "diverged":
                model.stop_reason_, model.converged_ = None, False
            self._take_over(before, model)
            raise
        except Exception:
            # Callbacks had access to the estimator after every epoch and may have changed it.
            self.__dict__.update(vars(before))
            for name in vars(self).keys() - vars(before).keys():
                # scikit-learn removes its callback attributes itself.
                if not name.startswith(("_callback", "_skl")):
                    self.__dict__.pop(name, None)
            raise

    def _run_epochs(self, session: Session, n_epochs: int, before: Any) -> None:
        """Train, and report epochs to callbacks and, depending on `verbose`, on the terminal."""
        model, plan, run, samples = session.model, session.plan, session.run, session.samples
        watched = hasattr(self, "_skl_callbacks")
        task = {
            "estimator": self,
            # A function, which is called only if a callback requests X.
            "X": samples.features,
            "y": samples.y,
            "metadata": {} if samples.weight is None else {"sample_weight": samples.weight},
        }
        context = self._init_callback_context(task_name="fit", max_subtasks=max(0, n_epochs))
        table = None
        output: Any = nullcontext()
        if self.verbose == "auto":
            if run.in_fit and not has_progress_bar(context):
                output = progress_shown(run, plan)
        elif self.verbose:
            table, output = LiveTable(), announcing(print)

        def publish() -> None:
            model._publish(plan, run)
            if watched:
                self._take_over(before, model)

        def snapshot() -> dict[str, Any]:
            return {"_network": deepcopy(run.network.at(run.point(plan))), "_run": None}

        def on_epoch(run: Run) -> bool:
            publish()
            if table is not None:
                table.show(run.history[-1])
            epoch = context.subcontext(task_name="epoch")
            epoch.call_on_fit_task_begin(**task)
            return epoch.call_on_fit_task_end(**task, reconstruction_attributes=snapshot)

        publish()
        context.call_on_fit_task_begin(**task)
        # The run has already stopped if a fit was interrupted after its last epoch.
        if run.stop_reason is None:
            reported = on_epoch if watched or table is not None else None
            with output:
                train(run, plan, session.data, n_epochs, validator(session), reported)
        model._publish(plan, run)
        if session.folds is not None:
            publish_out_of_fold(session)
        context.call_on_fit_task_end(**task, reconstruction_attributes=snapshot)

    def _publish(self, plan: Plan, run: Run) -> None:
        """Set the fitted attributes from the run."""
        self._run, self._network, self._loss = run, run.network.at(run.point(plan)), plan.loss
        self.__dict__.update(self._targets.published())
        self.optimizer_ = plan.optimizer
        self.history_ = run.history
        self.n_iter_ = run.clock.epoch - run.first_epoch
        self.best_iter_ = run.best_epoch - run.first_epoch
        self.validation_scores_ = run.history.columns.get("validation_score")
        score = float(np.mean(run.best_score))
        self.best_validation_score_ = score if plan.early_stopping else None
        self.n_steps_ = run.clock.step
        self.alpha_, self.l1_ratio_ = plan.alpha, plan.l1_ratio
        self.batch_size_, self.max_iter_ = plan.batch_size, plan.max_iter
        self.averaging_, self.dtype_ = plan.averaging, run.network.dtype
        self.n_layers_ = len(run.network.dense()) + 1
        self.stop_reason_ = run.stop_reason
        judged = not plan.early_stopping or bool(np.isfinite(run.best_score).any())
        self.converged_ = judged and run.stop_reason in ("tol", "early_stopping")

    def _take_over(self, before: Any, model: Any) -> None:
        """Copy the fitted attributes of `model`, and remove those that only `before` has.

        Parameters are not copied, because a callback may have set them.
        """
        parameters = self._parameter_constraints
        fitted = {name: value for name, value in vars(model).items() if name not in parameters}
        self.__dict__.update(fitted)
        for name in vars(before).keys() - vars(model).keys():
            self.__dict__.pop(name, None)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        return tags
