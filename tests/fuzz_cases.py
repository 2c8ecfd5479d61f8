"""Random cases of parameters and tables, and the checks that each case must pass.

``tests/test_fuzz.py`` checks the same cases in every run, and ``tests/heavy/test_long_fuzz.py``
checks new cases.
"""

import copy
import pickle
import re
import time
import traceback
import warnings
from numbers import Integral, Real

import numpy as np
from copies import networks
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning

from sknn_adam import MLPClassifier, MLPRegressor
from sknn_adam._utils.sklearn_compat import Interval, StrOptions
from sknn_adam.activations import ACTIVATIONS
from sknn_adam.averaging import AVERAGINGS
from sknn_adam.clipping import CLIPPINGS
from sknn_adam.initializers import INITIALIZERS
from sknn_adam.losses import CLASSIFICATION_LOSSES, REGRESSION_LOSSES, QuantileLoss
from sknn_adam.normalization import NORMALIZATIONS
from sknn_adam.optimizers import OPTIMIZERS
from sknn_adam.schedules import SCHEDULES, Warmup

# Messages of allowed errors. Each drawn parameter is valid by itself, so only combinations of
# parameters or of data and parameters may be refused.
REFUSED = [
    r"(training|validation) set is too small",
    r"classes without a training sample",
    # Losses for positive targets.
    r"needs targets y",
    r"several levels predicts one output",
    r"needs all samples\. For partial_fit, pass a dict",
    r"needs the same objective in every evaluation",
    r"needs all \d+ samples in every iteration",
    r"does not support early_stopping=True",
    r"minimum of 2 is required",
    r"contains infinity or a value too large",
    r"contains values too large for float32",
    r"y has classes that were missing",
    r"every member holds out its own fold",
    r"minimizes the objective of one network",
    r"cv=\d+ is too large",
    # Weights of zero.
    r"Split \d+ of cv has (no training sample|\d test samples) with positive weight",
]
# Limit for one case. A typical case takes a few hundredths of a second.
CPU_SECONDS = 20


# -- parameters ----------------------------------------------------------------------------------


def numbers(interval):
    """Return a strategy for moderate and extreme numbers in a scikit-learn Interval."""
    low, high = interval.left, interval.right
    if interval.type is Integral:
        return st.integers(low, min(high or 30, 30))
    if high is None:
        sizes = st.one_of(st.floats(-3, 1), st.floats(-3, 1), st.floats(-30, 30))
        positive = sizes.map(lambda exponent: 10.0**exponent)
        return positive if interval.closed == "neither" else st.one_of(st.just(0.0), positive)
    ends = [low, high, low + 1e-6, high - 1e-6]
    inside = st.floats(low + 1e-6, high - 1e-6)
    return st.one_of(inside, st.sampled_from(ends)).filter(interval.is_satisfied_by)


def values(constraints):
    """Return a strategy for values that satisfy the constraints of a parameter."""
    strategies = []
    for constraint in constraints:
        if isinstance(constraint, Interval):
            strategies.append(numbers(constraint))
        elif isinstance(constraint, StrOptions):
            strategies.append(st.sampled_from(sorted(constraint.options)))
        elif constraint == "boolean":
            strategies.append(st.booleans())
        elif constraint is Real:
            strategies.append(st.floats(-3, 3))
        else:
            raise NotImplementedError(constraint)
    return st.one_of(strategies)


@st.composite
def components(draw, table):
    """Draw a component from a registry, as a name or as an instance with drawn parameters."""
    name = draw(st.sampled_from(sorted(table)))
    if draw(st.booleans()):
        return name
    component = table.make(name)
    if isinstance(component, QuantileLoss):
        levels = draw(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=3, unique=True))
        return QuantileLoss(levels[0] if len(levels) == 1 else tuple(sorted(levels)))
    members = {
        member: draw(values(constraints))
        for member, constraints in component._parameter_constraints.items()
        if member in component.get_params(deep=False) and draw(st.booleans())
    }
    if isinstance(component, Warmup):
        members["schedule"] = draw(st.sampled_from(sorted(set(SCHEDULES) - {"warmup"})))
    return component.set_params(**members)


def optional(strategy):
    return st.one_of(st.none(), strategy)


COMMON = {
    "initializer": components(INITIALIZERS),
    "bias_initializer": components(INITIALIZERS),
    "learn_scales": st.booleans(),
    "normalization": optional(components(NORMALIZATIONS)),
    "optimizer": components(OPTIMIZERS),
    "schedule": components(SCHEDULES),
    "gradient_clip": optional(components(CLIPPINGS)),
    "averaging": optional(components(AVERAGINGS)),
    "alpha": st.sampled_from([0.0, 1e-4, 1.0, 1e3, 1e30]),
    "l1_ratio": st.sampled_from([0.0, 0.3, 1.0]),
    "batch_size": st.one_of(st.just("auto"), st.integers(1, 40)),
    "shuffle": st.booleans(),
    "early_stopping": st.booleans(),
    "validation_fraction": st.sampled_from([0.1, 0.3, 0.7]),
    "scoring": st.sampled_from(["loss", None]),
    "n_iter_no_change": st.sampled_from([1, 10, np.inf]),
    "tol": st.sampled_from([0.0, 1e-4, 10.0]),
    "warm_start": st.booleans(),
    "n_members": st.integers(1, 4),
    "cv": st.sampled_from([None, None, 2, 3]),
    "dtype": st.sampled_from(["auto", "float32", "float64"]),
}


@st.composite
def parameters(draw, own):
    """Draw values for about half of the parameters. The others keep their defaults."""
    sizes = draw(st.lists(st.integers(1, 7), max_size=3))
    activation = components(ACTIVATIONS)
    params = {"hidden_layer_sizes": tuple(sizes), "max_iter": draw(st.integers(1, 5))}
    if draw(st.booleans()):
        params["activation"] = draw(st.one_of(activation, st.tuples(*[activation for _ in sizes])))
    if draw(st.booleans()):
        rate = st.floats(0, 0.95)
        params["dropout"] = draw(st.one_of(rate, st.tuples(*[rate for _ in sizes])))
    for name, strategy in (COMMON | own).items():
        if draw(st.booleans()):
            params[name] = draw(strategy)
    return params | {"random_state": draw(st.integers(0, 3))}


# -- tables --------------------------------------------------------------------------------------

EXPONENTS = st.one_of(st.just(0), st.integers(-2, 2), st.integers(-30, 30))


def with_extremes(X, rng, exponent):
    """Return X with a few cells set to a power of 10 or to the largest number of its dtype."""
    X, largest = X.copy(), np.finfo(X.dtype).max
    n_cells = 1 + X.size // 50
    scale = 10.0 ** (exponent if X.dtype == np.float32 else 7.4 * exponent)
    extremes = rng.choice([scale, -scale, largest, -largest], n_cells).astype(X.dtype)
    X[rng.integers(0, X.shape[0], n_cells), rng.integers(0, X.shape[1], n_cells)] = extremes
    return X


@st.composite
def tables(draw):
    """Draw (X, rng).

    X may be tiny, wide, sparse or badly scaled, and have constant columns or repeated rows.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    wide = draw(st.booleans()) and draw(st.booleans())
    n_rows = draw(st.integers(1, 12) if wide else st.integers(1, 60))
    n_columns = draw(st.integers(50, 300) if wide else st.integers(1, 8))
    X = rng.normal(size=(n_rows, n_columns))
    if draw(st.booleans()):
        X *= 10.0 ** draw(EXPONENTS)
    if draw(st.booleans()):
        X *= 10.0 ** rng.integers(-30, 31, n_columns)
        X = np.clip(X, -1e30, 1e30)
    if draw(st.booleans()):
        X[:, rng.random(n_columns) < 0.5] = draw(st.sampled_from([0.0, 1.0, -1e20]))
    if draw(st.booleans()):
        X = X[rng.integers(0, n_rows, n_rows)]
    X = X.astype(draw(st.sampled_from([np.float32, np.float64])))
    if draw(st.integers(0, 7)) == 0:
        X = with_extremes(X, rng, draw(st.integers(18, 38)))
    if draw(st.integers(0, 3)) == 0:
        X[rng.random(X.shape) < 0.7] = 0
        X = draw(st.sampled_from([sparse.csr_matrix, sparse.csc_array]))(X)
    return X, rng


@st.composite
def weights(draw, rng, n_rows):
    pattern = draw(
        st.sampled_from(["none", "none", "ones", "some", "zeros", "tiny", "wild", "huge"])
    )
    if pattern == "none":
        return None
    if pattern == "ones":
        return np.ones(n_rows)
    weight = rng.uniform(0.1, 2, n_rows)
    if pattern == "zeros":
        weight[rng.random(n_rows) < 0.4] = 0
        weight[0] = 1
    if pattern == "tiny":
        weight *= 1e-30
    if pattern == "huge":
        weight *= draw(st.sampled_from([1e300, 1e307, 1e-300]))
    if pattern == "wild":
        weight = 10.0 ** rng.integers(-10, 11, n_rows)
    return weight


def labels(rng, X, target_type):
    n_rows = X.shape[0]
    if target_type == "multilabel":
        return rng.integers(0, 2, (n_rows, 3))
    if target_type == "multioutput":
        y = np.c_[rng.integers(0, 3, n_rows), rng.integers(0, 2, n_rows)]
        # A third value makes the target multioutput instead of multilabel.
        y[0, 0] = 2
        return y
    if target_type == "words":
        return np.array(["no", "yes", "maybe"])[rng.integers(0, 3, n_rows)]
    n_classes = {"one": 1, "two": 2, "many": 12}[target_type]
    return rng.integers(0, n_classes, n_rows)


def targets(rng, X, target_type, exponent):
    y = rng.normal(size=(X.shape[0], 3) if target_type == "several" else X.shape[0])
    if target_type == "positive":
        y = np.abs(y) + 0.01
    if target_type == "constant":
        y[...] = y.flat[0]
    return y * 10.0**exponent


@st.composite
def cases(draw, wanted=None):
    """Draw (estimator, X, y, sample_weight, validation data, method)."""
    X, rng = draw(tables())
    classify = draw(st.booleans())
    if classify:
        own = {
            "loss": components(CLASSIFICATION_LOSSES),
            "class_weight": st.sampled_from([None, "balanced"]),
            "scoring": st.sampled_from(["loss", None, "f1_macro"]),
        }
        target_type = draw(
            st.sampled_from(["one", "two", "many", "words", "multilabel", "multioutput"])
        )
        y = labels(rng, X, target_type)
        if target_type == "multioutput":
            own["scoring"] = st.sampled_from(["loss", None])
        model = MLPClassifier(**draw(parameters(own)))
    else:
        own = {
            "loss": components(REGRESSION_LOSSES),
            "target_scaling": st.sampled_from([True, True, False]),
            "scoring": st.sampled_from(["loss", None]),
        }
        target_type = draw(st.sampled_from(["one", "several", "positive", "positive", "constant"]))
        y = targets(rng, X, target_type, draw(EXPONENTS))
        model = MLPRegressor(**draw(parameters(own)))
    validation = {}
    if draw(st.integers(0, 3)) == 0:
        n_val = draw(st.integers(1, X.shape[0]))
        validation = {"X_val": X[:n_val], "y_val": y[:n_val]}
    method = draw(st.sampled_from(["fit", "fit", "fit", "partial_fit", "refit", "both"]))
    return model, X, y, draw(weights(rng, X.shape[0])), validation, method


# -- the check -----------------------------------------------------------------------------------


def arrays(output):
    return output if isinstance(output, list) else [output]


def predict(model, X):
    """Return the outputs of all prediction methods of a fitted estimator."""
    methods = ["predict", "decision_function", "predict_proba"]
    return {m: arrays(getattr(model, m)(X)) for m in methods if hasattr(model, m)}


def is_number(array):
    return array.dtype.kind in "fiu"


def train(model, X, y, weight, validation, method):
    # Estimators with a full-batch optimizer do not have `partial_fit`.
    if method == "partial_fit" and hasattr(model, "partial_fit"):
        for _ in range(2):
            model.partial_fit(X, y, sample_weight=weight)
    elif method == "both":
        model.set_params(early_stopping=False, max_iter=2).fit(X, y, weight)
        if hasattr(model, "partial_fit"):
            for _ in range(4):
                model.partial_fit(X, y, sample_weight=weight)
        model.set_params(early_stopping=True, warm_start=True).fit(X, y, weight, **validation)
    else:
        model.fit(X, y, weight, **validation)
        if method == "refit":
            model.fit(X, y, weight, **validation)


def refused(error):
    """Return whether an error is documented."""
    raised_in = traceback.extract_tb(error.__traceback__)[-1].filename.replace("\\", "/")
    ours = "/sknn_adam/" in raised_in or "/sklearn/" in raised_in
    return ours and any(re.search(pattern, str(error)) for pattern in REFUSED)


def check_warnings(model, X, caught):
    """Check that all warnings are documented by this package or scikit-learn."""
    for warning in caught:
        message = str(warning.message)
        diverged = "Training diverged" in message or "members diverged" in message
        diverged &= warning.category is ConvergenceWarning
        nothing = warning.category is ConvergenceWarning and "learned nothing" in message
        runs_out = "has run out after max_iter" in message
        # A class may have fewer samples than there are cross-fitted members.
        rare = "have fewer samples than the" in message
        # scikit-learn issues this warning for every classifier.
        many = "unique classes is greater than 50%" in message
        # Scorers and `score` issue this warning about the samples passed to them.
        undefined = issubclass(warning.category, UndefinedMetricWarning)
        undefined &= model.scoring != "loss" or X.shape[0] < 2
        # Some scores are undefined for a single validation sample.
        unscored = "was not finite in any epoch" in message and model.scoring != "loss"
        known = diverged or nothing or runs_out or rare or many or undefined or unscored
        assert known, warning


def enlarged(X):
    """Return 1e5 * X, clipped to the range of its dtype."""
    largest, X = np.finfo(X.dtype).max, X.copy()
    cells = X.data if sparse.issparse(X) else X
    with np.errstate(over="ignore"):
        np.clip(cells * cells.dtype.type(1e5), -largest, largest, out=cells)
    return X


def check_network(model, X):
    """Check that the weights are finite, and that predictions agree with a forward pass."""
    network = copy.deepcopy(model._network)
    assert np.isfinite(network.theta).all()
    assert np.isfinite(network.statistics).all()
    for member in networks(model):
        assert all(np.isfinite(array).all() for array in member.coefs_ + member.intercepts_)
    if network.statistics.size or any(np.ravel(model.dropout)):
        return
    x = X.astype(network.dtype)
    network.prepare()
    with np.errstate(all="ignore"):
        z = network.forward(x)
    predicted, limit = network.predict(X), 1e-4 * np.sqrt(np.finfo(network.dtype).max)
    # Predictions clip larger outputs. NaN compares as False, so it is not compared either.
    comparable = np.abs(z) < limit
    tolerance = 1e3 * np.finfo(network.dtype).eps
    size = np.abs(z[comparable]).max(initial=0)
    np.testing.assert_allclose(
        predicted[comparable], z[comparable], rtol=tolerance, atol=tolerance * size
    )


def check_weight_scale(model, X, y, weight, validation):
    """Check that scaling the sample weights by a power of two does not change any bit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = clone(model).fit(X, y, weight * 2.0**900, **validation)
    for name, found in predict(model, X).items():
        for array, expected in zip(predict(other, X)[name], found, strict=True):
            np.testing.assert_array_equal(array, expected)


def check_case(model, X, y, weight, validation, method):
    """Check a case; return its outcome: "refused", "diverged" or "trained"."""
    start = time.process_time()
    before = pickle.dumps([X, y, weight])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            train(model, X, y, weight, validation, method)
        except (ValueError, TypeError) as error:
            if not refused(error):
                raise
            # Earlier fits of the same case may have issued warnings.
            check_warnings(model, X, caught)
            return "refused"
        outputs = predict(model, X)
        outputs |= {f"{m} of a row": o for m, o in predict(model, X[:1]).items()}
        outputs |= {f"{m} of huge X": o for m, o in predict(model, enlarged(X)).items()}
        # scikit-learn's scores square the errors, which may overflow for finite predictions.
        predicted = outputs["predict"][0]
        largest = float(np.abs(predicted).max()) if is_number(predicted) else 0.0
        moderate = largest < 1e150 and (weight is None or weight.max() < 1e100)
        score = model.score(X, y, weight) if moderate else 0.0
        public = [name for name in dir(model) if name.endswith("_") and name[0] != "_"]
        # These exist either for a single network or for several.
        public = [n for n in public if n not in ("coefs_", "intercepts_", "members_")]
        shown = [getattr(model, name) for name in public]
        restored = pickle.loads(pickle.dumps(model))
    diverged = model.stop_reason_ == "diverged"
    check_warnings(model, X, caught)
    check_network(model, X)
    if method == "fit" and weight is not None and 1e-20 < weight.max() < 1e20:
        check_weight_scale(model, X, y, weight, validation)
    if diverged:
        assert any(warning.category is ConvergenceWarning for warning in caught)
    for method_name, found in outputs.items():
        for array in found:
            assert not is_number(array) or np.isfinite(array).all(), method_name
            if method_name.startswith("predict_proba"):
                assert (array >= 0).all()
                assert (array <= 1).all()
                if y.ndim == 1 or len(found) > 1:
                    np.testing.assert_allclose(array.sum(axis=1), 1, rtol=1e-5)
    assert np.isfinite(score) or X.shape[0] < 2, "score"
    assert np.isfinite(model.loss_curve_).all()
    assert len(shown) > 10
    for array in arrays(getattr(model, "oof_prediction_", [])):
        assert np.isfinite(array).all()
    for name, found in predict(restored, X).items():
        for array, expected in zip(found, predict(model, X)[name], strict=True):
            np.testing.assert_array_equal(array, expected)
    # Training must not modify the data.
    assert pickle.dumps([X, y, weight]) == before
    assert time.process_time() - start < CPU_SECONDS
    return "diverged" if diverged else "trained"
