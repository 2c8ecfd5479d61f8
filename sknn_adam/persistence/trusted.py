"""The types that an archive may hold, beyond scikit-learn's estimators and NumPy's arrays.

A trusted type is more than an innocent class: whoever writes an archive decides what its
``__setstate__`` gets and with what arguments it is called. So what runs text as code is not here:
SciPy's distributions (their ``__setstate__`` compiles a template that stands in the state) and
functions without need. `searches` describes distributions instead of storing them.
"""

from collections.abc import Iterable
from importlib import import_module
from typing import Any

import sklearn.model_selection
from sklearn.metrics import get_scorer, get_scorer_names

from sknn_adam._component import Component

__all__ = ["TRUSTED_TYPES"]

FAMILIES = [
    "activations",
    "initializers",
    "losses",
    "schedules",
    "clipping",
    "averaging",
    "optimizers",
    "normalization",
]
OWN = [
    "_columns.Holding",
    "_columns.Words",
    "_columns.as_dates",
    "_columns.as_words",
    "_columns.names_of_dates",
    "_fused.FusedKernels",
    "_kernels.NumpyKernels",
    "_labels.Labels",
    "_ranges.Choices",
    "_ranges.Range",
    "_tables.Columns",
    "classifier.MLPClassifier",
    "history.History",
    "history.LayerHistory",
    "layers.Activate",
    "layers.ActivateLearned",
    "layers.Dense",
    "layers.Dropout",
    "losses.columns.PerColumn",
    "members.Members",
    "members.OutOfFold",
    "network.Network",
    "normalization.BatchNormLayer",
    "normalization.RowNormLayer",
    "persistence.searches.Described",
    "preprocessing.PiecewiseLinear",
    "preprocessing.SmoothClip",
    "regressor.MLPRegressor",
    "run.Run",
    "schedules._base.Clock",
    "tabular.ByTarget",
]
# What scikit-learn's and scikit-optimize's own objects keep in them.
OTHERS = [
    "numpy.dtype",
    "numpy.ma.MaskedArray",
    "numpy.ma.core.MaskedArray",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.compose._column_transformer._RemainderColsList",
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.metrics._scorer._MultimetricScorer",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.metrics._scorer._Scorer",
    "sklearn.model_selection._search_successive_halving._SubsampleMetaSplitter",
    "sklearn.utils._bunch.Bunch",
    "sklearn.utils._metadata_requests.MetadataRequest",
    "sklearn.utils._metadata_requests.MethodMetadataRequest",
    "skopt.searchcv.BayesSearchCV",
    "types.SimpleNamespace",
]


def _full_name(value: Any) -> str:
    return f"{value.__module__}.{value.__name__}"


def _components() -> Iterable[str]:
    """Names of all public components; a component of a user is none of them."""
    for family in FAMILIES:
        module = import_module(f"sknn_adam.{family}")
        for value in (getattr(module, name) for name in module.__all__):
            if isinstance(value, type) and issubclass(value, Component):
                yield _full_name(value)


def _splitters_and_metrics() -> Iterable[str]:
    for value in vars(sklearn.model_selection).values():
        if isinstance(value, type) and hasattr(value, "get_n_splits"):
            yield _full_name(value)
    for name in get_scorer_names():
        yield _full_name(get_scorer(name)._score_func)


TRUSTED_TYPES: tuple[str, ...] = tuple(
    sorted({*_components(), *_splitters_and_metrics(), *(f"sknn_adam.{n}" for n in OWN), *OTHERS})
)
"""Names of all types that `load` accepts beyond those that skops itself trusts."""
