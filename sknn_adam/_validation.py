"""Checks of parameters and data: the only place that imports scikit-learn's private names."""

import inspect
import multiprocessing
import os
import re
import warnings
from collections.abc import Callable
from copy import copy
from functools import wraps
from math import isfinite
from numbers import Integral, Real
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

import joblib
import numpy as np
import sklearn
from sklearn.utils import metaestimators
from sklearn.utils._param_validation import (
    Interval,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils._repr_html.estimator import _VisualBlock as VisualBlock
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import _check_feature_names_in as check_feature_names_in
from sklearn.utils.validation import _check_sample_weight, _num_samples

__all__ = [
    "FRACTION",
    "NON_NEGATIVE",
    "POSITIVE",
    "POSITIVE_INTEGER",
    "UNIT_INTERVAL",
    "CallbackSupportMixin",
    "Interval",
    "StrOptions",
    "VisualBlock",
    "available_if",
    "check_feature_names_in",
    "check_parameters",
    "check_sample_weight",
    "extreme_exponent",
    "output_format",
    "parse_sizes",
    "per_layer",
    "takes_weights",
    "unchanged_on_error",
    "warn",
    "warn_if_split",
    "with_callbacks",
    "with_labels",
    "with_ordinary_size",
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


SIZES = re.compile(r"[1-9]\d*(x[1-9]\d*)?(-[1-9]\d*(x[1-9]\d*)?)*")
POSITIVE = Interval(Real, 0, None, closed="neither")
NON_NEGATIVE = Interval(Real, 0, None, closed="left")
FRACTION = Interval(Real, 0, 1, closed="left")
UNIT_INTERVAL = Interval(Real, 0, 1, closed="both")
POSITIVE_INTEGER = Interval(Integral, 1, None, closed="left")


def check_parameters(owner: Any) -> None:
    """Raise scikit-learn's error for the first parameter outside ``_parameter_constraints``."""
    validate_parameter_constraints(
        owner._parameter_constraints, owner.get_params(deep=False), type(owner).__name__
    )


def check_shape(owner: Any, what: str, value: Any, shape: tuple[int, ...]) -> None:
    """Raise ValueError if an array that a component has returned has another shape than it must.

    `owner` is the component, or one of its methods.
    """
    if getattr(value, "shape", None) != shape:
        owner = getattr(owner, "__self__", owner)
        name = getattr(owner, "__qualname__", type(owner).__name__)
        got = f"shape {value.shape}" if hasattr(value, "shape") else f"a {type(value).__name__}"
        raise ValueError(f"{what} of {name} must be an array of shape {shape}. Got {got} instead.")


def in_place(method: Callable, array: np.ndarray, *arguments: Any) -> None:
    """Call a component's method, which must change `array` and not return another one."""
    result = method(array, *arguments)
    if result is None or result is array:
        return
    if not (isinstance(result, np.ndarray) and np.may_share_memory(result, array)):
        owner = getattr(method, "__self__", method)
        raise TypeError(
            f"{type(owner).__name__}.{method.__name__} must change its array in place. It returned "
            f"a new {type(result).__name__}, which would be ignored. Write the result to the "
            "array, as in 'array[...] = result', and return the array or None."
        )


def is_plain(X: Any, n_features: int) -> bool:
    """Whether X passes scikit-learn's checks beyond doubt; they cost more than a prediction."""
    if type(X) is not np.ndarray or X.ndim != 2 or not len(X) or X.shape[1] != n_features:
        return False
    if X.dtype not in (np.float64, np.float32):
        return False
    flat = X.ravel(order="K")
    with np.errstate(over="ignore", invalid="ignore"):
        return isfinite(np.dot(flat, flat))


def check_sample_weight(sample_weight: Any, X: Any) -> np.ndarray:
    """Weights as float64 of shape (n_samples,): finite, not negative, with a positive sum."""
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weight.any():
        raise ValueError(
            "The sum of sample_weight must be positive: every sample weight is zero. "
            "Give at least one row a weight above zero."
        )
    return with_ordinary_size(weight)


def with_ordinary_size(numbers: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Return numbers of which only the ratios matter, so that their sums and squares are finite.

    If the largest absolute value is extreme, all are multiplied by a power of two, which is exact.
    """
    return np.ldexp(numbers, -extreme_exponent(numbers, axis))


def extreme_exponent(numbers: np.ndarray, axis: int | None = None) -> Any:
    """Return the binary exponent of the largest absolute value if it is extreme, else 0."""
    exponent = np.frexp(np.abs(numbers).max(axis=axis, initial=0))[1]
    return np.where(np.abs(exponent) > 256, exponent, 0)


def output_format(transformer: Any) -> str:
    """Return what ``set_output`` or the configuration asks for, such as ``"pandas"``."""
    return _get_output_config("transform", transformer)["dense"]


def parse_sizes(sizes: Any) -> tuple[int, ...]:
    """Return the widths of the hidden layers.

    Parameters
    ----------
    sizes : int, sequence of int, or str
        ``100``, ``(128, 64)``, ``"128-64"``, or ``"256x3"`` for three layers of 256.

    Returns
    -------
    widths : tuple of int
        One positive integer per hidden layer; empty for a linear model.
    """
    if isinstance(sizes, str):
        if SIZES.fullmatch(sizes):
            pairs = (part.partition("x") for part in sizes.split("-"))
            return tuple(int(w) for w, _, times in pairs for _ in range(int(times or 1)))
    elif isinstance(sizes, Integral) and not isinstance(sizes, bool):
        if int(sizes) > 0:
            return (int(sizes),)
    elif (
        isinstance(sizes, tuple | list | np.ndarray)
        and getattr(sizes, "ndim", 1) == 1
        and all(isinstance(w, Integral) and not isinstance(w, bool) and int(w) > 0 for w in sizes)
    ):
        return tuple(int(w) for w in sizes)
    raise ValueError(
        "hidden_layer_sizes must be a positive int, a sequence of positive ints, or a string "
        f"such as '128-64' or '256x3'. Got {sizes!r} instead."
    )


def per_layer(name: str, value: Any, n_hidden: int) -> list:
    """Return one value for each hidden layer, from one for all of them or a sequence."""
    if not isinstance(value, tuple | list | np.ndarray):
        return [value] * n_hidden
    if len(value) != n_hidden:
        raise ValueError(
            f"{name}={value!r} has {len(value)} values, but there are {n_hidden} hidden layers."
        )
    return list(value)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line outside of this package and scikit-learn that led here.

    A search or a cross-validation fits many times and may fail every time: it shows each kind of
    warning once, and its worker processes are silent.
    """
    packages = (__file__, sklearn.__file__, joblib.__file__)
    inside = tuple(os.path.dirname(file) + os.sep for file in packages)
    frame: Any = inspect.currentframe()
    level, found, candidate, search = 1, False, False, None
    while frame is not None:
        file = frame.f_code.co_filename
        found = found or not file.startswith(inside)
        level += not found
        if file.startswith(inside[1]) and "model_selection" in file:
            candidate |= frame.f_code.co_name == "_fit_and_score"
            search = frame.f_locals.get("parallel", search)  # one such object for every call
        frame = frame.f_back
    if search is not None:
        kind = category, message[:20]
        if kind in _warned.setdefault(search, set()):
            return
        _warned[search].add(kind)
    elif candidate and multiprocessing.parent_process() is not None:
        return
    warnings.warn(message, category, stacklevel=level)


# What the searches that are running have warned of.
_warned: WeakKeyDictionary = WeakKeyDictionary()


def warn_if_split(X_val: Any) -> None:
    """Warn if a cross-validation of scikit-learn has taken a subset of the user's X_val.

    It splits whatever parameter of ``fit`` has as many samples as X.
    """
    frame: Any = inspect.currentframe()
    while frame and frame.f_code.co_name not in ("_fit_and_score", "_fit_and_predict"):
        frame = frame.f_back
    if frame is None:
        return
    n_samples = _num_samples(frame.f_locals["X"])
    call = frame.f_back.f_locals  # of scikit-learn's `delayed`, which has the parameters as given
    given = [*call.get("args", ()), *call.get("kwargs", {}).values()]
    values = [
        value
        for params in given
        if isinstance(params, dict)
        for name, value in params.items()
        if name.rpartition("__")[2] == "X_val" and value is not None
    ]
    if any(value is not X_val and _num_samples(value) == n_samples for value in values):
        warn(
            "X_val has as many samples as X, so the cross-validation splits it as it splits X, and "
            f"only {_num_samples(X_val)} of {n_samples} samples are used for validation. To use "
            "all of them, give X_val another number of samples, for example one less."
        )


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
