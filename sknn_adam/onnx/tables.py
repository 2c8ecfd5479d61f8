"""Conversion of `Columns`, the step of make_tabular_pipeline that prepares the columns of a table.

The converters of skl2onnx for its transformers omit indicators of missing values, raise errors for
rare levels of several columns, and do not support float64.
"""

from collections.abc import Iterator
from numbers import Real
from typing import Any
from warnings import catch_warnings, filterwarnings

import numpy as np
from scipy.sparse import issparse
from sklearn import config_context
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils.validation import check_is_fitted

from sknn_adam.onnx.columns import piecewise_linear, smooth_clip
from sknn_adam.onnx.graph import Graph
from sknn_adam.preprocessing import PiecewiseLinearEncoder, SmoothClipScaler
from sknn_adam.tabular.columns import MISSING, Words
from sknn_adam.tabular.parsing import boolean_words
from sknn_adam.tabular.tables import Columns

__all__ = ["initial_types", "prepared_columns"]


def initial_types(model: Any, dtype: Any = np.float32) -> list[tuple[str, Any]]:
    """Return one input for each column that a fitted make_tabular_pipeline uses.

    Categories and booleans become inputs of text. Numbers become inputs of numbers, even if they
    were text in ``fit``.

    Parameters
    ----------
    model : Pipeline
        The fitted pipeline; the ``best_estimator_`` of a search.
    dtype : {float32, float64}, default=float32
        The dtype of the numbers and of the graph.

    Returns
    -------
    list of tuple
        Name and type of each input, for ``to_onnx(model, initial_types=initial_types(model))``. The
        columns of an array have the names x0, x1, ...

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam import make_tabular_pipeline
    >>> from sknn_adam.onnx import initial_types
    >>> X = np.array([[1.0, "red"], [2.0, "blue"], [np.nan, "red"], [4.0, None]] * 10, dtype=object)
    >>> model = make_tabular_pipeline("regressor", recipe="fast", random_state=0)
    >>> initial_types(model.fit(X, range(40)))
    [('x0', FloatTensorType(shape=[None, 1])), ('x1', StringTensorType(shape=[None, 1]))]
    """
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType

    columns = model[0] if isinstance(model, Pipeline) else model
    if not isinstance(columns, Columns):
        raise TypeError(f"'model' must be a Pipeline of make_tabular_pipeline. Got {model!r}.")
    check_is_fitted(columns, "_types")
    numbers = DoubleTensorType if np.dtype(dtype) == np.float64 else FloatTensorType
    names, types = _names_of_inputs(columns), columns._types
    used = sorted({i for _, _, indices in _used_steps(columns) for i in indices})
    as_numbers = [types[i].type in ("number", "sparse") for i in used]
    pairs = zip(used, as_numbers, strict=True)
    return [(names[i], (numbers if n else StringTensorType)([None, 1])) for i, n in pairs]


def _names_of_inputs(columns: Columns) -> list[str]:
    return [str(name) if columns._names else f"x{name}" for name in columns._names_in_fit()]


def _used_steps(columns: Columns) -> Iterator[tuple[str, list[Any], list[int]]]:
    """Yield the name, the transformers and the positions of the columns of each step."""
    for name, step, _ in columns.transformers_:
        indices = list(columns._transformer_to_input_indices[name])
        steps = [t for _, t in step.steps] if isinstance(step, Pipeline) else [step]
        if indices and steps != ["drop"]:
            yield name, [t for t in steps if not isinstance(t, str | None)], indices


def prepared_columns(g: Graph, operator: Any) -> str:
    """Return the output of ``Columns.transform``."""
    model = operator.raw_operator
    weights, parts = model.transformer_weights or {}, []
    for name, transformers, indices in _used_steps(model):
        if transformers and isinstance(transformers[0], Words):
            words, encoder, *transformers = transformers
            x = _encoded(g, encoder, _words(g, operator, words, indices))
        else:
            numbers = [g.cast(x, g.dtype) for x, _ in _tensors_of(g, operator, indices, "numbers")]
            x = g("Concat", *numbers, axis=1)
        for transformer in transformers:
            x = FORMULAS.get(type(transformer), _by_skl2onnx)(g, transformer, x)
        parts.append(g("Mul", x, float(weights[name])) if name in weights else x)
    return g("Concat", *parts, axis=1)


# -- inputs --------------------------------------------------------------------------------------


def _words(g: Graph, operator: Any, model: Words, indices: list[int]) -> str:
    """Return the output of ``Words.transform`` for text and booleans."""
    words = []
    for i, truth in zip(indices, model.truths_, strict=True):
        column, ((x, type_),) = (
            operator.raw_operator._types[i],
            _tensors_of(g, operator, [i], "text"),
        )
        truths = ["False", "True"] if truth else ["0", "1"]
        if type_ == "Boolean":
            x = g("Gather", truths, g.cast(x, np.int64))
        elif column.type == "boolean":
            table = {
                spelled: truths[value]
                for word, value in boolean_words(column.style or "true").items()
                for spelled in (word, word.upper(), word.title())
            }
            x = _look_up(g, x, table, values_strings=[*table.values()], default_string=MISSING)
        words.append(x)
    return g("Concat", *words, axis=1)


def _tensors_of(g: Graph, operator: Any, indices: list[int], content: str) -> list[tuple[str, str]]:
    """Return the tensors of columns, with their types; one tensor if the graph has one input."""
    model, inputs = operator.raw_operator, list(operator.inputs)
    names = _names_of_inputs(model)
    single = len(inputs) == 1 and inputs[0].type.shape[1] in (None, len(names))
    given = {variable.raw_name: variable for variable in inputs}
    given = dict.fromkeys(names, inputs[0]) if single else given
    types = {name: type(v.type).__name__.removesuffix("TensorType") for name, v in given.items()}
    for i in indices:
        known, type_ = model._types[i].type, types.get(names[i])
        if known in ("date", "text"):
            problem = f"has the type {known!r}, which cannot be converted. Drop it before fit."
        elif type_ is None:
            problem = f"needs an input. The graph has {list(given)!r}."
        elif (type_ in ("String", "Boolean")) != (content == "text"):
            problem = (
                f"has the type {known!r} and needs an input of {content}. Pass "
                "initial_types=sknn_adam.onnx.initial_types(model) to to_onnx."
            )
        else:
            continue
        name = model._names_in_fit()[i]
        raise NotImplementedError(f"Conversion to ONNX: column {name!r} {problem}")
    if single:
        return [(g("Gather", inputs[0].full_name, indices, axis=1), types[names[0]])]
    return [(given[names[i]].full_name, types[names[i]]) for i in indices]


# -- transformers --------------------------------------------------------------------------------


def _impute(g: Graph, model: SimpleImputer, x: str) -> str:
    """Return the output of ``SimpleImputer.transform`` for numbers."""
    marker, statistics = model.missing_values, model.statistics_
    is_number = isinstance(marker, Real) and marker == marker
    missing = g("Equal", x, float(marker)) if is_number else g("IsNaN", x)
    # Columns without any values are dropped.
    kept = np.flatnonzero(~np.isnan(statistics))
    filled = g("Gather", g("Where", missing, statistics, x), kept, axis=1)
    if model.indicator_ is None:
        return filled
    flags = g("Gather", missing, model.indicator_.features_, axis=1)
    return g("Concat", filled, g.cast(flags, g.dtype), axis=1)


FORMULAS: dict[type, Any] = {
    SimpleImputer: _impute,
    SmoothClipScaler: smooth_clip,
    PiecewiseLinearEncoder: piecewise_linear,
    MaxAbsScaler: lambda g, model, x: g("Div", x, model.scale_),
}


def _levels(encoder: Any) -> Any:
    """Return the levels of each column in ``fit``, or None if it is not a known encoder."""
    if isinstance(encoder, FeatureUnion):
        found = [_levels(part) for _, part in encoder.transformer_list if part != "drop"]
        return found[0] if found and all(levels is not None for levels in found) else None
    return getattr(getattr(encoder, "levels_", encoder), "categories_", None)


def _encoded(g: Graph, encoder: Any, x: str) -> str:
    """Return the output of an encoder whose output columns depend on one input column each.

    The encoder itself transforms every level, and the graph looks up the results.
    """
    levels = _levels(encoder)
    if levels is None:
        raise NotImplementedError(f"Conversion to ONNX: {encoder!r} is not supported.")
    unseen = "?" * (1 + max(len(level) for known in levels for level in known))
    # If the encoder raises an error for unseen levels, there is no result that could be looked up.
    more = [] if getattr(encoder, "handle_unknown", "") == "error" else [unseen]
    first, tables = np.array([known[0] for known in levels], dtype=object), []
    with config_context(transform_output="default"), catch_warnings():
        # The level `unseen` is intended.
        filterwarnings("ignore", "Found unknown categories", UserWarning)
        for i, known in enumerate(levels):
            probe = np.tile(first, (len(known) + len(more), 1))
            probe[:, i] = [*known, *more]
            out = encoder.transform(probe)
            tables.append(np.asarray(out.toarray() if issparse(out) else out, dtype=np.float64))
    # Constant output columns belong to the first input column.
    owner = np.argmax([(table != table[0]).any(axis=0) for table in tables], axis=0)
    parts = []
    for i, (known, table) in enumerate(zip(levels, tables, strict=True)):
        codes = dict(zip(known, range(len(known)), strict=True))
        # An empty string is a missing value, unless it is a level.
        codes.setdefault("", codes.get(MISSING, len(known)))
        values = {"values_int64s": [*codes.values()], "default_int64": len(known)}
        code = _look_up(g, g("Gather", x, [i], axis=1), codes, **values)
        parts.append(g("Gather", table[:, owner == i], g("Reshape", code, [-1]), axis=0))
    order = np.argsort(np.argsort(owner, kind="stable"))
    return g("Gather", g("Concat", *parts, axis=1), order, axis=1)


def _look_up(g: Graph, x: str, keys: Any, **values: Any) -> str:
    """Replace the strings `keys` by values."""
    keys = {"keys_strings": list(keys), "op_domain": "ai.onnx.ml", "op_version": 2}
    return g("LabelEncoder", x, **keys, **values)


def _by_skl2onnx(g: Graph, transformer: Any, x: str) -> str:
    """Return the output of a transformer that skl2onnx converts."""
    from skl2onnx._parse import _parse_sklearn
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    tensor_type = DoubleTensorType if g.dtype == np.float64 else FloatTensorType
    shape = [None, transformer.n_features_in_]
    given = g.scope.declare_local_variable("given", tensor_type(shape))
    g.publish(x, given)
    (out,) = _parse_sklearn(g.scope, transformer, [given])
    return g.cast(out.full_name, g.dtype)
