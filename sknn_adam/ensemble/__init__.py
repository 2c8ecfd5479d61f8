"""Ensembles of arbitrary estimators, weighted by their out-of-fold predictions.

Experimental: names and defaults may change in a minor release without a deprecation period.
"""

from sknn_adam.ensemble.portfolio import make_tabular_ensemble
from sknn_adam.ensemble.weighted import WeightedEnsembleClassifier, WeightedEnsembleRegressor

__all__ = ["WeightedEnsembleClassifier", "WeightedEnsembleRegressor", "make_tabular_ensemble"]
