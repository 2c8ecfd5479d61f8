"""Write the polynomials of the elementary functions, and golden values of these functions.

The coefficients go to sknn_adam/_backends/polynomials.py, and the golden values to elementary.json
in this folder. mpmath computes both with at least 40 digits. To regenerate the files:

    python3.11 -m venv /tmp/golden && . /tmp/golden/bin/activate
    pip install mpmath==1.4.1 numpy
    python tests/golden/make_polynomials.py

The polynomials are minimax approximations, found by the exchange algorithm of Remez (Muller,
Elementary Functions, 3rd edition, chapter 3): the weighted error takes its largest size at
degree + 2 points with alternating signs.
"""

import json
from pathlib import Path

import mpmath as mp
import numpy as np
from mpmath import mpf

HERE = Path(__file__).resolve().parent
TARGET = HERE.parents[1] / "sknn_adam" / "_backends" / "polynomials.py"
N_POINTS = 800
mp.mp.dps = 40


# -- minimax polynomials -------------------------------------------------------------------------


def minimax(function, weight, low, high, degree):
    """Return the coefficients and the largest weighted error of a minimax polynomial."""
    points = [low + (high - low) * (1 - mp.cos(mp.pi * i / N_POINTS)) / 2 for i in range(N_POINTS)]
    # Points of almost no weight do not matter, and the equations there would be singular.
    points = [x for x in points if weight(x) > 1e-5]
    values, weights = [function(x) for x in points], [weight(x) for x in points]
    chosen = [round(i * (len(points) - 1) / (degree + 1)) for i in range(degree + 2)]
    for _ in range(12):
        coefficients, level = equal_error(
            [(points[i], values[i], weights[i]) for i in chosen], degree
        )
        errors = [
            (mp.polyval(coefficients[::-1], x) - y) * w
            for x, y, w in zip(points, values, weights, strict=True)
        ]
        worst = max(abs(error) for error in errors)
        extrema = alternating(errors)
        if worst < 1.01 * level or len(extrema) < degree + 2:
            break
        while len(extrema) > degree + 2:
            smaller = abs(errors[extrema[0]]) < abs(errors[extrema[-1]])
            extrema.pop(0 if smaller else -1)
        chosen = extrema
    return coefficients, worst


def equal_error(data, degree):
    """Return the polynomial whose weighted errors at the points alternate, and their size."""
    equations = mp.matrix(degree + 2, degree + 2)
    for k, (x, _, w) in enumerate(data):
        for j in range(degree + 1):
            equations[k, j] = x**j
        equations[k, degree + 1] = (-1) ** k / w
    solution = mp.lu_solve(equations, mp.matrix([y for _, y, _ in data]))
    return list(solution)[: degree + 1], abs(solution[degree + 1])


def alternating(errors):
    """Return the indices of local extrema with alternating signs."""
    extrema: list[int] = []
    for i, error in enumerate(errors):
        if extrema and mp.sign(errors[extrema[-1]]) == mp.sign(error):
            if abs(error) > abs(errors[extrema[-1]]):
                extrema[-1] = i
        else:
            extrema.append(i)
    return extrema


# -- the approximated functions ------------------------------------------------------------------

# The reduction rounds, so arguments may exceed the ends of the interval a little.
MARGIN = mpf("1.001")
HALF_LOG_2 = mp.log(2) / 2 * MARGIN
LARGEST_Z = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2 * MARGIN
# Near 4, where both ends converge equally fast. With this value, rounding the coefficients to
# float32 costs a relative error of 0.2 * 2^-24; with 4 it would cost 0.9 * 2^-24.
TAIL_CENTRE = mpf("4.125")


def exp_rest(r):
    return (mp.expm1(r) - r) / r**2


def log_rest(z):
    s = mp.sqrt(z)
    return 2 * (mp.atanh(s) - s) / s**3


def erf_rest(z):
    x = mp.sqrt(z)
    return mp.erf(x) / x - 1


def scaled_tail(t):
    x = TAIL_CENTRE * (1 + t) / (1 - t)
    return mp.exp(x * x / 2) * mp.ncdf(-x) * (x + TAIL_CENTRE)


def tail_end(largest):
    return mpf(largest - TAIL_CENTRE) / (largest + TAIL_CENTRE)


# Name, comment, function, weight that makes the error relative, and for each dtype the interval and
# the degree.
POLYNOMIALS = [
    (
        *("exp", "exp(r) = 1 + r + r^2 p(r)", exp_rest, abs),
        *((-HALF_LOG_2, HALF_LOG_2, 5), (-HALF_LOG_2, HALF_LOG_2, 10)),
    ),
    (
        *("log", "log((1 + s) / (1 - s)) = 2 s + s^3 p(s^2)", log_rest, lambda z: z / 2),
        *((mpf("1e-12"), LARGEST_Z, 2), (mpf("1e-12"), LARGEST_Z, 6)),
    ),
    (
        *("erf", "erf(x) = x + x p(x^2) for 0 <= x <= 0.75", erf_rest, lambda z: 1),
        *((mpf("1e-12"), mpf("0.5625"), 5), (mpf("1e-12"), mpf("0.5625"), 10)),
    ),
    (
        "tail",
        "ndtr(-x) = exp(-x^2 / 2) p((x - 4.125) / (x + 4.125)) / (x + 4.125)",
        *(scaled_tail, lambda t: 1 / scaled_tail(t)),
        *((mpf(-1), tail_end(14.5), 10), (mpf(-1), tail_end(39), 23)),
    ),
]

HEAD = '''"""Minimax polynomials of `elementary`, written by tests/golden/make_polynomials.py.

The coefficients start with the constant term. Comments state the largest relative error of the
function in exact arithmetic.
"""

__all__ = ["POLYNOMIALS"]

# For each name, the coefficients in float32 and in float64.
POLYNOMIALS = {
'''


def write_polynomials():
    text = HEAD
    for name, comment, function, weight, *cases in POLYNOMIALS:
        text += f'    # {comment}\n    "{name}": {{\n'
        for dtype, (low, high, degree) in zip((np.float32, np.float64), cases, strict=True):
            coefficients, error = minimax(function, weight, low, high, degree)
            text += f"        # 2^{float(mp.log(error, 2)):.1f}\n"
            text += f'        "{dtype.__name__}": (\n'
            for c in coefficients:
                # NumPy rounds the decimal text correctly; float(c) would round twice.
                text += f"            {dtype(mp.nstr(c, 30))!s},\n"
            text += "        ),\n"
        text += "    },\n"
    TARGET.write_text(text + "}\n")


# -- golden values -------------------------------------------------------------------------------


def log1pexp(x):
    return mp.log1p(mp.exp(x))


FUNCTIONS = {
    "exp": mp.exp,
    "expm1": mp.expm1,
    "log": mp.log,
    "log1p": mp.log1p,
    "tanh": mp.tanh,
    "erf": mp.erf,
    "expit": lambda x: 1 / (1 + mp.exp(-x)),
    "log1pexp": log1pexp,
    "ndtr": lambda x: mp.erfc(-x / mp.sqrt(2)) / 2,
}
# Arguments where the results are neither constant nor trivial.
RANGES = {
    "exp": (-746, 710),
    "expm1": (-40, 710),
    "log": (0, 1e308),
    "log1p": (-1, 1e308),
    "tanh": (-20, 20),
    "erf": (-6, 6),
    "expit": (-746, 40),
    "log1pexp": (-746, 740),
    "ndtr": (-39, 9),
}


def arguments(name, rng):
    """Return values spread evenly, logarithmically, and near special arguments."""
    low, high = RANGES[name]
    near = [0.75, 0.25, 0.5, 1, 2, 4, 19, 88.7, 709.78, -745.13, -708.4, -0.35, 0.346573590279973]
    sizes = 10.0 ** rng.uniform(-310, 308, 50), 10.0 ** rng.uniform(-17, 3, 200)
    values = np.concatenate(
        [
            rng.uniform(max(low, -800), min(high, 800), 300),
            rng.uniform(-1.5, 1.5, 150),
            *[sign * size for size in sizes for sign in (1, -1)],
            [sign * x * (1 + i * 2.0**-52) for x in near for i in (-2, 0, 1) for sign in (1, -1)],
            [5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308],
        ]
    )
    return np.unique(values[(values > low) & (values < high)])


def rounded(value):
    """Return the nearest float64; mpmath has no bounds on exponents."""
    return float(np.float64(mp.nstr(value, 30)))


def write_golden():
    rng = np.random.default_rng(0)
    content = {"meta": {"mpmath": mp.__version__, "digits": mp.mp.dps}}
    for name, function in FUNCTIONS.items():
        xs = arguments(name, rng)
        results = []
        for x in map(float, xs):
            # An argument of 1e-300 in 1 + x needs many digits.
            with mp.workdps(700 if 0 < abs(x) < 1e-17 else 60):
                results.append(rounded(function(mpf(x))).hex())
        content[name] = {"x": [float(x).hex() for x in xs], "value": results}
    (HERE / "elementary.json").write_text(json.dumps(content, indent=0) + "\n")


if __name__ == "__main__":
    write_polynomials()
    write_golden()
