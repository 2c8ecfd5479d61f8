"""Checks of parameters and data: the only place that imports scikit-learn's private names."""

from collections.abc import Callable
from functools import wraps
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import (
    Interval,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.validation import _check_sample_weight

__all__ = [
    "FRACTION",
    "NON_NEGATIVE",
    "POSITIVE",
    "POSITIVE_INTEGER",
    "UNIT_INTERVAL",
    "Interval",
    "StrOptions",
    "check_parameters",
    "check_sample_weight",
    "unchanged_on_error",
]

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


def check_sample_weight(sample_weight: Any, X: Any) -> np.ndarray:
    """Weights as float64 of shape (n_samples,): finite, not negative, with a positive sum."""
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weight.any():
        raise ValueError(
            "The sum of sample_weight must be positive: every sample weight is zero. "
            "Give at least one row a weight above zero."
        )
    return weight


def unchanged_on_error(method: Callable) -> Callable:
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

    return guarded
