"""Prediction intervals and class sets with a stated coverage, from cross-fitted estimators.

Experimental: names and defaults may change in a minor release without a deprecation period.
"""

from sknn_adam.conformal.intervals import ConformalRegressor
from sknn_adam.conformal.sets import ConformalClassifier

__all__ = ["ConformalClassifier", "ConformalRegressor"]
