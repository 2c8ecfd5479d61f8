"""Checks that reject meta-estimators whose ONNX graph would make other predictions.

skl2onnx has a converter for each meta-estimator, which calls our converters for the estimators
inside. Some of its converters deviate from scikit-learn: they use the nearest threshold of an
isotonic regression, or ignore a tuned threshold or the method with which a stack was fitted. The
resulting graph is valid but wrong. Therefore every meta-estimator that contains one of our
estimators is checked first, and converted only if its graph is known to be correct.
"""

from collections.abc import Callable, Iterator
from functools import wraps
from types import ModuleType
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from sknn_adam.classifier import MLPClassifier
from sknn_adam.onnx.heads import integer_or_text, n_columns
from sknn_adam.regressor import MLPRegressor

__all__ = ["guarded", "is_nested", "unwrap", "wants_raw_scores"]

# Operators that pass on the outputs of a model, possibly converted to another type.
OUTLETS = {"SklearnZipMap", "SklearnZipMapColumns", "SklearnIdentity", "SklearnCast"}


def unwrap(estimator: Any) -> Any:
    """Return the estimator that predicts inside a pipeline, search or FrozenEstimator."""
    while True:
        if isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        elif isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return estimator


def _inside(estimator: Any) -> Iterator[Any]:
    """Yield our estimators inside an object, at any depth."""
    stack, seen = [estimator], set()
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, MLPClassifier | MLPRegressor):
            yield value
        elif isinstance(value, dict):
            stack += value.values()
        elif isinstance(value, list | tuple | set):
            stack += value
        elif isinstance(value, np.ndarray):
            stack += value.ravel().tolist() if value.dtype == object else []
        elif not isinstance(value, type | ModuleType):
            stack += getattr(value, "__dict__", {}).values()


def _children(meta: Any) -> list[Any]:
    """Return the fitted estimators that a meta-estimator of scikit-learn calls."""
    children = [pair.estimator for pair in getattr(meta, "calibrated_classifiers_", [])]
    # If there is an attribute `estimators_`, then `estimator_` is an unfitted template.
    children += getattr(meta, "estimators_", [getattr(meta, "estimator_", None)])
    children += [getattr(meta, "final_estimator_", None)]
    return [estimator for estimator in children if estimator is not None]


def _enclosing(operator: Any) -> list[Any]:
    """Return the operators of the meta-estimators that contain the estimator of `operator`."""
    model = operator.raw_operator
    return [
        other
        for other in operator.scope_inst.operators.values()
        if other.raw_operator is not None
        and other.raw_operator is not model
        and other.type not in WITHOUT_ESTIMATORS
        and any(ours is model for ours in _inside(other.raw_operator))
    ]


def is_nested(operator: Any) -> bool:
    """Return whether the outputs of `operator` are inputs of another model."""
    model = operator.raw_operator
    return any(unwrap(other.raw_operator) is not model for other in _enclosing(operator))


# -- reasons why a meta-estimator cannot be converted --------------------------------------------

# Meta-estimators whose conversion by skl2onnx is correct; all others are refused.
CONVERTED = (
    "Pipeline GridSearchCV RANSACRegressor StackingClassifier StackingRegressor "
    "OneVsRestClassifier OneVsOneClassifier AdaBoostClassifier AdaBoostRegressor "
    "BaggingClassifier BaggingRegressor CalibratedClassifierCV MultiOutputClassifier "
    "MultiOutputRegressor VotingClassifier VotingRegressor"
).split()
NEED_ALL_CLASSES = "AdaBoostClassifier BaggingClassifier CalibratedClassifierCV VotingClassifier"
TAKE_COLUMNS = "Pipeline GridSearchCV RANSACRegressor StackingRegressor"
# The graphs of these select columns or compute an intermediate result. They contain no estimator.
WITHOUT_ESTIMATORS = (
    "SklearnRFE SklearnRFECV SklearnSelectFromModel SklearnOVRDecisionFunction".split()
)
# The converters of these treat an estimator's probabilities as scores.
NEED_SCORES = {"SklearnCalibratedClassifierCV", "SklearnOneVsOneClassifier"}


def _reasons(operator: Any) -> Iterator[str]:
    """Yield the reasons why the graph of a meta-estimator would be wrong."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    meta, scope = operator.raw_operator, operator.scope_inst
    name = operator.type.removeprefix("Sklearn")
    models = [model for model in _inside(meta) if hasattr(model, "_network")]
    if operator.type in WITHOUT_ESTIMATORS or not models:
        return
    if name not in CONVERTED:
        yield "the graph written by skl2onnx would make other predictions"
    consumers = {o.type for variable in operator.outputs for o in variable.operators_inputs_}
    if hasattr(meta, "transform") and consumers - OUTLETS:
        yield "it is used as a transformer, but the graph would pass on its predictions"
    if any(unwrap(meta) is model for model in models):
        return
    if any(isinstance(m, MLPClassifier) and m._targets.several for m in models):
        yield "the classifier inside was fitted with several columns of labels"
    inputs, children = [type(variable.type) for variable in operator.inputs], _children(meta)
    if inputs not in ([FloatTensorType], [DoubleTensorType]):
        yield "its input must be one table of floats; pass float32 or float64 to to_onnx"
    classes = getattr(meta, "classes_", [])
    known = integer_or_text([] if isinstance(classes, list) else classes)
    if known.dtype != object and not (np.abs(known) < 2**31).all():
        yield "skl2onnx stores classes as 32-bit integers, but some are larger"
    if name in NEED_ALL_CLASSES.split() and any(len(e.classes_) != len(classes) for e in children):
        yield "an estimator inside was fitted without one of the classes"
    widths = [n_columns(model) for model in models if isinstance(model, MLPRegressor)]
    if name not in TAKE_COLUMNS.split() and max(widths, default=1) > 1:
        yield "the regressor inside predicts several columns"
    # Only pipelines and searches pass the option "raw_scores" on to our classifiers.
    indirect = [e for e in map(unwrap, children) if not isinstance(e, MLPClassifier)]
    if operator.type in NEED_SCORES and any([*_inside(e)] for e in indirect):
        yield "it needs the scores of MLPClassifier, which is inside another meta-estimator"
    if name == "CalibratedClassifierCV" and meta.method != "sigmoid":
        yield (f"the graph would make other predictions for method={meta.method!r}; use 'sigmoid'")
    if name == "OneVsOneClassifier":
        if not np.array_equal(classes, np.arange(len(classes))):
            yield "the graph would predict the indices of the classes instead of the classes"
        # skl2onnx uses a fixed name for an intermediate result.
        if sum(other.type == operator.type for other in scope.operators.values()) > 1:
            yield "the graph contains several of them, which skl2onnx would mix up"
    options = scope.get_options(meta, fail=False) or {}
    if name == "BaggingClassifier" and options.get("raw_scores"):
        yield "with the option 'raw_scores' its labels would be those of the mean score"
    if name.startswith("Voting") and meta.weights is not None:
        if isinstance(meta.weights, list | tuple):
            yield "skl2onnx needs the weights as a NumPy array"
        if len(children) < len(meta.estimators):
            yield "an estimator was dropped, so the weights would apply to the wrong estimators"
    if name == "AdaBoostClassifier":
        if inputs == [DoubleTensorType]:
            yield "skl2onnx mixes float32 and float64; pass float32 to to_onnx"
        if meta.classes_.dtype.kind == "b":
            yield "skl2onnx treats boolean classes as text; use integers"
    if name.startswith("MultiOutput"):
        if any(unwrap(e) is not e for e in children):
            yield "skl2onnx cannot convert a pipeline, a search or a FrozenEstimator inside it"
        if any(column.dtype.kind == "f" for column in classes):
            yield "skl2onnx treats float classes as text; use integers"
    if name == "StackingClassifier":
        if isinstance(classes, list):
            yield "it was fitted with several columns of labels"
        if set(meta.stack_method_) != {"predict_proba"}:
            yield f"it was fitted with the methods {meta.stack_method_}; use 'predict_proba'"
        if not hasattr(meta.final_estimator_, "predict_proba"):
            yield "its final estimator has no probabilities"


def guarded(calculate: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return a shape calculator that raises if the graph of a meta-estimator would be wrong.

    skl2onnx calls it for each operator, including nested ones, before the converter.
    """

    @wraps(calculate)
    def checked(operator: Any) -> None:
        meta = operator.raw_operator
        ours = isinstance(meta, MLPClassifier | MLPRegressor)
        if not ours and (reason := next(_reasons(operator), None)):
            raise NotImplementedError(
                f"{type(meta).__name__} with an estimator of sknn_adam inside cannot be converted "
                f"to ONNX: {reason}."
            )
        calculate(operator)

    return calculate if hasattr(calculate, "__wrapped__") else checked


def wants_raw_scores(operator: Any, container: Any) -> bool:
    """Return whether a classifier should output scores instead of probabilities.

    The scores are those of ``decision_function``. skl2onnx requests them by an option, which it
    does not pass on to the last step of a pipeline or to the best estimator of a search.
    """
    model, enclosing = operator.raw_operator, _enclosing(operator)
    parents = [o for o in enclosing if any(unwrap(e) is model for e in _children(o.raw_operator))]
    scores = [o for o in parents if o.type in NEED_SCORES]
    if scores and len(scores) < len(parents):
        names = " and ".join(sorted({type(o.raw_operator).__name__ for o in parents}))
        raise NotImplementedError(
            f"The same fitted {type(model).__name__} is inside {names}, some of which need its "
            "probabilities and others its decision_function. skl2onnx supports only one of the two "
            "for each estimator. Use a copy of the fitted estimator in each of them."
        )
    wrappers = [operator, *(o for o in enclosing if unwrap(o.raw_operator) is model)]
    return bool(scores) or any(
        (place.get_options(wrapper.raw_operator, fail=False) or {}).get("raw_scores", False)
        for place in (operator.scope_inst, container)
        for wrapper in wrappers
    )
