"""What skl2onnx makes of a meta-estimator with one of our estimators inside.

skl2onnx converts a meta-estimator by a converter of its own, which calls ours for the estimators
inside. Some of its converters compute something else than scikit-learn: they take the nearest
threshold of an isotonic regression, ignore a tuned threshold, or drop the method that a stack was
fitted with. Nothing in the finished graph shows that. Therefore every meta-estimator that holds one
of our estimators is checked first, and all but those that are known to be right are refused.
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

# Operators that pass the outputs of a model on as they are.
OUTLETS = {"SklearnZipMap", "SklearnZipMapColumns", "SklearnIdentity", "SklearnCast"}


def unwrap(estimator: Any) -> Any:
    """Return the estimator whose predictions a pipeline, search or FrozenEstimator returns."""
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
    """Yield each of our estimators that an object holds, at any depth."""
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


def _holds(estimator: Any, model: Any) -> bool:
    return any(found is model for found in _inside(estimator))


def _children(meta: Any) -> list[Any]:
    """Return the fitted estimators that a meta-estimator of scikit-learn calls."""
    found = [pair.estimator for pair in getattr(meta, "calibrated_classifiers_", [])]
    # Of several estimators, `estimator_` is the template that was not fitted.
    found += getattr(meta, "estimators_", [getattr(meta, "estimator_", None)])
    found += [getattr(meta, "final_estimator_", None)]
    return [estimator for estimator in found if estimator is not None]


def _enclosing(operator: Any) -> list[Any]:
    """Return the operators of the meta-estimators that hold the estimator of `operator`."""
    model = operator.raw_operator
    return [
        other
        for other in operator.scope_inst.operators.values()
        if other.raw_operator is not None
        and other.raw_operator is not model
        and other.type not in WITHOUT_ESTIMATORS
        and _holds(other.raw_operator, model)
    ]


def is_nested(operator: Any) -> bool:
    """Return whether another model reads the outputs of `operator`."""
    model = operator.raw_operator
    return any(unwrap(other.raw_operator) is not model for other in _enclosing(operator))


# -- rules: why a meta-estimator cannot be converted, or None ------------------------------------

Rule = Callable[[Any, Any], str | None]


def _right(meta: Any, operator: Any) -> None:
    return None


def _one_column(meta: Any, operator: Any) -> str | None:
    regressors = [e for e in _inside(meta) if isinstance(e, MLPRegressor)]
    if any(hasattr(e, "_network") and n_columns(e) > 1 for e in regressors):
        return "the regressor inside predicts several columns"
    return None


def _all_classes(meta: Any, operator: Any) -> str | None:
    if any(len(e.classes_) != len(meta.classes_) for e in _children(meta)):
        return "an estimator inside was fitted without one of the classes"
    return None


def _direct(meta: Any) -> str | None:
    # The option "raw_scores" reaches our classifiers through pipelines and searches only.
    children = [unwrap(e) for e in _children(meta)]
    if any([*_inside(e)] and not isinstance(e, MLPClassifier) for e in children):
        return "it needs the scores of MLPClassifier, but there is a meta-estimator in between"
    return None


def _calibrated(meta: Any, operator: Any) -> str | None:
    if meta.method != "sigmoid":
        return f"skl2onnx computes something else for method={meta.method!r}; use 'sigmoid'"
    return _direct(meta) or _all_classes(meta, operator)


def _one_vs_one(meta: Any, operator: Any) -> str | None:
    if not np.array_equal(meta.classes_, np.arange(len(meta.classes_))):
        return "the graph would predict the numbers of the classes instead of the classes"
    # skl2onnx gives an intermediate result a fixed name.
    same = [o for o in operator.scope_inst.operators.values() if o.type == operator.type]
    if len(same) > 1:
        return "the graph has several of them, which skl2onnx mixes up"
    return _direct(meta)


def _bagging_classifier(meta: Any, operator: Any) -> str | None:
    if (operator.scope_inst.get_options(meta, fail=False) or {}).get("raw_scores"):
        return "with the option 'raw_scores' its labels would be those of the mean score"
    return _all_classes(meta, operator)


def _voting_classifier(meta: Any, operator: Any) -> str | None:
    return _voting(meta, operator) or _all_classes(meta, operator)


def _voting(meta: Any, operator: Any) -> str | None:
    if isinstance(meta.weights, list | tuple):
        return "skl2onnx needs the weights as a NumPy array"
    if meta.weights is not None and any(e == "drop" for _, e in meta.estimators):
        return "the weights would be those of other estimators, as one was dropped"
    return _one_column(meta, operator)


def _ada_boost(meta: Any, operator: Any) -> str | None:
    from skl2onnx.common.data_types import DoubleTensorType

    if isinstance(operator.inputs[0].type, DoubleTensorType):
        return "skl2onnx mixes float32 and float64; give float32 to to_onnx"
    if meta.classes_.dtype.kind == "b":
        return "skl2onnx takes classes of bool for text; use integers"
    return _all_classes(meta, operator)


def _multi_output(meta: Any, operator: Any) -> str | None:
    if any(unwrap(e) is not e for e in _children(meta)):
        return "skl2onnx cannot convert a pipeline, a search or a FrozenEstimator inside it"
    if any(classes.dtype.kind == "f" for classes in getattr(meta, "classes_", [])):
        return "skl2onnx takes classes of floats for text; use integers"
    return _one_column(meta, operator)


def _stacking_classifier(meta: Any, operator: Any) -> str | None:
    if isinstance(meta.classes_, list):
        return "it was fitted with several columns of labels"
    if set(meta.stack_method_) != {"predict_proba"}:
        return f"it was fitted with the methods {meta.stack_method_}; use 'predict_proba'"
    if not hasattr(meta.final_estimator_, "predict_proba"):
        return "its final estimator has no probabilities"
    return None


RULES: dict[str, Rule] = {
    "SklearnPipeline": _right,
    "SklearnGridSearchCV": _right,
    "SklearnRANSACRegressor": _right,
    "SklearnStackingRegressor": _right,
    "SklearnOneVsRestClassifier": _one_column,
    "SklearnOneVsOneClassifier": _one_vs_one,
    "SklearnAdaBoostClassifier": _ada_boost,
    "SklearnAdaBoostRegressor": _one_column,
    "SklearnBaggingClassifier": _bagging_classifier,
    "SklearnBaggingRegressor": _one_column,
    "SklearnCalibratedClassifierCV": _calibrated,
    "SklearnMultiOutputClassifier": _multi_output,
    "SklearnMultiOutputRegressor": _multi_output,
    "SklearnStackingClassifier": _stacking_classifier,
    "SklearnVotingClassifier": _voting_classifier,
    "SklearnVotingRegressor": _voting,
}
# Their graphs hold the columns that were selected or an intermediate result, and no estimator.
WITHOUT_ESTIMATORS = {
    "SklearnRFE",
    "SklearnRFECV",
    "SklearnSelectFromModel",
    "SklearnOVRDecisionFunction",
}
# They read the probabilities of an estimator as scores.
NEED_SCORES = {"SklearnCalibratedClassifierCV", "SklearnOneVsOneClassifier"}


def _classes_fit(meta: Any) -> bool:
    """Return whether skl2onnx, which writes 32-bit integers, can write the classes."""
    if not isinstance(classes := getattr(meta, "classes_", None), np.ndarray):
        return True
    classes = integer_or_text(classes)
    return classes.dtype == object or bool((np.abs(classes) < 2**31).all())


def _reason(operator: Any) -> str | None:
    """Return why the graph of a meta-estimator would be wrong, or None."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    meta = operator.raw_operator
    models = [model for model in _inside(meta) if hasattr(model, "_network")]
    if operator.type in WITHOUT_ESTIMATORS or not models:
        return None
    if operator.type not in RULES:
        return "skl2onnx computes something else"
    consumers = {o.type for variable in operator.outputs for o in variable.operators_inputs_}
    if hasattr(meta, "transform") and consumers - OUTLETS:
        return "it is used as a transformer, but the graph holds its predictions"
    if any(unwrap(meta) is model for model in models):
        return None
    if any(isinstance(m, MLPClassifier) and m._targets.several for m in models):
        return "the classifier inside was fitted with several columns of labels"
    if not _classes_fit(meta):
        return "skl2onnx writes classes as 32-bit integers, and these are larger"
    inputs = [type(variable.type) for variable in operator.inputs]
    if inputs not in ([FloatTensorType], [DoubleTensorType]):
        return "its input must be one table of floats; give float32 or float64 to to_onnx"
    return RULES[operator.type](meta, operator)


def guarded(calculate: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return a shape calculator that first refuses a meta-estimator whose graph would be wrong.

    It is called for each operator before its converter, for nested ones too.
    """

    @wraps(calculate)
    def checked(operator: Any) -> None:
        meta = operator.raw_operator
        if not isinstance(meta, MLPClassifier | MLPRegressor) and (reason := _reason(operator)):
            raise NotImplementedError(
                f"{type(meta).__name__} with an estimator of sknn_adam inside cannot be converted "
                f"to ONNX: {reason}."
            )
        calculate(operator)

    return calculate if hasattr(calculate, "__wrapped__") else checked


def _asked(operator: Any, container: Any) -> bool:
    """Return whether the option "raw_scores" was given for the model of an operator."""
    places = operator.scope_inst, container
    found = (place.get_options(operator.raw_operator, fail=False) or {} for place in places)
    return any(options.get("raw_scores", False) for options in found)


def wants_raw_scores(operator: Any, container: Any) -> bool:
    """Return whether the probabilities of a classifier are to be the scores of decision_function.

    skl2onnx asks for them by an option, which it does not hand on to the last step of a pipeline
    or to the best estimator of a search.
    """
    model, enclosing = operator.raw_operator, _enclosing(operator)
    parents = [o for o in enclosing if any(unwrap(e) is model for e in _children(o.raw_operator))]
    scores = [o for o in parents if o.type in NEED_SCORES]
    if scores and len(scores) < len(parents):
        raise NotImplementedError(
            f"The same fitted {type(model).__name__} is inside {_names(parents)}, some of which "
            "need its probabilities and others its decision_function. skl2onnx cannot tell them "
            "apart; use a copy of the fitted estimator for each of them."
        )
    wrappers = [operator, *(o for o in enclosing if unwrap(o.raw_operator) is model)]
    return bool(scores) or any(_asked(o, container) for o in wrappers)


def _names(operators: list[Any]) -> str:
    return " and ".join(sorted({type(o.raw_operator).__name__ for o in operators}))
