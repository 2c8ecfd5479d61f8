"""Models on real tables to convert to ONNX, for tests/test_onnx.py and the heavy tests."""

from functools import cache
from itertools import product

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknn_adam import MLPClassifier, MLPRegressor
from sknn_adam.activations import ACTIVATIONS
from sknn_adam.losses import FocalLoss, HuberLoss, QuantileLoss, TweedieLoss
from sknn_adam.normalization import NORMALIZATIONS

LOADERS = {"breast cancer": load_breast_cancer, "wine": load_wine, "diabetes": load_diabetes}
SMALL = {"hidden_layer_sizes": (12, 7), "max_iter": 10, "random_state": 0}


@cache
def table(name):
    return LOADERS[name](return_X_y=True)


def targets(name, target_type):
    """Return targets of this type from a real table."""
    X, y = table(name)
    above = X > np.median(X, axis=0)
    classes = np.digitize(y, [100, 200]) if name == "diabetes" else y
    # Numbers that are positive for every table.
    numbers = y if name == "diabetes" else 20 * X[:, 0]
    return {
        "classes": lambda: classes,
        "text": lambda: np.array([f"class {k}" for k in classes]),
        "truth": lambda: classes > 0,
        "whole floats": lambda: classes.astype(float) * 2,
        "labels": lambda: above[:, :4].astype(int),
        "columns": lambda: np.stack([np.digitize(numbers, [120, 260]), classes], 1),
        "columns of text": lambda: np.stack([above[:, 0].astype(str), classes.astype(str)], 1),
        "one class": lambda: np.full(len(y), "only"),
        "numbers": lambda: numbers,
        "two outputs": lambda: np.stack([numbers, numbers[::-1] ** 2], 1),
        "counts": lambda: np.round(numbers / 20) + 1,
    }[target_type]()


def own(name, **params):
    """Return a case: a small estimator for the task of a table, the table, the target type."""
    estimator = MLPRegressor if name == "diabetes" else MLPClassifier
    target_type = "numbers" if name == "diabetes" else "classes"
    return estimator(**SMALL | params), name, target_type


# name -> (estimator, table, target type)
CASES = {}
for normalization, activation, name in product([None, *NORMALIZATIONS], ACTIVATIONS, LOADERS):
    CASES[f"{name}, {activation}, {normalization}"] = own(
        name, activation=activation, normalization=normalization
    )
for name, target_type in product(
    LOADERS,
    ["text", "truth", "whole floats", "labels", "columns", "columns of text", "one class"],
):
    CASES[f"{name}, {target_type}"] = MLPClassifier(**SMALL), name, target_type
for name, loss in product(LOADERS, ["focal", FocalLoss(0.5)]):
    CASES[f"{name}, {loss!r}"] = MLPClassifier(**SMALL, loss=loss), name, "classes"
LOSSES = [
    "squared_error",
    "absolute_error",
    HuberLoss(0.5),
    "quantile",
    QuantileLoss((0.1, 0.5, 0.9)),
    "gaussian",
    "poisson",
    "gamma",
    TweedieLoss(1.3),
]
for name, loss, scaled in product(LOADERS, LOSSES, [True, False]):
    model = MLPRegressor(**SMALL, loss=loss, target_scaling=scaled)
    several = loss == "quantile" or not isinstance(loss, QuantileLoss)
    target_types = ["counts", "two outputs"] if several else ["counts"]
    # The second output is a square, which is too large to train on without target scaling.
    for target_type in target_types if scaled else target_types[:1]:
        CASES[f"{name}, {loss!r}, scaled {scaled}, {target_type}"] = model, name, target_type
VARIANTS = {
    "averaged": {"averaging": "ema", "optimizer": "momentum"},
    "not averaged": {"averaging": None},
    "own point": {"averaging": None, "optimizer": "schedule_free_adamw"},
    "dropout": {"dropout": 0.3, "activation": ["selu", "relu"]},
    "no hidden layer": {"hidden_layer_sizes": ()},
    "scales": {"learn_scales": True},
    "scales, no hidden layer": {"learn_scales": True, "hidden_layer_sizes": ()},
    "scales, normalized": {"learn_scales": True, "normalization": "batch"},
    "all at once": {"normalization": "batch", "activation": ["prelu", "mish"], "dropout": 0.1},
    "minimized": {"optimizer": "lbfgs"},
}
for (variant, params), name in product(VARIANTS.items(), LOADERS):
    CASES[f"{name}, {variant}"] = own(name, **params)
MEMBERS = {"n_members": 3}
CROSSED = {"cv": 3, "early_stopping": True, "max_iter": 30}
for normalization, activation, name in product(
    [None, *NORMALIZATIONS], ["relu", "prelu", "gelu", "selu"], LOADERS
):
    CASES[f"{name}, {activation}, {normalization}, members"] = own(
        name, activation=activation, normalization=normalization, **MEMBERS
    )
for name, target_type in product(
    LOADERS, ["classes", "text", "truth", "labels", "columns", "columns of text", "one class"]
):
    CASES[f"{name}, {target_type}, members"] = MLPClassifier(**SMALL, **MEMBERS), name, target_type
    if target_type != "one class":
        CASES[f"{name}, {target_type}, cross-fitted"] = (
            MLPClassifier(**SMALL | CROSSED),
            name,
            target_type,
        )
for name, loss in product(LOADERS, LOSSES):
    model = MLPRegressor(**SMALL, loss=loss, **MEMBERS)
    several = loss == "quantile" or not isinstance(loss, QuantileLoss)
    for target_type in ["counts", "two outputs"] if several else ["counts"]:
        CASES[f"{name}, {loss!r}, {target_type}, members"] = model, name, target_type
for (variant, params), name in product(VARIANTS.items(), LOADERS):
    # L-BFGS trains a single network only.
    if variant != "minimized":
        CASES[f"{name}, {variant}, members"] = own(name, **params, **MEMBERS)
        CASES[f"{name}, {variant}, cross-fitted"] = own(name, **params, **CROSSED)


def fitted(case):
    """Return the fitted pipeline of a case, and X."""
    model, name, target_type = CASES[case]
    X = table(name)[0]
    return make_pipeline(StandardScaler(), model).fit(X, targets(name, target_type)), X


def run(onnx, X):
    """Return all outputs of a converted model; X is a dictionary if there are several inputs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        onnx.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    if isinstance(X, dict):
        return session.run(None, X)
    (variable,) = session.get_inputs()
    return session.run(None, {variable.name: X})


def difference(case, dtype, options=None):
    """Return the largest difference of an output, relative to the largest prediction or 1.

    The labels must be equal, except where the two highest probabilities are equal up to rounding.
    """
    from skl2onnx import to_onnx

    pipeline, X = fitted(case)
    X = X.astype(dtype)
    model = pipeline[-1]
    if isinstance(model, MLPRegressor):
        gaussian = model.loss == "gaussian"
        options = {id(model): {"return_std": True}} if gaussian else None
        found = run(to_onnx(pipeline, X[:1], options=options), X)
        expected = pipeline.predict(X, return_std=True) if gaussian else [pipeline.predict(X)]
        assert [output.dtype for output in found] == [dtype] * len(expected)
        pairs = list(zip(found, expected, strict=True))
    else:
        labels, p = run(to_onnx(pipeline, X[:1], options={"zipmap": False}), X)
        tables, expected = ([p], [pipeline.predict_proba(X)]) if not isinstance(p, list) else (
            p, pipeline.predict_proba(X)
        )  # fmt: skip
        pairs = list(zip(tables, expected, strict=True))
        sure = _sure(expected, multilabel=not model._targets.exclusive)
        same = labels.astype(str) == _as_text(pipeline.predict(X))
        assert (same | ~sure).all()
        assert sure.mean() > 0.98
    worst = 0.0
    for one, other in pairs:
        other = np.asarray(other).reshape(len(X), -1)
        assert one.shape == other.shape
        assert np.isfinite(one).all()
        worst = max(worst, float(np.abs(one - other).max() / max(1.0, np.abs(other).max())))
    return worst


def _sure(tables, multilabel):
    """Return a mask of the labels that do not depend on rounding."""
    if multilabel:
        return np.abs(tables[0] - 0.5) > 1e-5
    sure = []
    for p in tables:
        top = np.sort(p, axis=1)
        sure.append(top[:, -1] - top[:, -2] > 1e-5 if p.shape[1] > 1 else np.full(len(p), True))
    return sure[0] if len(sure) == 1 else np.stack(sure, axis=1)


def _as_text(labels):
    # The ONNX graph returns integers for these labels.
    if labels.dtype.kind in "bf":
        labels = labels.astype(int)
    return labels.astype(str)
