"""The types that an archive may contain besides scikit-learn's estimators and NumPy's arrays.

A trusted type must be harmless for any input, because the author of an archive chooses the state
passed to its ``__setstate__`` and the arguments of its calls. Types that execute text as code are
therefore excluded, such as SciPy's distributions, whose ``__setstate__`` compiles a template from
the state; `searches` stores descriptions of them instead. Functions are excluded unless they are
needed. `states.CHECKED` lists this package's classes that have arrays or counters of training,
each with a check of its state.
"""

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import scipy.special
import sklearn.model_selection
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.utils import all_estimators

from sknn_adam._component.base import Component
from sknn_adam.persistence.states import CHECKED

__all__ = ["TRUSTED_TYPES", "import_trusted", "names_by_loader"]

FAMILIES = (
    "layers activations initializers losses schedules clipping averaging optimizers normalization"
)
# This package's classes whose state is read only by Python code, so it is not checked.
OWN = {
    "sknn_adam._component.ranges": "Choices Range",
    "sknn_adam.conformal.intervals": "ConformalRegressor",
    "sknn_adam.conformal.sets": "ConformalClassifier",
    "sknn_adam.ensemble.fold_mean": "FoldMeanClassifier FoldMeanRegressor",
    "sknn_adam.ensemble.weighted": "WeightedEnsembleClassifier WeightedEnsembleRegressor",
    "sknn_adam.persistence.searches": "Described",
    "sknn_adam.tabular.columns": "Holding Words",
    "sknn_adam.tabular.levels": "ByTarget LogCount",
    "sknn_adam.tabular.tables": "Columns",
    "sknn_adam.tabular.text": "TextEncoder",
    "sknn_adam.tabular.types": "ColumnType",
}
MASKED = {"numpy.ma": "MaskedArray", "numpy.ma.core": "MaskedArray"}
BUNCH = "sklearn.utils._bunch.Bunch"
# Classes inside fitted estimators of scikit-learn, and scikit-optimize's search.
OTHERS = {
    "numpy": "dtype",
    "sklearn.calibration": "_CalibratedClassifier _SigmoidCalibration",
    "sklearn.compose._column_transformer": "_RemainderColsList make_column_selector",
    "sklearn.metrics._scorer": "_MultimetricScorer _PassthroughScorer _Scorer",
    "sklearn.model_selection._search_successive_halving": "_SubsampleMetaSplitter",
    "sklearn.utils._bunch": "Bunch",
    "sklearn.utils._metadata_requests": "MetadataRequest MethodMetadataRequest",
    "skopt.searchcv": "BayesSearchCV",
    "types": "SimpleNamespace",
}


def _names(table: Mapping[str, str]) -> frozenset[str]:
    return frozenset(f"{module}.{name}" for module in table for name in table[module].split())


def _full_name(value: Any) -> str:
    return f"{value.__module__}.{value.__name__}"


def _components() -> Iterable[str]:
    """Yield the names of this package's public components; custom components are not trusted."""
    for family in FAMILIES.split():
        module = import_module(f"sknn_adam.{family}")
        for value in (getattr(module, name) for name in module.__all__):
            if isinstance(value, type) and issubclass(value, Component):
                yield _full_name(value)


def _splitters() -> Iterable[str]:
    for value in vars(sklearn.model_selection).values():
        if isinstance(value, type) and hasattr(value, "get_n_splits"):
            yield _full_name(value)


FUNCTIONS = frozenset(
    {_full_name(get_scorer(name)._score_func) for name in get_scorer_names()}
    | _names({"sknn_adam.tabular.columns": "as_dates as_words names_of_dates"})
)
OWN_TYPES = {*_components(), *map(_full_name, CHECKED), *_names(OWN)}
TRUSTED_TYPES: tuple[str, ...] = tuple(
    sorted({*OWN_TYPES, *_splitters(), *FUNCTIONS, *_names(OTHERS | MASKED)})
)
"""Names of the types that `load` accepts besides scikit-learn's estimators and plain values."""

# -- types by loader -----------------------------------------------------------------------------

# Classes inside scikit-learn's linear models and gradient boosting.
COMPONENTS_OF_ESTIMATORS = {
    "sklearn._loss.link": "HalfLogitLink IdentityLink Interval LogitLink LogLink MultinomialLogit",
    "sklearn._loss.loss": "AbsoluteError ExponentialLoss HalfBinomialLoss HalfGammaLoss "
    "HalfMultinomialLoss HalfPoissonLoss HalfSquaredError HuberLoss PinballLoss",
    "sklearn.ensemble._hist_gradient_boosting.binning": "_BinMapper",
}
COMPILED_LOSSES = {
    "sklearn._loss._loss": "CyAbsoluteError CyExponentialLoss CyHalfBinomialLoss CyHalfGammaLoss "
    "CyHalfMultinomialLoss CyHalfPoissonLoss CyHalfSquaredError CyHalfTweedieLoss "
    "CyHalfTweedieLossIdentity CyHuberLoss CyPinballLoss",
    "sklearn.linear_model._sgd_fast": "EpsilonInsensitive Hinge Huber Log ModifiedHuber "
    "SquaredEpsilonInsensitive SquaredHinge SquaredLoss",
}
# Ufuncs do not store their module, so the module name in an archive depends on the release that
# wrote it.
UFUNCS = {
    np: "numpy numpy.core._multiarray_umath numpy._core._multiarray_umath",
    scipy.special: "scipy.special scipy.special._ufuncs scipy.special._special_ufuncs",
}
BUILTINS = "bool float int list set str tuple"
SCALARS = {np.dtype(t).type.__name__: np.dtype(t).type for t in np.sctypeDict.values()}
SCALARS |= {"bool": np.bool_, "bool_": np.bool_, "str_": np.str_}
VALUES = frozenset(f"numpy.{n}" for n, t in SCALARS.items() if t not in (np.void, np.object_))


@cache
def _ufuncs() -> dict[str, Any]:
    return {
        f"{module}.{name}": value
        for library, modules in UFUNCS.items()
        for name, value in vars(library).items()
        if isinstance(value, np.ufunc)
        for module in modules.split()
    }


@cache
def _estimators() -> frozenset[str]:
    names = {_full_name(value) for _, value in all_estimators()}
    return frozenset(name for name in names if name.startswith("sklearn."))


@cache
def names_by_loader(trusted: tuple[str, ...]) -> dict[str, Collection[str]]:
    """Return the full names of the types that each loader of an archive may create.

    Every name has one loader, except for types such as ``list``: a list has another loader than the
    type itself.

    Parameters
    ----------
    trusted : tuple of str
        `TRUSTED_TYPES`.
    """
    table: dict[str, Collection[str]] = {
        "JsonNode": {"builtins.str"},
        "DictNode": {"builtins.dict", "collections.OrderedDict", BUNCH},
        "NdArrayNode": {"numpy.ndarray"} | VALUES,
        "MaskedArrayNode": _names(MASKED),
        "DTypeNode": {"numpy.dtype"},
        "RandomStateNode": {"numpy.random.mtrand.RandomState"},
        "RandomGeneratorNode": {"numpy.random._generator.Generator"},
        "LossNode": _names(COMPILED_LOSSES),
        "FunctionNode": FUNCTIONS.union(_ufuncs()),
        "TypeNode": {f"numpy.{name}" for name in SCALARS} | _names({"builtins": BUILTINS}),
    }
    for name in ("list", "tuple", "set", "slice", "bytes", "bytearray"):
        table[f"{name.title()}Node"] = {f"builtins.{name}"}
    elsewhere = frozenset[str]().union(*table.values())
    objects = {*trusted, *_estimators(), *_names(COMPONENTS_OF_ESTIMATORS)}
    return table | {"ObjectNode": objects - elsewhere}


def import_trusted(name: str) -> Any:
    """Return the class or function with this name, which must be in `names_by_loader`."""
    module, _, own = name.rpartition(".")
    if module == "numpy" and own in SCALARS:
        return SCALARS[own]
    if name in _ufuncs():
        return _ufuncs()[name]
    return getattr(import_module(module), own)
