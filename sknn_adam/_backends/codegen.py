"""Source code of fused loops, generated from recorded formulas for `numba_backend`."""

from typing import Any, NamedTuple

import numpy as np
from scipy import special

from sknn_adam._backends.tracing import LOGICAL, Formula

__all__ = ["Loop", "Unwritable", "activate_loop", "chain_loop", "update_loop"]


class Loop(NamedTuple):
    """The source of a loop.

    Parameters
    ----------
    names : list of str
        The names of the arguments. The last one is ``constants``.
    arguments : list of str
        Their description, see `kernels.Argument.parse`.
    lines : list of str
        The body.
    constants : ndarray
        The constants of the formula.
    """

    names: list[str]
    arguments: list[str]
    lines: list[str]
    constants: np.ndarray


# Operations on numbers in the dtype of the arrays.
INFIX = {
    np.add: "({} + {})",
    np.subtract: "({} - {})",
    np.multiply: "({} * {})",
    np.divide: "({} / {})",
    np.greater: "({} > {})",
    np.greater_equal: "({} >= {})",
    np.less: "({} < {})",
    np.less_equal: "({} <= {})",
    np.equal: "({} == {})",
    np.not_equal: "({} != {})",
    np.negative: "(-{})",
    np.positive: "{}",
    np.sqrt: "np.sqrt({})",
    np.absolute: "abs({})",
    np.fabs: "abs({})",
    np.square: "({0} * {0})",
    np.reciprocal: "(ONE / {})",
    np.sign: "(ONE if {0} > ZERO else (-ONE if {0} < ZERO else ({0} if {0} != {0} else ZERO)))",
    # As in NumPy, NaN in either operand propagates, and of two zeros the second is returned.
    np.maximum: "({0} if {0} > {1} or {0} != {0} else {1})",
    np.minimum: "({0} if {0} < {1} or {0} != {0} else {1})",
    np.where: "({1} if {0} else {2})",
}
# Operations on booleans with a boolean result. In NumPy, the sum of two booleans is "or".
BOOLEAN = {
    np.add: "({} or {})",
    np.multiply: "({} and {})",
    np.greater: "({} and not {})",
    np.greater_equal: "({} or not {})",
    np.less: "(not {} and {})",
    np.less_equal: "(not {} or {})",
    np.equal: "({} == {})",
    np.not_equal: "({} != {})",
    np.logical_and: "({} and {})",
    np.logical_or: "({} or {})",
    np.logical_xor: "({} != {})",
    np.logical_not: "(not {})",
    np.absolute: "{}",
    np.maximum: "({} or {})",
    np.minimum: "({} and {})",
    np.where: "({1} if {0} else {2})",
}
# Functions of one number, see `elementary`.
ELEMENTARY = {np.exp: "exp", np.expm1: "expm1", np.log: "log", np.log1p: "log1p", np.tanh: "tanh"}
ELEMENTARY |= {special.expit: "expit", special.erf: "erf", special.ndtr: "ndtr"}
POWERS = {2: "({0} * {0})", 1: "{0}"}


# Loops over the members, samples and units of an array, and over the members and elements of a
# vector.
EACH_UNIT = """for m in range(zs.shape[0]):
    for i in range(zs.shape[1]):
        for j in range(zs.shape[2]):""".split("\n")
EACH_WEIGHT = """for m in range(theta.shape[0]):
    for i in range(theta.shape[1]):""".split("\n")


class Unwritable(Exception):
    """Raised for an operation that a fused loop does not support."""


def _write_operations(
    formula: Formula, names: list[str], dtype: np.dtype
) -> tuple[list[Any], list[str], list[str]]:
    """Return the constants, the lines of the operations, and the names of the outputs.

    `names` lists the variables of the array elements, then those of the scalars. Constants are
    arguments of the loop, so formulas that differ only in their constants share a kernel.
    """
    constants: list[Any] = []
    lines = []

    def number(index: int) -> str:
        name = names[index] if index >= 0 else f"v{-index}"
        return f"(ONE if {name} else ZERO)" if _is_boolean(formula, index) else name

    def operand(index: Any, constant: Any, boolean: bool) -> str:
        if index is None and boolean:
            return str(bool(constant))
        if index is None:
            constants.append(constant)
            return f"c{len(constants) - 1}"
        if not boolean:
            return number(index)
        return f"v{-index}" if _is_boolean(formula, index) else f"({number(index)} != ZERO)"

    for k, (function, arguments, result) in enumerate(formula.operations, start=1):
        booleans = _as_booleans(formula, function, arguments, result.kind == "b")
        pattern = (BOOLEAN if all(booleans) else INFIX).get(function)
        if function in ELEMENTARY:
            pattern = f"{ELEMENTARY[function]}({{}})"
        # The softplus function.
        if function is np.logaddexp and arguments[0] == (None, 0):
            pattern, arguments, booleans = "log1pexp({})", arguments[1:], booleans[1:]
        if function is np.power and arguments[1][1] in POWERS:
            pattern, arguments = POWERS[arguments[1][1]], arguments[:1]
        if pattern is None:
            raise Unwritable
        pairs = zip(arguments, booleans, strict=False)
        text = pattern.format(*[operand(i, constant, boolean) for (i, constant), boolean in pairs])
        lines.append(f"v{k} = {text}")
    return constants, lines, [number(i) for i in formula.outputs]


def _is_boolean(formula: Formula, index: int | None, constant: Any = None) -> bool:
    """Return whether an argument of an operation is a boolean."""
    if index is None:
        return isinstance(constant, bool)
    return index < 0 and formula.operations[-index - 1][2].kind == "b"


def _as_booleans(formula: Formula, function: Any, arguments: list, boolean: bool) -> list[bool]:
    """Return, for each argument, whether NumPy treats it as a boolean rather than a number."""
    if function is np.where:
        return [True, boolean, boolean]
    logical = function in LOGICAL
    logical |= boolean and all(_is_boolean(formula, *argument) for argument in arguments)
    return [logical] * len(arguments)


def update_loop(formula: Formula, dtype: np.dtype) -> Loop:
    """Return the loop that applies an optimizer's rule.

    ``scalars[at[0]]`` is the factor of theta, which is 1 without weight decay. The loop sets
    subnormal results to zero: when gradients become zero, their moving averages decay to subnormal
    numbers, and arithmetic on these is slow.
    """
    slots = [f"slot{i}" for i in range(1, formula.n_arrays)]
    scalars = [f"s{i}" for i in range(formula.n_scalars)]
    elements = ["g", *[f"x{i}" for i in range(1, formula.n_arrays)], *scalars]
    constants, lines, (update, *new) = _write_operations(formula, elements, dtype)
    names = ["theta", "grad", *slots, "scalars", "at"]
    body = [
        *[f"{s} = scalars[{i}]" for i, s in enumerate(scalars)],
        "keep = scalars[at[0]]",
        "state = flush_subnormals()",
        *EACH_WEIGHT,
        "        g = grad[m, i]",
        *[f"        x{i} = {slot}[m, i]" for i, slot in enumerate(slots, start=1)],
        *[f"        {line}" for line in lines],
        *[f"        {slot}[m, i] = {value}" for slot, value in zip(slots, new, strict=True)],
        f"        theta[m, i] = keep * theta[m, i] - {update}",
        "restore_control(state)",
    ]
    return _loop(names, ["ms"] * (len(slots) + 2) + ["*p", "i:1"], body, constants, dtype)


def activate_loop(formula: Formula, dtype: np.dtype, in_place: bool) -> Loop:
    """Return the loop that adds a bias and applies an activation.

    Unless it works in place, the loop also stores ``z + b`` in `zs`.
    """
    constants, lines, (value,) = _write_operations(formula, ["z"], dtype)
    body = [
        *EACH_UNIT,
        "            z = zs[m, i, j] + b[m, j]",
        *[f"            {line}" for line in lines],
        *([] if in_place else ["            zs[m, i, j] = z"]),
        f"            {'zs' if in_place else 'out'}[m, i, j] = {value}",
    ]
    names, texts = ["zs", "b"], ["mnk", "mk"]
    if not in_place:
        names, texts = [*names, "out"], [*texts, "mnk"]
    return _loop(names, texts, body, constants, dtype)


def chain_loop(formula: Formula, dtype: np.dtype, with_z: bool) -> Loop:
    """Return the loop that multiplies `g` by a derivative and sums the products over samples."""
    constants, lines, (value,) = _write_operations(formula, ["z", "a"], dtype)
    body = [
        "sums[:] = ZERO",
        *[line.replace("zs", "g") for line in EACH_UNIT],
        *(["            z = zs[m, i, j]"] if with_z else []),
        "            a = activations[m, i, j]",
        *[f"            {line}" for line in lines],
        f"            v = g[m, i, j] * {value}",
        "            g[m, i, j] = v",
        "            sums[m, j] += v",
    ]
    names = ["g", *["zs"] * with_z, "activations", "sums"]
    return _loop(names, ["mnk"] * (len(names) - 1) + ["mk"], body, constants, dtype)


def _loop(
    names: list[str], texts: list[str], body: list[str], constants: list[Any], dtype: np.dtype
) -> Loop:
    """Return a loop with one more argument, the array of its constants."""
    first = [f"c{i} = constants[{i}]" for i in range(len(constants))]
    # An array without elements has no address.
    values = np.array([*constants, 0.0], dtype)
    return Loop([*names, "constants"], [*texts, "q"], [*first, *body], values)
