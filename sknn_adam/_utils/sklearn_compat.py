"""All imports of private scikit-learn names, and replacements for names of newer releases."""

from collections.abc import Callable
from typing import Any, TypeVar

from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils import metaestimators
from sklearn.utils._param_validation import Interval, StrOptions
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
    "ensemble_base",
    "has_progress_bar",
    "num_samples",
    "output_format",
    "safe_indexing",
    "validated_weight",
    "with_callbacks",
]

F = TypeVar("F", bound=Callable[..., Any])

try:
    from sklearn.callback import CallbackSupportMixin, ProgressBar
    from sklearn.callback import with_callbacks as _with_callbacks
# Releases of scikit-learn before 1.9 have no callbacks.
except ImportError:

    class _NoContext:
        def subcontext(self, **kwargs: Any) -> "_NoContext":
            return self

        def call_on_fit_task_begin(self, **kwargs: Any) -> "_NoContext":
            return self

        def call_on_fit_task_end(self, **kwargs: Any) -> bool:
            return False

    ProgressBar = ()

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stand-in for scikit-learn's class in releases without it."""

        def _init_callback_context(self, **kwargs: Any) -> _NoContext:
            return _NoContext()

    def _with_callbacks(method: F) -> F:
        return method


def with_callbacks(method: F) -> F:
    """Decorate a fitting method that reports to callbacks, if scikit-learn supports them."""
    return _with_callbacks(method)


def has_progress_bar(context: Any) -> bool:
    """Return whether an estimator, or one that contains it, has scikit-learn's ProgressBar."""
    while context is not None:
        callbacks = getattr(context, "_callbacks", ())
        if any(isinstance(callback, ProgressBar) for callback in callbacks):
            return True
        context = getattr(context, "parent", None)
    return False


def available_if(check: Callable[[Any], bool]) -> Callable[[F], F]:
    """Decorate a method that exists only if `check` passes: scikit-learn's decorator, but typed."""
    return metaestimators.available_if(check)


def output_format(transformer: Any) -> str:
    """Return the format set by ``set_output`` or the configuration, such as ``"pandas"``."""
    return _get_output_config("transform", transformer)["dense"]


def ensemble_base() -> Any:
    """Return the base class of scikit-learn's ensembles with a list of named estimators.

    It is imported on demand, because ``sklearn.ensemble`` would slow down the import of this
    package.
    """
    from sklearn.ensemble._base import _BaseHeterogeneousEnsemble

    return _BaseHeterogeneousEnsemble
