"""The only place that imports private names of scikit-learn."""

import inspect
from collections.abc import Callable
from copy import copy
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np
from sklearn.utils import metaestimators
from sklearn.utils._param_validation import (
    Interval,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils._repr_html.estimator import _VisualBlock as VisualBlock
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import _check_feature_names_in as check_feature_names_in
from sklearn.utils.validation import _check_sample_weight as validated_weight
from sklearn.utils.validation import _num_samples as num_samples

__all__ = [
    "CallbackSupportMixin",
    "Interval",
    "StrOptions",
    "VisualBlock",
    "available_if",
    "check_feature_names_in",
    "check_parameters",
    "num_samples",
    "output_format",
    "takes_weights",
    "unchanged_on_error",
    "validated_weight",
    "with_callbacks",
    "with_labels",
]

F = TypeVar("F", bound=Callable[..., Any])

try:
    from sklearn.callback import CallbackSupportMixin
    from sklearn.callback import with_callbacks as _with_callbacks
except ImportError:  # before scikit-learn 1.9: no callbacks, and nothing to call

    class _NoContext:
        def subcontext(self, **kwargs):
            return self

        def call_on_fit_task_begin(self, **kwargs):
            return self

        def call_on_fit_task_end(self, **kwargs):
            return False

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands in for scikit-learn's class where there is none."""

        def _init_callback_context(self, **kwargs):
            return _NoContext()

    def _with_callbacks(method):
        return method


def with_callbacks(method: F) -> F:
    """Decorate a fitting method that reports to callbacks, where scikit-learn has them."""
    return _with_callbacks(method)


def available_if(check: Callable[[Any], bool]) -> Callable[[F], F]:
    """Decorate a method that is there if `check` says so; scikit-learn's, but keeping types."""
    return metaestimators.available_if(check)


def check_parameters(owner: Any) -> None:
    """Raise scikit-learn's error for the first parameter outside ``_parameter_constraints``."""
    validate_parameter_constraints(
        owner._parameter_constraints, owner.get_params(deep=False), type(owner).__name__
    )


def output_format(transformer: Any) -> str:
    """Return what ``set_output`` or the configuration asks for, such as ``"pandas"``."""
    return _get_output_config("transform", transformer)["dense"]


def takes_weights(scorer: Callable) -> bool:
    """Whether a scorer can be called with ``sample_weight``."""
    formula = getattr(scorer, "_score_func", scorer)
    names = inspect.signature(formula).parameters
    return "sample_weight" in names or any(p.kind is p.VAR_KEYWORD for p in names.values())


def with_labels(scorer: Callable, labels: np.ndarray) -> Callable | None:
    """Return a scorer of scikit-learn that knows all classes, None if it is no use to it.

    A metric of probabilities, such as the log loss, has to know the classes of all columns. One of
    predicted labels averages over the classes that occur, which this must not change.
    """
    formula, method = getattr(scorer, "_score_func", None), getattr(scorer, "_response_method", "")
    if (
        formula is None
        or method == "predict"
        or "labels" not in inspect.signature(formula).parameters
    ):
        return None
    known: Any = copy(scorer)
    known._kwargs = {**known._kwargs, "labels": labels}
    return known


def unchanged_on_error(method: F) -> F:
    """Decorate a fitting method so that an error leaves the estimator as it was before."""

    @wraps(method)
    def guarded(self, *args, **kwargs):
        before = vars(self).copy()
        try:
            return method(self, *args, **kwargs)
        except Exception:
            vars(self).clear()
            vars(self).update(before)
            raise

    return cast(F, guarded)
