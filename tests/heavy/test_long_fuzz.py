"""Random cases as in tests/test_fuzz.py, and random formulas, invalid inputs and optimizer states.

    FUZZ_SEED=7 FUZZ_CASES=3000 python -m pytest -s -m slow tests/heavy/test_long_fuzz.py

Without FUZZ_SEED, the seed is random. It is always printed.
"""

import os
import random
import subprocess
import sys
import time
import warnings
from collections import Counter

import numpy as np
import pytest
from fuzz_cases import cases, check_case
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from recording import record

from sknn_adam import MLPClassifier, MLPRegressor
from sknn_adam.activations import Activation

pytestmark = pytest.mark.slow

SEED = int(os.environ.get("FUZZ_SEED", random.randrange(10**6)))
N_CASES = int(os.environ.get("FUZZ_CASES", 3000))


def run_cases(name, strategy, check, n_cases):
    """Check random cases and record the number of cases with each outcome."""
    print(f"FUZZ_SEED={SEED} FUZZ_CASES={N_CASES}")
    outcomes, began = Counter(), time.monotonic()

    @seed(SEED)
    @settings(
        max_examples=n_cases,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def run(case):
        outcomes[check(*case)] += 1

    run()
    record(
        name,
        seed=SEED,
        cases=sum(outcomes.values()),
        outcomes=dict(sorted(outcomes.items())),
        faults=0,
        seconds=round(time.monotonic() - began),
    )
    return outcomes


def test_long_fuzz():
    outcomes = run_cases("long_fuzz", cases(), check_case, N_CASES)
    assert sum(outcomes.values()) >= N_CASES
    assert min(outcomes[kind] for kind in ("trained", "diverged", "refused")) > N_CASES / 50


# -- formulas ------------------------------------------------------------------------------------

UNARY = [
    *(np.negative, np.positive, np.absolute, np.fabs, np.sqrt, np.square, np.reciprocal, np.sign),
    *(np.exp, np.tanh, np.log1p, np.logical_not, np.isfinite, np.isnan, np.floor),
]
BINARY = [
    *(np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum, np.power),
    *(np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal),
    *(np.logical_and, np.logical_or, np.logical_xor, np.copysign),
]
SPECIAL = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -3.0, 1e30, -1e30, np.inf, -np.inf, np.nan]


@st.composite
def expressions(draw, depth=0):
    """Draw a function of z composed of ufuncs, comparisons and constants."""
    kind = draw(st.sampled_from(["leaf", "unary", "binary", "binary", "where"]))
    if depth == 4 or kind == "leaf":
        constant = draw(st.sampled_from([None, None, None, 0.0, 1.0, 3.0, -2.5, 0.5]))
        return lambda z: z if constant is None else constant
    if kind == "unary":
        function, inner = draw(st.sampled_from(UNARY)), draw(expressions(depth + 1))
        return lambda z: function(inner(z))
    first, second = draw(expressions(depth + 1)), draw(expressions(depth + 1))
    if kind == "binary":
        function = draw(st.sampled_from(BINARY))
        return lambda z: function(first(z), second(z))
    third = draw(expressions(depth + 1))
    return lambda z: np.where(first(z), second(z), third(z))


def check_formula(expression, dtype):
    """Check that the compiled loop of a formula gives the same numbers as NumPy, up to rounding."""
    pytest.importorskip("numba")
    from sknn_adam._backends.numba_backend import FusedKernels
    from sknn_adam._backends.numpy_backend import NumpyKernels

    class Drawn(Activation):
        def __call__(self, z):
            return expression(z)

        def derivative(self, z, a):
            return z

    z, b, activation = np.array([SPECIAL] * 2, dtype), np.zeros(len(SPECIAL), dtype), Drawn()
    found = []
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kernels in (NumpyKernels(), FusedKernels()):
            out = np.empty_like(z)
            try:
                kernels.activate(activation, z.copy(), b, out)
            except (TypeError, ValueError) as error:
                # NumPy does not support some operations on booleans.
                found.append(type(error))
            else:
                found.append(out)
    expected, fused = found
    if isinstance(expected, type):
        assert fused is expected
        return "refused"
    np.testing.assert_allclose(fused, expected, rtol=20 * np.finfo(dtype).eps)
    return "equal"


def test_long_fuzz_of_formulas():
    drawn = st.tuples(expressions(), st.sampled_from([np.float32, np.float64]))
    outcomes = run_cases("long_fuzz_of_formulas", drawn, check_formula, max(1, N_CASES // 10))
    assert outcomes["equal"] > outcomes["refused"]


# -- non-numeric inputs --------------------------------------------------------------------------


def as_moments(array):
    return (array * 1e6).astype("datetime64[s]")


def as_missing_moments(array):
    moments = as_moments(array)
    moments.flat[0] = np.datetime64("NaT", "s")
    return moments


def as_durations(array):
    return (array * 1e6).astype("timedelta64[s]")


def as_objects(array):
    return as_moments(array).astype(object)


def as_masked(array):
    mask = np.zeros(array.shape, bool)
    mask.flat[-1] = True
    return np.ma.masked_array(array, mask)


def as_complex(array):
    return array + 1j


FORMS = [as_moments, as_missing_moments, as_durations, as_objects, as_masked, as_complex]


@st.composite
def inputs_to_refuse(draw):
    """Draw (estimator, method, name of the invalid argument, conversion to its form, X, y)."""
    kind = draw(st.sampled_from([MLPClassifier, MLPRegressor]))
    form = draw(st.sampled_from(FORMS))
    # Dates and durations without missing values are valid labels, because labels are only compared.
    labels = kind is MLPClassifier and form in (as_moments, as_durations, as_objects)
    method = draw(st.sampled_from(["fit", "partial_fit", "predict"]))
    names = ["X"] if method == "predict" else ["X", "y", "sample_weight"]
    names += ["X_val", "y_val"] if method == "fit" else []
    names = [name for name in names if not labels or name[0] != "y"]
    name = draw(st.sampled_from(names))
    n_rows, n_columns = draw(st.integers(4, 30)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = rng.normal(size=(n_rows, n_columns))
    y = (X[:, 0] > 0).astype(float) if kind is MLPClassifier else X[:, 0]
    if kind is MLPClassifier:
        y[:2] = 0, 1
    return kind((4,), max_iter=2, random_state=0), method, name, form, X, y


def check_refusal(model, method, name, form, X, y):
    """Check that the estimator raises ValueError or TypeError and is unchanged."""
    arguments = {"X": X, "y": y, "sample_weight": np.ones(len(y)), "X_val": X, "y_val": y}
    arguments = {k: v for k, v in arguments.items() if method == "fit" or k[-3:] != "val"}
    if method == "predict":
        model.fit(X, y)
        arguments = {"X": X}
    before = dict(vars(model))
    arguments[name] = form(arguments[name])
    with pytest.raises((ValueError, TypeError)):
        getattr(model, method)(**arguments)
    assert list(vars(model)) == list(before)
    assert all(vars(model)[key] is value for key, value in before.items())
    return form.__name__


def test_long_fuzz_of_inputs_to_refuse():
    outcomes = run_cases(
        "long_fuzz_of_inputs_to_refuse", inputs_to_refuse(), check_refusal, max(1, N_CASES // 10)
    )
    assert set(outcomes) == {form.__name__ for form in FORMS}


# -- states of optimizers ------------------------------------------------------------------------

# A write out of bounds can kill the process, so the cases run in separate processes.
WRONG_STATE = """
import random, sys, warnings
import numpy as np
from sknn_adam import MLPClassifier
from sknn_adam.optimizers import OPTIMIZERS

warnings.simplefilter("ignore")
rng = random.Random(sys.argv[1])
X = np.random.default_rng(0).normal(size=(300, 5))
y = (X[:, 0] > 0).astype(int)
changes = {
    "shorter": lambda slot: slot[: rng.randrange(slot.size)].copy(),
    "one": lambda slot: np.zeros(1, slot.dtype),
    "empty": lambda slot: np.zeros(0, slot.dtype),
    "longer": lambda slot: np.zeros(slot.size + rng.randint(1, 9), slot.dtype),
    "matrix": lambda slot: np.zeros((slot.size, 2), slot.dtype),
    "other dtype": lambda slot: slot.astype("f8" if slot.dtype == "f4" else "f4"),
    "integers": lambda slot: slot.astype(int),
    "strided": lambda slot: np.zeros(2 * slot.size, slot.dtype)[::2],
    "read-only": lambda slot: np.broadcast_to(slot.dtype.type(0), slot.shape),
    "list": lambda slot: slot.tolist(),
}
for _ in range(20):
    name = rng.choice(sorted(OPTIMIZERS))
    made = OPTIMIZERS.make(name)
    if not made.slots:
        continue
    slot_name, change = rng.choice(made.slots), rng.choice(sorted(changes))

    class Wrong(type(made)):
        def init(self, theta, layout=None):
            state = super().init(theta, layout)
            setattr(state, slot_name, changes[change](getattr(state, slot_name)))
            return state

    wrong = Wrong(**made.get_params(deep=False))
    members = rng.choice([1, 3])
    try:
        model = MLPClassifier((9,), optimizer=wrong, max_iter=3, n_members=members).fit(X, y)
    except (ValueError, TypeError):
        print("refused")
    else:
        assert np.isfinite(model.predict_proba(X)).all()
        print("trained")
"""


@pytest.mark.parametrize("kernels", ["numpy", "fused"])
def test_long_fuzz_of_optimizer_states(kernels):
    outcomes, n_processes = Counter(), max(1, N_CASES // 300)
    for case in range(n_processes):
        found = subprocess.run(
            [sys.executable, "-c", WRONG_STATE, f"{SEED} {case}"],
            env={**os.environ, "SKNN_ADAM_KERNELS": kernels},
            capture_output=True,
            text=True,
        )
        assert found.returncode == 0, found.stderr
        outcomes.update(found.stdout.split())
    record(f"long_fuzz_of_optimizer_states_{kernels}", seed=SEED, outcomes=dict(outcomes))
    assert outcomes["refused"] > 0
