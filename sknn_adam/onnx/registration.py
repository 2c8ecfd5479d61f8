"""Registration of our estimators with skl2onnx: parsers, shape calculators and converters."""

from functools import partial
from typing import Any

import numpy as np
import sklearn.model_selection
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sknn_adam.classifier import MLPClassifier
from sknn_adam.onnx.columns import piecewise_linear, smooth_clip
from sknn_adam.onnx.graph import Graph, raw_outputs
from sknn_adam.onnx.heads import (
    class_outputs,
    deviations,
    integer_or_text,
    label_outputs,
    n_columns,
    predictions,
)
from sknn_adam.onnx.meta_estimators import guarded, is_nested, unwrap, wants_raw_scores
from sknn_adam.onnx.tables import prepared_columns
from sknn_adam.preprocessing import PiecewiseLinearEncoder, SmoothClipScaler
from sknn_adam.regressor import MLPRegressor
from sknn_adam.tabular.tables import Columns

__all__ = ["register"]

CLASSIFIER, REGRESSOR = "SknnAdamMLPClassifier", "SknnAdamMLPRegressor"
FROZEN, COLUMNS = "SknnAdamFrozenEstimator", "SknnAdamColumns"
REGRESSOR_OPTIONS = {"return_std": [True, False]}
CLASSIFIER_OPTIONS = {
    "zipmap": [True, False, "columns"],
    "output_class_labels": [False, True],
    "nocl": [True, False],
    "raw_scores": [True, False],
}


def register() -> None:
    """Register converters for this package's estimators with skl2onnx.

    After this call, ``skl2onnx.to_onnx(model, X)`` accepts an MLPClassifier or MLPRegressor, the
    transformers of `sknn_adam.preprocessing`, and estimators that contain them: a Pipeline, a
    FrozenEstimator, a GridSearchCV, a RandomizedSearchCV, a BayesSearchCV (if scikit-optimize is
    installed) or a halving search (if it was enabled before this call). The dtype of `X` determines
    the precision of the graph, float32 or float64. For a make_tabular_pipeline, `initial_types`
    returns the inputs. Repeated calls are harmless.

    Raises
    ------
    ImportError
        If skl2onnx is not installed. The extra ``onnx`` installs it.

    Notes
    -----
    *Outputs.* A regressor has the output ``"variable"`` (n_samples, n_outputs), with one column per
    level if it predicts several quantiles. With ``loss="gaussian"``, the option
    ``{"return_std": True}`` adds the output ``"std"``. A classifier outputs labels and
    probabilities. The probabilities are dictionaries of float32 unless the option
    ``{"zipmap": False}`` is given. For a multilabel target they are always a matrix, and for a
    multioutput target a list of matrices. With the option ``{"raw_scores": True}``, the scores of
    ``decision_function`` replace the probabilities. For two classes, they have two columns, -s
    and s.

    *Unsupported models.* ``to_onnx`` raises NotImplementedError for a custom activation, loss or
    normalization with its own formula, and for classes that are neither whole numbers nor text. The
    message names the unsupported object.

    *Precision.* In float64 graphs GELU's error function is computed in float32, because onnxruntime
    has no float64 version.

    *Meta-estimators* of scikit-learn that contain an MLPClassifier or MLPRegressor are converted by
    skl2onnx itself. ``to_onnx`` raises NotImplementedError if the graph would make other
    predictions than the model, for example for a CalibratedClassifierCV with ``method="isotonic"``
    or a TunedThresholdClassifierCV.

    *Versions.* skl2onnx up to 1.20 writes at most opset 22 and IR version 10, which onnxruntime
    1.20 and later can run. With a newer skl2onnx, pass ``target_opset=22``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.onnx import register
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier((8,), max_iter=5, random_state=0).fit(X, y)
    >>> register()
    >>> from skl2onnx import to_onnx
    >>> converted = to_onnx(model, X[:1].astype(np.float32), options={"zipmap": False})
    >>> [output.name for output in converted.graph.output]
    ['label', 'probabilities']
    """
    try:
        from skl2onnx import update_registered_converter as update
    except ImportError as error:
        raise ImportError(
            "register needs skl2onnx. Install it, or the extra 'onnx': "
            "pip install 'sknn_adam[onnx]'."
        ) from error
    more: dict[str, Any] = {"parser": _parse_classifier, "options": CLASSIFIER_OPTIONS}
    update(MLPClassifier, CLASSIFIER, _shapes_of_classifier, _convert_classifier, **more)
    more = {"parser": _parse_regressor, "options": REGRESSOR_OPTIONS}
    update(MLPRegressor, REGRESSOR, _shapes_of_regressor, _convert_regressor, **more)
    for transformer, formula in (
        (SmoothClipScaler, smooth_clip),
        (PiecewiseLinearEncoder, piecewise_linear),
    ):
        alias = f"SknnAdam{transformer.__name__}"
        convert = partial(_convert_transformer, formula)
        update(transformer, alias, _shapes_of_transformer, convert)
    more = {"parser": _parse_columns}
    update(Columns, COLUMNS, _shapes_of_columns, _convert_columns, **more)
    _register_meta_estimators()


def _register_meta_estimators() -> None:
    from skl2onnx import update_registered_converter as update
    from skl2onnx._parse import update_registered_parser
    from skl2onnx._supported_operators import sklearn_operator_name_map
    from skl2onnx.common._registration import _shape_calculator_pool, register_shape_calculator

    # skl2onnx supports only GridSearchCV. If that is inside another estimator, skl2onnx's parser
    # declares the outputs of the search as outputs of the graph.
    for search in _searches():
        sklearn_operator_name_map[search] = "SklearnGridSearchCV"
        update_registered_parser(search, _parse_wrapper)
    more: dict[str, Any] = {"parser": _parse_wrapper, "options": CLASSIFIER_OPTIONS}
    # No shape calculator is needed, because the estimator inside sets the shapes of its outputs.
    update(FrozenEstimator, FROZEN, lambda operator: None, _convert_frozen, **more)
    update_registered_parser(Pipeline, _parse_pipeline)
    # Shape calculators are the only hook that runs before skl2onnx converts a meta-estimator.
    for alias, calculate in list(_shape_calculator_pool.items()):
        if alias.startswith("Sklearn"):
            register_shape_calculator(alias, guarded(calculate), overwrite=True)


def _searches() -> list[type]:
    searches = [sklearn.model_selection.GridSearchCV, sklearn.model_selection.RandomizedSearchCV]
    try:
        from skopt import BayesSearchCV
    # Without scikit-optimize there cannot be a BayesSearchCV to convert. A release that does not
    # support the installed NumPy or scikit-learn may raise any error.
    except Exception:
        pass
    else:
        searches.append(BayesSearchCV)
    for name in ("HalvingGridSearchCV", "HalvingRandomSearchCV"):
        try:
            searches.append(getattr(sklearn.model_selection, name))
        except (AttributeError, ImportError):
            # Halving searches are experimental and must be enabled first.
            break
    return searches


# -- outputs -------------------------------------------------------------------------------------


def _parse_wrapper(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Parse the estimator inside a search or FrozenEstimator, with the options given for these."""
    from skl2onnx._parse import _parse_sklearn

    if isinstance(model, FrozenEstimator):
        inner = model.estimator
    else:
        check_is_fitted(model, "best_estimator_")
        inner = model.best_estimator_
    options = scope.get_options(model, {})
    steps = [inner, *(step for _, step in getattr(inner, "steps", [])[-1:])]
    for estimator in steps if options else ():
        scope.add_options(id(estimator), options)
    return _parse_sklearn(scope, inner, inputs, custom_parsers=custom_parsers)


def _parse_pipeline(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Parse a pipeline as skl2onnx does, but pass the option "raw_scores" on to the last step."""
    from skl2onnx._parse import _parse_sklearn_pipeline

    last = unwrap(model)
    if isinstance(last, MLPClassifier) and scope.get_options(model).get("raw_scores"):
        scope.add_options(id(last), {"raw_scores": True})
    return _parse_sklearn_pipeline(scope, model, inputs, custom_parsers)


def _parse_classifier(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    from skl2onnx._parse import _parse_sklearn_classifier
    from skl2onnx.common.data_types import Int64TensorType, SequenceType, guess_tensor_type

    check_is_fitted(model)
    targets = model._targets
    if not targets.several:
        return _parse_sklearn_classifier(scope, model, inputs, custom_parsers)
    options = scope.get_options(model, {"zipmap": True})
    refused = [name for name in ("output_class_labels", "nocl") if options.get(name)]
    if options.get("raw_scores") and targets.exclusive:
        refused.append("raw_scores")
    if options["zipmap"] == "columns":
        refused.append("zipmap='columns'")
    if refused:
        raise NotImplementedError(
            f"The options {', '.join(refused)} require a target with one column of classes. This "
            f"MLPClassifier was fitted with {targets.shape}."
        )
    operator = scope.declare_local_operator(CLASSIFIER, model)
    operator.inputs = inputs
    tensor_type = guess_tensor_type(inputs[0].type)
    probabilities = SequenceType(tensor_type) if targets.exclusive else tensor_type
    operator.outputs.append(scope.declare_local_variable("label", Int64TensorType()))
    operator.outputs.append(scope.declare_local_variable("probabilities", probabilities))
    return operator.outputs


def _parse_regressor(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    from skl2onnx.common.data_types import guess_tensor_type

    check_is_fitted(model)
    operator = scope.declare_local_operator(REGRESSOR, model)
    operator.inputs = inputs
    names = ["variable"]
    if scope.get_options(model, {"return_std": False})["return_std"]:
        names.append("std")
    for name in names:
        variable = scope.declare_local_variable(name, guess_tensor_type(inputs[0].type))
        operator.outputs.append(variable)
    return operator.outputs


def _parse_columns(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    operator = scope.declare_local_operator(COLUMNS, model)
    operator.inputs = inputs
    tensor_type = DoubleTensorType if _precision(operator) == np.float64 else FloatTensorType
    operator.outputs.append(scope.declare_local_variable("columns", tensor_type()))
    return operator.outputs


def _check_width(operator: Any) -> None:
    """Raise if an estimator gets another number of columns in the graph than in ``fit``."""
    model, shapes = operator.raw_operator, [variable.type.shape for variable in operator.inputs]
    widths: list[Any] = [shape[1] if len(shape) == 2 else None for shape in shapes]
    if all(isinstance(width, int) for width in widths) and sum(widths) != model.n_features_in_:
        raise NotImplementedError(
            f"{type(model).__name__} was fitted with {model.n_features_in_} columns, but in the "
            f"graph it gets {sum(widths)}. skl2onnx omits columns of an earlier step, for example "
            "the indicator columns of SimpleImputer(add_indicator=True)."
        )


def _shapes_of_classifier(operator: Any) -> None:
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

    _check_width(operator)
    model, outputs = operator.raw_operator, operator.outputs
    n_rows = operator.inputs[0].get_first_dimension()
    targets = model._targets
    text = integer_or_text(_column_classes(operator, 0)).dtype == object
    shape = [n_rows, len(targets.columns)] if targets.several else [n_rows]
    outputs[0].set_type((StringTensorType if text else Int64TensorType)(shape))
    if not targets.exclusive:
        outputs[1].type.shape = shape
    elif not targets.several:
        n_classes = len(targets.classes)
        # The maps of ONNX store float32.
        if _zipmaps(operator):
            outputs[1].set_type(FloatTensorType([n_rows, n_classes]))
        outputs[1].type.shape = [n_rows, n_classes]


def _shapes_of_regressor(operator: Any) -> None:
    _check_width(operator)
    model = operator.raw_operator
    for output in operator.outputs:
        output.type.shape = [operator.inputs[0].get_first_dimension(), n_columns(model)]


def _shapes_of_transformer(operator: Any) -> None:
    _check_width(operator)
    n_columns = len(operator.raw_operator.get_feature_names_out())
    operator.outputs[0].type.shape = [operator.inputs[0].get_first_dimension(), n_columns]


def _shapes_of_columns(operator: Any) -> None:
    width = max(block.stop for block in operator.raw_operator.output_indices_.values())
    operator.outputs[0].type.shape = [operator.inputs[0].get_first_dimension(), width]


def _zipmaps(operator: Any) -> bool:
    """Return whether the probabilities become dictionaries.

    This is possible only for outputs of the graph.
    """
    options = operator.scope_inst.get_options(operator.raw_operator, {"zipmap": True})
    return options["zipmap"] is True and not is_nested(operator)


def _column_classes(operator: Any, k: int) -> np.ndarray:
    """Return the classes of a target column, or with the option "nocl" their codes."""
    classes = operator.raw_operator._targets.columns[k]
    if operator.scope_inst.get_options(operator.raw_operator, {"nocl": False})["nocl"]:
        return np.arange(len(classes))
    return classes


# -- conversion ----------------------------------------------------------------------------------


def _inputs(
    scope: Any, operator: Any, container: Any, members: int | None = None
) -> tuple[Graph, str]:
    """Return a graph in the precision of the inputs, and the inputs joined to one tensor."""
    g = Graph(scope, container, _precision(operator), members)
    inputs = [g.cast(variable.full_name, g.dtype) for variable in operator.inputs]
    return g, inputs[0] if len(inputs) == 1 else g("Concat", *inputs, axis=1)


def _precision(operator: Any) -> Any:
    from skl2onnx.common.data_types import DoubleTensorType

    double = any(isinstance(variable.type, DoubleTensorType) for variable in operator.inputs)
    return np.float64 if double else np.float32


def _network_graph(scope: Any, operator: Any, container: Any) -> tuple[Graph, str]:
    """Return a graph in the precision of the inputs, and the network's raw outputs in it."""
    network = operator.raw_operator._network
    g, x = _inputs(scope, operator, container, network.members)
    return g, raw_outputs(g, network, x)


def _convert_transformer(formula: Any, scope: Any, operator: Any, container: Any) -> None:
    g, x = _inputs(scope, operator, container)
    g.publish(formula(g, operator.raw_operator, x), operator.outputs[0])


def _convert_columns(scope: Any, operator: Any, container: Any) -> None:
    g = Graph(scope, container, _precision(operator))
    g.publish(prepared_columns(g, operator), operator.outputs[0])


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    model = operator.raw_operator
    n_raw = model._network.dense()[-1].fan_out
    g, z = _network_graph(scope, operator, container)
    g.publish(predictions(g, model, z, n_raw), operator.outputs[0])
    if len(operator.outputs) > 1:
        g.publish(deviations(g, model, z, n_raw), operator.outputs[1])


def _convert_frozen(scope: Any, operator: Any, container: Any) -> None:
    """Convert the estimator of a FrozenEstimator that is inside another estimator."""
    from skl2onnx._supported_operators import sklearn_operator_name_map

    inner = operator.raw_operator.estimator
    below = scope.declare_local_operator(sklearn_operator_name_map[type(inner)], inner)
    below.inputs = operator.inputs
    for output in operator.outputs:
        variable = scope.declare_local_variable(output.onnx_name, type=output.type)
        below.outputs.append(variable)
        name = scope.get_unique_operator_name("Identity")
        container.add_node("Identity", [variable.full_name], [output.full_name], name=name)


def _convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    model = operator.raw_operator
    raw_scores = wants_raw_scores(operator, container)
    label, probabilities = operator.outputs
    loss, targets = model._loss, model._targets
    g, z = _network_graph(scope, operator, container)
    if not targets.exclusive:
        labels, p = label_outputs(g, loss, z, len(targets.columns), raw_scores)
        g.publish(labels, label)
        g.publish(p, probabilities)
        return
    columns, tables, start = [], [], 0
    for k, known in enumerate(targets.columns):
        width = len(known) if len(known) > 2 else 1
        raw = g.columns(z, start, start + width)
        code, p = class_outputs(g, loss, raw, len(known), raw_scores)
        columns.append(g("Gather", integer_or_text(_column_classes(operator, k)), code, axis=0))
        tables.append(p)
        start += width
    if not targets.several:
        p = tables[0]
        if g.dtype == np.float64 and _zipmaps(operator):
            p = g.cast(p, np.float32)
        g.publish(columns[0], label)
        g.publish(p, probabilities)
        return
    g.publish(g("Concat", *(g("Reshape", c, [-1, 1]) for c in columns), axis=1), label)
    g.publish(g("SequenceConstruct", *tables), probabilities)
