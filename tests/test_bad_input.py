"""Invalid input raises an error that names the mistake and leaves a fitted estimator unchanged."""

import copy
import inspect
import pickle
import re

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from sknn_adam import SGD, Adam, MLPClassifier, MLPRegressor, RMSprop
from sknn_adam.activations import Tanh
from sknn_adam.clipping import ClipByLayerNorm, ClipByNorm, ClipByValue
from sknn_adam.initializers import Constant, VarianceScaling
from sknn_adam.inspection import diagnose
from sknn_adam.normalization import BatchNorm
from sknn_adam.optimizers import LBFGS, AMSGrad
from sknn_adam.preprocessing import PiecewiseLinearEncoder, SmoothClipScaler
from sknn_adam.schedules import Cosine, Exponential

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3))
LABELS = np.repeat(["a", "b", "c"], 8)
NUMBERS = X @ [1.0, -2.0, 0.5]


def with_value(array, value):
    changed = np.array(array)
    changed[3] = value
    return changed


@pytest.fixture
def classifier():
    return MLPClassifier((4,), max_iter=3, random_state=0).fit(X, LABELS)


@pytest.fixture
def regressor():
    return MLPRegressor((4,), max_iter=3, random_state=0).fit(X, NUMBERS)


def state(model):
    """Return everything a user can see of a fitted estimator."""
    prediction = model.predict_proba if hasattr(model, "predict_proba") else model.predict
    return {
        "attributes": sorted(vars(model)),
        "parameters": repr(model.get_params()),
        "predictions": prediction(X).tobytes(),
        "weights": [array.tobytes() for array in model.coefs_ + model.intercepts_],
        "curve": list(model.loss_curve_),
        "epochs": model.n_iter_,
        "inputs": model.n_features_in_,
        "classes": getattr(model, "classes_", np.empty(0)).tolist(),
    }


def raises_without_side_effects(model, call, error, match):
    before = state(model)
    with pytest.raises(error, match=match):
        call(model)
    assert state(model) == before


# -- data ----------------------------------------------------------------------------------------

BAD_FEATURES = [
    (with_value(X, np.nan), ValueError, "Input X contains NaN"),
    (with_value(X, np.inf), ValueError, "Input X contains infinity"),
    (with_value(X.astype(np.float32), np.inf), ValueError, "Input X contains infinity"),
    (sparse.csr_matrix(with_value(X, np.nan)), ValueError, "Input X contains NaN"),
    (X[:0], ValueError, "Found array with 0 sample"),
    (X[:, :0], ValueError, "0 feature"),
    (X[:, 0], ValueError, "Expected 2D array, got 1D array"),
    (X[None], ValueError, "Found array with dim 3"),
    (X + 1j, ValueError, "Complex data not supported"),
    (with_value(X.astype(object), "x"), ValueError, "could not convert string to float: 'x'"),
    (None, ValueError, "Expected 2D array, got scalar"),
]
FEATURE_IDS = "nan inf inf32 sparse-nan no-rows no-columns 1d 3d complex strings None".split()


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(("bad", "error", "match"), BAD_FEATURES, ids=FEATURE_IDS)
def test_bad_features_raise_in_training(classifier, regressor, method, bad, error, match):
    rows = 24 if bad is None else bad.shape[0]
    for model, y in (classifier, LABELS), (regressor, NUMBERS):
        raises_without_side_effects(
            model, lambda model, y=y: getattr(model, method)(bad, y[:rows]), error, match
        )


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
@pytest.mark.parametrize(("bad", "error", "match"), BAD_FEATURES, ids=FEATURE_IDS)
def test_bad_features_raise_in_prediction(classifier, regressor, method, bad, error, match):
    for model in (classifier, regressor):
        if hasattr(model, method):
            raises_without_side_effects(model, lambda m: getattr(m, method)(bad), error, match)


@pytest.mark.parametrize("width", [2, 4])
@pytest.mark.parametrize("method", ["predict", "partial_fit"])
def test_wrong_number_of_features_raises(classifier, regressor, width, method):
    match = rf"X has {width} features, but MLP\w+ is expecting 3 features"
    wrong = np.ones((24, width))
    for model, y in (classifier, LABELS), (regressor, NUMBERS):
        model.set_params(warm_start=True).fit(X, y)
        args = (wrong, y) if method == "partial_fit" else (wrong,)
        raises_without_side_effects(
            model, lambda model, args=args: getattr(model, method)(*args), ValueError, match
        )


def test_unknown_feature_names_raise():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["age", "size", "depth"])
    model = MLPRegressor((4,), max_iter=2, random_state=0).fit(frame, NUMBERS)
    before = model.predict(frame)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame.rename(columns={"age": "years"}))
    np.testing.assert_array_equal(model.predict(frame), before)


BAD_TARGETS = [
    ("both", with_value(NUMBERS, np.nan), ValueError, "Input y contains NaN"),
    ("both", with_value(NUMBERS, -np.inf), ValueError, "Input y contains infinity"),
    ("both", NUMBERS[:-1], ValueError, r"inconsistent numbers of samples: \[24, 23\]"),
    ("both", None, ValueError, "requires y to be passed, but the target y is None"),
    ("both", NUMBERS[:, None, None], ValueError, "dim 3"),
    ("both", NUMBERS + 1j, ValueError, "Complex data not supported"),
    ("regressor", LABELS, ValueError, "could not convert string to float|dtype='numeric'"),
    ("regressor", LABELS.astype(object), ValueError, "could not convert string to float: 'a'"),
    ("classifier", NUMBERS, ValueError, "Unknown label type: continuous"),
    (
        "classifier",
        with_value(LABELS.astype(object), None),
        ValueError,
        "y contains NaN, None .*: 1 of 24",
    ),
]
TARGET_IDS = "nan inf short None 3d complex strings objects continuous mixed".split()


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(("estimators", "bad", "error", "match"), BAD_TARGETS, ids=TARGET_IDS)
def test_bad_targets_raise(classifier, regressor, method, estimators, bad, error, match):
    models = {"classifier": classifier, "regressor": regressor}
    for model in models.values() if estimators == "both" else [models[estimators]]:
        raises_without_side_effects(
            model, lambda model: getattr(model, method)(X, bad), error, match
        )


def test_training_requires_two_samples(classifier, regressor):
    for model, y in (classifier, LABELS), (regressor, NUMBERS):
        raises_without_side_effects(
            model, lambda model, y=y: model.fit(X[:1], y[:1]), ValueError, "minimum of 2"
        )


BAD_WEIGHTS = [
    (np.zeros(24), "sum of sample_weight must be positive|at least one non-zero"),
    (with_value(np.ones(24), -1), "Negative values in data passed to `sample_weight`"),
    (with_value(np.ones(24), np.nan), "sample_weight contains NaN"),
    (with_value(np.ones(24), np.inf), "sample_weight contains infinity"),
    (np.ones(23), r"sample_weight.shape == \(23,\), expected \(24,\)"),
    (np.ones((24, 2)), "Sample weights must be 1D"),
    (["x"] * 24, "could not convert string to float|dtype='numeric'"),
]


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("weight", "match"), BAD_WEIGHTS, ids="zero negative nan inf short 2d strings".split()
)
def test_bad_sample_weights_raise(classifier, regressor, method, weight, match):
    for model, y in (classifier, LABELS), (regressor, NUMBERS):
        raises_without_side_effects(
            model,
            lambda model, y=y: getattr(model, method)(X, y, sample_weight=weight),
            ValueError,
            match,
        )


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (
            lambda m: m.partial_fit(X, np.repeat(["a", "b", "z"], 8)),
            r"y has classes that were missing in the first call: array\(\['z'\]",
        ),
        (
            lambda m: m.partial_fit(X, LABELS, classes=["a", "b"]),
            "classes=.* differs from the classes",
        ),
        (
            lambda m: m.partial_fit(X, np.eye(3)[np.arange(24) % 3]),
            "y must be labels .* as in the first fit",
        ),
    ],
    ids=["unseen", "classes", "matrix"],
)
def test_partial_fit_with_other_classes_raises(call, match):
    model = MLPClassifier((4,), random_state=0).partial_fit(X, LABELS)
    raises_without_side_effects(model, call, ValueError, match)


def test_first_partial_fit_raises_if_classes_lack_a_label():
    with pytest.raises(ValueError, match=r"array\(\['c'\]"):
        MLPClassifier((4,)).partial_fit(X, LABELS, classes=["a", "b"])


def test_partial_fit_with_another_number_of_outputs_raises():
    model = MLPRegressor((4,), random_state=0).partial_fit(X, NUMBERS)
    raises_without_side_effects(
        model, lambda m: m.partial_fit(X, X[:, :2]), ValueError, "y has 2 outputs"
    )
    labels = np.eye(3, dtype=int)[np.arange(24) % 3]
    model = MLPClassifier((4,), random_state=0).partial_fit(X, labels)
    raises_without_side_effects(
        model,
        lambda m: m.partial_fit(X, labels[:, [0, 1, 2, 2]]),
        ValueError,
        r"y must be a 0/1 matrix .* 3 columns.*\(24, 4\)",
    )


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function", "score"])
def test_prediction_before_training_raises(method):
    args = (X, LABELS) if method == "score" else (X,)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(MLPClassifier(), method)(*args)


# -- non-numeric and masked values --------------------------------------------------------------

DAYS = np.datetime64("2020-01-01", "ns") + np.arange(24) * np.timedelta64(1, "D")
WITH_NAT = with_value(DAYS, np.datetime64("NaT", "ns"))
PYTHON = DAYS.astype("M8[us]")
NON_NUMERIC = {
    "dates": DAYS,
    "dates and NaT": WITH_NAT,
    "durations": DAYS - DAYS[0],
    "durations and NaT": WITH_NAT - DAYS[0],
    "objects": np.array(list(DAYS), dtype=object),
    "Python dates": PYTHON.astype(object),
    "Python durations": (PYTHON - PYTHON[0]).astype(object),
    "list": list(DAYS),
    "list of Python dates": PYTHON.tolist(),
    "records": np.zeros(24, dtype=[("a", float)]),
    "void": np.zeros(24, dtype="V8"),
    "masked": np.ma.masked_array(np.ones(24), np.arange(24) == 3),
}
REFUSED = "has dates or times|contains NaN, None|records|[13] masked values"
EACH_NON_NUMERIC = pytest.mark.parametrize("bad", NON_NUMERIC.values(), ids=NON_NUMERIC)


def as_column(values):
    if isinstance(values, list):
        return [[1.0, value, 2.0] for value in values]
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.stack([values] * 3, axis=1)
    return np.stack([values] * 3, axis=1)


@EACH_NON_NUMERIC
def test_non_numeric_features_raise(classifier, regressor, bad):
    bad = as_column(bad)
    for model, y in (classifier, LABELS), (regressor, NUMBERS):
        for call in (
            lambda m, y=y: m.fit(bad, y),
            lambda m, y=y: m.partial_fit(bad, y),
            lambda m, y=y: m.fit(X, y, X_val=bad, y_val=y),
            lambda m, y=y: m.predict(bad),
            lambda m, y=y: m.score(bad, y),
        ):
            raises_without_side_effects(model, call, ValueError, REFUSED)


@EACH_NON_NUMERIC
def test_non_numeric_targets_raise(regressor, bad):
    for call in (
        lambda m: m.fit(X, bad),
        lambda m: m.partial_fit(X, bad),
        lambda m: m.fit(X, NUMBERS, X_val=X, y_val=bad),
        lambda m: m.score(X, bad),
        lambda m: diagnose(m, X, bad),
    ):
        raises_without_side_effects(regressor, call, ValueError, REFUSED)


@EACH_NON_NUMERIC
def test_non_numeric_weights_raise(classifier, regressor, bad):
    for model, y in (classifier, LABELS), (regressor, NUMBERS):
        for call in (
            lambda m, y=y: m.fit(X, y, sample_weight=bad),
            lambda m, y=y: m.fit(X, y, X_val=X, y_val=y, sample_weight_val=bad),
            lambda m, y=y: m.score(X, y, sample_weight=bad),
        ):
            raises_without_side_effects(model, call, ValueError, REFUSED)


@EACH_NON_NUMERIC
@pytest.mark.parametrize("transformer", [SmoothClipScaler(), PiecewiseLinearEncoder()])
def test_transformers_refuse_non_numeric_values(transformer, bad):
    fitted = clone(transformer).fit(X)
    for call in (clone(transformer).fit, fitted.transform):
        with pytest.raises(ValueError, match=REFUSED):
            call(as_column(bad))


MISSING = {
    "None": [None],
    "NaN": [np.nan],
    "NaT": [np.datetime64("NaT", "s")],
    "list": None,
    "masked": None,
}


@pytest.mark.parametrize("case", MISSING)
def test_missing_labels_and_groups_raise(classifier, case):
    if case == "list":
        # NumPy turns this NaN into the string 'nan'.
        bad = ["a", np.nan, *LABELS[2:]]
    elif case == "masked":
        bad = np.ma.masked_array(LABELS, np.arange(24) == 3)
    elif case == "NaT":
        bad = WITH_NAT
    else:
        bad = with_value(LABELS.astype(object), *MISSING[case])
    match = "y contains NaN, None or another missing value: 1 of 24|y has 1 masked"
    for call in (
        lambda m: m.fit(X, bad),
        lambda m: m.partial_fit(X, bad),
        lambda m: m.fit(X, LABELS, X_val=X, y_val=bad),
        lambda m: m.score(X, bad),
    ):
        raises_without_side_effects(classifier, call, ValueError, match)
    cross_fitted = MLPRegressor((4,), cv=2, early_stopping=True, max_iter=2)
    with pytest.raises(ValueError, match=match.replace("y ", "groups ")):
        cross_fitted.fit(X, NUMBERS, groups=bad)


@pytest.mark.parametrize("given", [np.array([1.0, np.inf] * 12, object), [1.0, -np.inf] * 12])
def test_infinity_in_object_targets_raises(regressor, given):
    raises_without_side_effects(
        regressor, lambda m: m.fit(X, given), ValueError, "Input y contains infinity"
    )


def test_dates_are_valid_labels_and_groups():
    """Labels and groups are only tested for equality and sorted."""
    y = np.repeat(DAYS[:3], 8)
    model = MLPClassifier((4,), max_iter=3, random_state=0).fit(X, y)
    codes = MLPClassifier((4,), max_iter=3, random_state=0).fit(X, np.repeat([0, 1, 2], 8))
    np.testing.assert_array_equal(model.predict(X), DAYS[codes.predict(X)])
    assert model.score(X, y) == codes.score(X, np.repeat([0, 1, 2], 8))
    predictions = [
        MLPRegressor((4,), max_iter=3, cv=2, early_stopping=True, random_state=0)
        .fit(X, NUMBERS, groups=groups)
        .predict(X)
        for groups in (
            np.repeat(np.arange(6), 4),
            np.repeat(DAYS[:6], 4),
            np.repeat(list("abcdef"), 4),
        )
    ]
    np.testing.assert_array_equal(predictions[0], predictions[1])
    np.testing.assert_array_equal(predictions[0], predictions[2])


def test_masked_arrays_without_masked_values_are_accepted(regressor):
    masked = np.ma.masked_array(X, mask=False)
    again = MLPRegressor((4,), max_iter=3, random_state=0).fit(masked, np.ma.masked_array(NUMBERS))
    np.testing.assert_array_equal(again.predict(masked), regressor.predict(X))


def test_errors_name_the_invalid_columns():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["age", "size", "depth"])
    model = MLPRegressor((4,), max_iter=2, random_state=0).fit(frame, NUMBERS)
    cases = [
        (frame.assign(age=np.nan, depth=[None, *X[1:, 2]]), "NaN in columns 'age', 'depth'. Note"),
        (
            frame.assign(size=["x", *X[1:, 1]]),
            "'x'\nX has strings in column 'size'. Note that",
        ),
        (frame.assign(size=pandas.Categorical(["1", "x"] * 12)), "strings in column 'size'"),
        (frame.assign(size=np.inf), "infinity .*\nX has infinity in column 'size'\\.$"),
        (
            frame.assign(size=DAYS),
            "only numbers, but has dates or times in column 'size'. Convert .*tabular",
        ),
        (frame.assign(size=pandas.Series(DAYS).dt.tz_localize("UTC")), "times in column 'size'"),
        (frame.assign(size=pandas.Categorical(DAYS)), "dates or times in column 'size'"),
        (frame.assign(size=pandas.Series(list(DAYS), dtype=object)), "times in column 'size'"),
        (
            frame.assign(size=pandas.period_range("2020", periods=24)),
            "type Period in column 'size'",
        ),
        (frame.assign(size=[1j] * 24).astype(object), "type complex in column 'size'"),
        (pandas.DataFrame(np.full((24, 9), np.nan)), "columns 0, 1, 2, 3, 4 and 4 more. Note"),
    ]
    for bad, match in cases:
        for call in (model.predict, lambda bad: MLPRegressor((4,)).fit(bad, NUMBERS)):
            if bad.shape[1] == 9 and call == model.predict:
                continue
            with pytest.raises((ValueError, TypeError), match=f"(?s){match}"):
                call(bad)
    only = frame.assign(age=pandas.Series(DAYS).dt.tz_localize("UTC"))[["age"]]
    with pytest.raises(ValueError, match="dates or times in column 'age'"):
        MLPRegressor((4,)).fit(only, NUMBERS)
    twice = pandas.DataFrame(np.column_stack([X, X[:, 0] * np.nan]), columns=list("aabb"))
    with pytest.raises(ValueError, match="NaN in column 'b'"):
        MLPRegressor((4,)).fit(twice, NUMBERS)
    for bad in (with_value(X, [1, np.nan, 1]), sparse.csr_array(with_value(X, [1, np.nan, 1]))):
        with pytest.raises(
            ValueError, match=r"(?s)Input X contains NaN.*\nX has NaN in column 1\."
        ):
            MLPRegressor((4,)).fit(bad, NUMBERS)


def test_errors_name_the_invalid_columns_of_polars_frames():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"age": X[:, 0], "day": DAYS, "word": LABELS})
    with pytest.raises(ValueError, match="dates or times in column 'day'"):
        MLPRegressor((4,)).fit(frame, NUMBERS)
    with pytest.raises((ValueError, TypeError), match=r"(?s).*strings in column 'word'"):
        MLPRegressor((4,)).fit(frame.drop("day"), NUMBERS)


# -- hyper-parameters: checked in fit, never in __init__ -----------------------------------------

RANGE = "The '{}' parameter of {} must be .*{}.* Got {} instead"
BAD_NUMBERS = [
    ("optimizer", Adam(beta_1=1.5), RANGE.format("beta_1", "Adam", r"\[0.0, 1.0\)", 1.5)),
    ("optimizer", Adam(beta_2=1.0), RANGE.format("beta_2", "Adam", r"\[0.0, 1.0\)", 1.0)),
    ("optimizer", Adam(epsilon=0), RANGE.format("epsilon", "Adam", r"\(0.0, inf\)", 0)),
    ("optimizer", Adam(learning_rate=0.0), "The 'learning_rate' parameter of Adam"),
    ("optimizer", Adam(learning_rate="fast"), "The 'learning_rate' parameter of Adam"),
    ("optimizer", Adam(learning_rate=np.nan), "The 'learning_rate' parameter of Adam"),
    ("optimizer", Adam(learning_rate=np.inf), "The 'learning_rate' parameter of Adam"),
    ("optimizer", SGD(momentum=1.0), "The 'momentum' parameter of SGD"),
    ("optimizer", SGD(nesterov="yes"), "The 'nesterov' parameter of SGD"),
    ("optimizer", RMSprop(rho=-0.1), "The 'rho' parameter of RMSprop"),
    ("optimizer", RMSprop(centered=None), "The 'centered' parameter of RMSprop"),
    ("optimizer", LBFGS(history_size=0), "The 'history_size' parameter of LBFGS"),
    ("initializer", VarianceScaling(scale=0), "The 'scale' parameter of VarianceScaling"),
    ("initializer", VarianceScaling(fan="up"), "The 'fan' parameter of VarianceScaling"),
    ("bias_initializer", Constant("x"), "The 'value' parameter of Constant"),
    ("normalization", BatchNorm(momentum=1), "The 'momentum' parameter of BatchNorm"),
    ("normalization", BatchNorm(epsilon=0), "The 'epsilon' parameter of BatchNorm"),
    ("schedule", Cosine(final_factor=2), "The 'final_factor' parameter of Cosine"),
    ("schedule", Exponential(final_factor=0), "The 'final_factor' parameter of Exponential"),
    ("gradient_clip", ClipByNorm(max_norm=0), "The 'max_norm' parameter of ClipByNorm"),
    ("gradient_clip", ClipByValue(max_value=-1), "The 'max_value' parameter of ClipByValue"),
    ("gradient_clip", -1.0, "The 'max_norm' parameter of ClipByNorm"),
    ("alpha", -1e-3, "The 'alpha' parameter of MLP"),
    ("alpha", np.nan, "The 'alpha' parameter of MLP"),
    ("alpha", np.inf, "The 'alpha' parameter of MLP"),
    ("l1_ratio", 1.1, "The 'l1_ratio' parameter of MLP"),
    ("batch_size", 0, "The 'batch_size' parameter of MLP"),
    ("batch_size", 32.5, "The 'batch_size' parameter of MLP"),
    ("batch_size", "all", "The 'batch_size' parameter of MLP"),
    ("max_iter", 0, "The 'max_iter' parameter of MLP"),
    ("max_iter", 1.5, "The 'max_iter' parameter of MLP"),
    ("shuffle", "no", "The 'shuffle' parameter of MLP"),
    ("n_iter_no_change", 0, "The 'n_iter_no_change' parameter of MLP"),
    ("tol", -1e-9, "The 'tol' parameter of MLP"),
    ("warm_start", "yes", "The 'warm_start' parameter of MLP"),
    ("dtype", "float16", "The 'dtype' parameter of MLP"),
    ("dtype", np.float32, "The 'dtype' parameter of MLP"),
    ("random_state", -1, "The 'random_state' parameter of MLP"),
    ("random_state", "seed", "The 'random_state' parameter of MLP"),
]


@pytest.mark.parametrize(
    ("name", "value", "match"), BAD_NUMBERS, ids=[f"{n}={v}" for n, v, _ in BAD_NUMBERS]
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_parameters_out_of_range_raise(classifier, regressor, method, name, value, match):
    if method == "partial_fit" and isinstance(value, LBFGS):
        pytest.skip("L-BFGS has no partial_fit")
    for model, y in (classifier, LABELS), (regressor, NUMBERS):
        model.set_params(**{name: value})
        raises_without_side_effects(
            model, lambda model, y=y: getattr(model, method)(X, y), ValueError, match
        )


def test_unknown_target_scaling_raises(regressor):
    regressor.set_params(target_scaling="minmax")
    raises_without_side_effects(
        regressor, lambda m: m.fit(X, NUMBERS), ValueError, "The 'target_scaling' parameter of MLPR"
    )


SIZES = ["", "0", "64-", "-64", "x", "3x", "x3", "64x0", "64--32", "6 4", "1e2", "٣", 0, -1, 2.5]
SIZES += [
    True,
    None,
    (4, 0),
    (4, -1),
    (4, 2.5),
    (4, True),
    ("4",),
    [[4]],
    np.array([0.5]),
    np.array(5),
    {4},
]


@pytest.mark.parametrize("sizes", SIZES, ids=map(repr, SIZES))
def test_invalid_hidden_layer_sizes_raise(classifier, regressor, sizes):
    for model, y in (classifier, LABELS), (regressor, NUMBERS):
        model.set_params(hidden_layer_sizes=sizes)
        raises_without_side_effects(
            model,
            lambda model, y=y: model.fit(X, y),
            ValueError,
            r"hidden_layer_sizes must be a positive int.*'128-64' or '256x3', or.*Got .* instead",
        )


NAMES = [
    ("optimizer", "adm", "'adm' is not a known optimizer. Did you mean 'adam'. Known names: sgd"),
    ("optimizer", "Adam", "Did you mean 'adam'"),
    ("optimizer", "frobnicate", "'frobnicate' is not a known optimizer. Known names"),
    ("initializer", "he_norml", "is not a known initializer. Did you mean 'he_normal'"),
    ("bias_initializer", "zero", "Did you mean 'zeros'"),
    ("activation", "Relu", "is not a known activation. Did you mean 'relu'"),
    ("normalization", "bach", "is not a known normalization. Did you mean 'batch'"),
    ("schedule", "cosin", "is not a known schedule. Did you mean 'cosine'"),
    ("gradient_clip", "norms", "is not a known gradient_clip. Did you mean 'norm'"),
    ("loss", "los", "'los' is not a known loss"),
    ("initializer", "he", "Did you mean 'he_uniform' or 'he_normal'"),
    ("initializer", "kaiming_normal", "Did you mean 'he_normal'"),
    ("schedule", "adaptive", "Did you mean 'plateau'"),
    ("schedule", "invscaling", "Did you mean 'inverse_scaling'"),
    ("activation", "linear", "Did you mean 'identity'"),
    ("normalization", "BatchNorm", "Did you mean 'batch'"),
    ("optimizer", "L-BFGS", "Did you mean 'lbfgs'"),
]


@pytest.mark.parametrize(("name", "value", "match"), NAMES, ids=[f"{n}={v}" for n, v, _ in NAMES])
def test_unknown_component_names_raise(classifier, regressor, name, value, match):
    for model, y in (classifier, LABELS), (regressor, NUMBERS):
        model.set_params(**{name: value})
        raises_without_side_effects(model, lambda model, y=y: model.fit(X, y), ValueError, match)


@pytest.mark.parametrize(("name", "meant"), [("mse", "squared_error"), ("MAE", "absolute_error")])
def test_loss_names_of_other_libraries_get_a_suggestion(classifier, regressor, name, meant):
    regressor.set_params(loss=name)
    raises_without_side_effects(
        regressor, lambda m: m.fit(X, NUMBERS), ValueError, rf"Did you mean '{meant}'\?"
    )
    classifier.set_params(loss="cross-entropy")
    raises_without_side_effects(
        classifier, lambda m: m.fit(X, LABELS), ValueError, r"Did you mean 'log_loss'\?"
    )


TYPES = [
    ("optimizer", Adam, "Pass an instance, not the class"),
    ("optimizer", None, "The optimizer must be a name .* or an instance of Optimizer"),
    ("optimizer", 0.1, "The optimizer must be .* Got 0.1 instead"),
    ("optimizer", len, "The optimizer must be"),
    ("optimizer", Cosine(), r"instance of Optimizer\. Got Cosine\(\) instead"),
    ("activation", None, "The activation must be"),
    ("activation", np.tanh, "The activation must be"),
    ("initializer", VarianceScaling, "Pass an instance, not the class"),
    ("schedule", None, "The schedule must be"),
    ("normalization", BatchNorm, "or None. Got .* Pass an instance, not the class"),
    ("gradient_clip", True, "a number, or None. Got True instead"),
    ("loss", None, "The loss must be"),
]


@pytest.mark.parametrize(("name", "value", "match"), TYPES, ids=[f"{n}={v}" for n, v, _ in TYPES])
def test_components_of_the_wrong_type_raise(classifier, regressor, name, value, match):
    for model, y in (classifier, LABELS), (regressor, NUMBERS):
        model.set_params(**{name: value})
        raises_without_side_effects(model, lambda model, y=y: model.fit(X, y), TypeError, match)


SET_PARAMS = [
    ({"solver": "adam"}, "has 'optimizer' instead"),
    ({"learning_rate_init": 0.1}, "has 'optimizer__learning_rate' instead"),
    ({"learning_rate": "adaptive"}, "'optimizer__learning_rate' .* and 'schedule'"),
    ({"power_t": 0.5}, "has 'schedule' instead"),
    ({"momentum": 0.9}, "has 'optimizer__momentum' instead"),
    ({"nesterovs_momentum": True}, "has 'optimizer__nesterov' instead"),
    ({"beta_1": 0.9}, "has 'optimizer__beta_1' instead"),
    ({"beta_2": 0.9}, "has 'optimizer__beta_2' instead"),
    ({"epsilon": 1e-8}, "has 'optimizer__epsilon' instead"),
    ({"max_fun": 100}, "has 'max_iter' instead"),
    ({"hiden_layer_sizes": 3}, r"Invalid parameter 'hiden_layer_sizes' .* 'hidden_layer_sizes'\?"),
    ({"alpha": 1.0, "nonsense": 1}, "Invalid parameter 'nonsense' for estimator MLP"),
    ({"optimizer__momentum": 0.9}, r"Invalid parameter 'momentum' for optimizer='adam'"),
    ({"optimizer__learning_rat": 0.9}, r"Did you mean 'learning_rate'\?"),
    ({"optimizer__lr": 0.9}, "Adam has 'learning_rate' instead"),
    ({"epochs": 3}, "has 'max_iter' instead"),
    ({"alpha": 1.0, "optimizer": SGD(), "optimizer__beta_1": 0.9}, r"for optimizer=SGD\(\)"),
    ({"alpha__nested": 1}, "alpha='auto' has no nested parameters"),
    ({"normalization__momentum": 0.5}, "normalization=None has no nested parameters"),
    ({"optimizer": "adm", "optimizer__beta_1": 0.5}, "optimizer='adm' has no nested parameters"),
]


@pytest.mark.parametrize(("params", "match"), SET_PARAMS, ids=[", ".join(p) for p, _ in SET_PARAMS])
def test_invalid_set_params_raise(classifier, regressor, params, match):
    for model in (classifier, regressor):
        raises_without_side_effects(model, lambda m: m.set_params(**params), ValueError, match)


CONSTRUCTORS = [
    ({"solver": "adam"}, "'solver'. MLP.* has 'optimizer' instead"),
    ({"learning_rate_init": 0.1}, r"'optimizer__learning_rate' instead.* use set_params\(opt"),
    ({"epochs": 10}, "has 'max_iter' instead"),
    ({"lr": 0.1, "epochs": 3}, "arguments 'lr', 'epochs'.*'optimizer__learning_rate'.*'max_iter'"),
    ({"optimizer__learning_rate": 0.1}, "constructor does not take nested parameters: use set_p"),
    ({"hiden_layer_sizes": 3}, r"Did you mean 'hidden_layer_sizes'\? Valid parameters"),
    ({"hidden": 3}, r"Did you mean 'hidden_layer_sizes'\?"),
    ({"batch_norm": True}, "has 'normalization' .set it to \"batch\". instead"),
    ({"zzz": 1}, r"'zzz'\. Valid parameters are: \['activation', 'alpha'"),
]


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize(
    ("params", "match"), CONSTRUCTORS, ids=[", ".join(p) for p, _ in CONSTRUCTORS]
)
def test_unknown_constructor_arguments_raise(estimator, params, match):
    with pytest.raises(TypeError, match=rf"^{estimator.__name__}\(\) got .*unexpected .*{match}"):
        estimator(**params)


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_suggested_replacements_are_valid_parameters(estimator):
    for name, hint in estimator._renamed.items():
        assert name not in estimator().get_params()
        for here in re.findall(r"'(\w+)'", hint):
            model = estimator(optimizer="nesterov" if "nesterov" in here else "adam")
            model.set_params(optimizer="momentum" if here.endswith("momentum") else model.optimizer)
            assert here in model.get_params(deep=True)
    for table in estimator._tables.values():
        assert set(table.familiar.values()) <= set(table)
        assert set(table.familiar).isdisjoint(table)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: Adam(lr=0.1), "^Adam.* 'lr'. Adam has 'learning_rate' instead"),
        (lambda: Adam(learning_rte=0.1), r"Did you mean 'learning_rate'\?"),
        (lambda: Adam(betas=(0.9, 0.99)), "has 'beta_1' and 'beta_2' instead"),
        (lambda: Tanh(slope=1.0), r"^Tanh.* 'slope'\. Valid parameters are: \[\]"),
        (lambda: ClipByLayerNorm(norm=1), "^ClipByLayerNorm.* Valid parameters are: .'max_norm'"),
        (lambda: Adam(1, 2, 3, 4, 5), "positional arguments"),
        (lambda: Tanh(1), "positional argument"),
    ],
)
def test_unknown_component_arguments_raise(call, match):
    with pytest.raises(TypeError, match=match):
        call()


class Subclass(MLPClassifier):
    """A user's class with a parameter of its own."""

    def __init__(self, extra=1, alpha=0.5, wrong=False):
        super().__init__(alpha=alpha, **({"epochs": 3} if wrong else {}))
        self.extra, self.wrong = extra, wrong


class Forwarding(Adam):
    """A user's class that forwards its arguments and raises an error of its own."""

    def __init__(self, **params):
        super().__init__(**params)
        if self.learning_rate == 13:
            raise TypeError("unlucky")


def test_subclass_constructor_errors_name_the_right_class():
    model = clone(Subclass(extra=2, alpha=0.1))
    assert (model.extra, model.alpha) == (2, 0.1)
    assert list(inspect.signature(Subclass).parameters) == ["extra", "alpha", "wrong"]
    with pytest.raises(TypeError, match=r"^Subclass.*'max_iter'\. Valid parameters are: \['alpha'"):
        Subclass(max_iter=3)
    with pytest.raises(TypeError, match=r"^MLPClassifier.*'epochs'. MLPClassifier has 'max_iter'"):
        Subclass(wrong=True)
    assert Forwarding(learning_rate=0.1).learning_rate == 0.1
    with pytest.raises(TypeError, match=r"^Adam.* has 'learning_rate' instead"):
        Forwarding(lr=0.1)
    with pytest.raises(TypeError, match=r"^unlucky$"):
        Forwarding(learning_rate=13)


@pytest.mark.parametrize("instance", [MLPClassifier(alpha=0.1), Adam(0.1), Tanh(), AMSGrad(0.3)])
def test_constructor_hints_preserve_signatures_and_copies(instance):
    cls = type(instance)
    given = inspect.signature(inspect.unwrap(cls.__init__))
    own = list(given.parameters.values())[1:]  # without self
    assert list(inspect.signature(cls).parameters.values()) == own
    assert sorted(instance.get_params(deep=False)) == sorted(p.name for p in own)
    for again in (
        clone(instance),
        copy.deepcopy(instance),
        copy.copy(instance),
        pickle.loads(pickle.dumps(instance)),
    ):
        assert type(again) is cls
        assert repr(again) == repr(instance)


def test_constructors_only_assign():
    sizes, rate = [[]], object()
    model = MLPClassifier(sizes, optimizer=Adam(learning_rate=rate), alpha="much")
    assert model.hidden_layer_sizes is sizes
    assert model.optimizer.learning_rate is rate
    assert model.alpha == "much"


# -- training that cannot continue ---------------------------------------------------------------


def test_minimizers_refuse_batches(classifier, regressor):
    for model, y in (classifier, LABELS), (regressor, NUMBERS):
        model.set_params(optimizer="lbfgs")
        raises_without_side_effects(
            model,
            lambda model, y=y: model.partial_fit(X, y),
            AttributeError,
            "no attribute 'partial_fit'",
        )
        model.set_params(batch_size=8)
        raises_without_side_effects(
            model, lambda model, y=y: model.fit(X, y), ValueError, "needs all 24 samples"
        )


def test_warm_start_with_another_architecture_raises():
    model = MLPRegressor((4,), max_iter=2, warm_start=True, random_state=0).fit(X, NUMBERS)
    model.set_params(hidden_layer_sizes=(5,))
    raises_without_side_effects(
        model,
        lambda m: m.fit(X, NUMBERS),
        ValueError,
        r"another hidden_layer_sizes: it was \(4,\) and is now \(5,\).*clone",
    )


@pytest.mark.parametrize("training", ["nothing", "warm_start", "partial_fit"])
def test_warning_as_an_error_leaves_the_model_unchanged(training):
    model = MLPRegressor((4,), max_iter=5, random_state=0, batch_size=8)
    train = model.partial_fit if training == "partial_fit" else model.fit
    model.set_params(warm_start=training == "warm_start", optimizer="sgd")
    for _ in range(3):
        train(X, NUMBERS)
    model.set_params(optimizer__learning_rate=1e3)
    error = None
    # The first epochs may stay finite.
    for _ in range(50):
        before = state(model)
        try:
            train(X, NUMBERS)
        # Warnings are errors in the tests.
        except ConvergenceWarning as raised:
            error = str(raised)
            break
    assert "diverged in epoch" in error
    assert "with SGD(learning_rate=1000.0), batch_size=8. Scale X, or lower" in error
    assert state(model) == before


def test_unknown_scoring_raises(classifier):
    classifier.set_params(scoring="accuracyy")
    raises_without_side_effects(
        classifier, lambda model: model.fit(X, LABELS), ValueError, "Did you mean 'accuracy'"
    )


def test_weights_of_an_unfitted_estimator_raise():
    for name in ("coefs_", "intercepts_"):
        with pytest.raises(AttributeError, match=f"MLPClassifier is not fitted yet.*{name}"):
            getattr(MLPClassifier(), name)
