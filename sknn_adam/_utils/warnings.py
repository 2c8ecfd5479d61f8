"""Warnings that point to the line of user code that caused them."""

import inspect
import multiprocessing
import warnings
from typing import Any
from weakref import WeakKeyDictionary

from sknn_adam._utils.sklearn_compat import num_samples

__all__ = ["warn", "warn_if_split"]

# Packages that call `fit` on behalf of the user.
CALLERS = {__name__.partition(".")[0], "sklearn", "joblib", "skopt", "optuna", "optuna_integration"}


def warn(message: str, category: type[Warning] = UserWarning, *, key: str = "") -> None:
    """Issue a warning at the line of user code that called this package, directly or in a search.

    Each fit of a search or cross-validation may warn. Therefore each kind of warning is shown once
    per search, and worker processes are silent. Warnings are of the same kind if the same line of
    this package issues them with the same `key`, even if the numbers in the message differ.
    """
    frame: Any = inspect.currentframe()
    kind = frame.f_back.f_code, frame.f_back.f_lineno, key
    level, outside, candidate, search = 1, False, False, None
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        outside = outside or module.partition(".")[0] not in CALLERS
        level += not outside
        # Python's own filter merges warnings of the same text only, but the text differs between
        # candidates, and scikit-learn passes no identifier of the search to `fit`. The frames are
        # the only source: each search or cross-validation creates its own `parallel` object. If
        # scikit-learn renames it, each fit warns.
        if module.startswith("sklearn.model_selection."):
            candidate |= frame.f_code.co_name == "_fit_and_score"
            search = frame.f_locals.get("parallel", search)
        frame = frame.f_back
    if search is not None:
        if kind in _warned.setdefault(search, set()):
            return
        _warned[search].add(kind)
    elif candidate and multiprocessing.parent_process() is not None:
        return
    warnings.warn(message, category, stacklevel=level)


# The kinds of warnings shown by each running search.
_warned: WeakKeyDictionary = WeakKeyDictionary()


def warn_if_split(X_val: Any) -> None:
    """Warn if a cross-validation of scikit-learn has taken a subset of the user's X_val.

    Cross-validation splits every parameter of ``fit`` that has as many samples as X.
    """
    frame: Any = inspect.currentframe()
    while frame and frame.f_code.co_name not in ("_fit_and_score", "_fit_and_predict"):
        frame = frame.f_back
    if frame is None:
        return
    n_samples = num_samples(frame.f_locals["X"])
    # The caller is scikit-learn's `delayed`, whose arguments include the original parameters.
    call = frame.f_back.f_locals
    given = [*call.get("args", ()), *call.get("kwargs", {}).values()]
    values = [
        value
        for params in given
        if isinstance(params, dict)
        for name, value in params.items()
        if name.rpartition("__")[2] == "X_val" and value is not None
    ]
    if any(value is not X_val and num_samples(value) == n_samples for value in values):
        warn(
            "X_val has as many samples as X, so the cross-validation splits it like X, and only "
            f"{num_samples(X_val)} of {n_samples} samples are used for validation. To use all of "
            "them, give X_val a different number of samples, for example one fewer."
        )
