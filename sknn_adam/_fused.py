"""Formulas compiled by Numba to fused loops: the second execution, where Numba is installed.

The formula of a component is recorded as in `_trace`, written out as the source of one loop over
all elements, for one dtype, and compiled. The loop does the formula's operations in their order, so
that elementwise results are those of NumPy; only sums are in another order. What cannot be written
out, or gains nothing from it, runs as NumPy.

The sources are files in the user's cache, named by their content, and Numba keeps the machine code
beside them. Worker processes share both.
"""

import hashlib
import importlib.util
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from operator import is_
from pathlib import Path
from typing import Any

import numpy as np

from sknn_adam import _loops
from sknn_adam._kernels import NumpyKernels, product
from sknn_adam._source import activate_loop, chain_loop, update_loop
from sknn_adam._trace import Formula, record, record_rule
from sknn_adam.losses import LogLoss, SquaredError

__all__ = ["FusedKernels"]

HEAD = """# Written by sknn_adam {versions}; safe to delete.
import numba
import numpy as np

ONE, ZERO = np.{dtype}(1), np.{dtype}(0)
{constants}


@numba.njit([{signature!r}], cache={cache}, nogil=True, error_model="numpy")
def kernel({arguments}):
"""


def _folder() -> tuple[Path, bool]:
    """Return the folder of the sources, and whether it lasts."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    try:
        folder = (Path(base) if base else Path.home() / ".cache") / "sknn_adam"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder, True
    except (OSError, RuntimeError):  # no home
        pass
    return Path(_temporary_folder().name), False


@cache
def _temporary_folder() -> tempfile.TemporaryDirectory:
    """Return a folder that goes when the process does."""
    return tempfile.TemporaryDirectory(prefix="sknn_adam-")


_loaded: dict[str, Any] = {}  # by source: the kernels of this process


def _load(source: str) -> Any:
    """Return ``kernel`` of a source that says {cache} where it must be said."""
    if source not in _loaded:
        _loaded[source] = _load_file(source)
    return _loaded[source]


def _load_file(source: str) -> Any:
    folder, lasts = _folder()
    try:
        return _load_from(source, folder, lasts)
    except Exception:
        if not lasts:
            raise
    # What is in the cache is damaged, or of another system.
    return _load_from(source, folder, False)


def _load_from(source: str, folder: Path, lasts: bool) -> Any:
    text = source.replace("{cache}", str(lasts))
    path = folder / f"kernel_{hashlib.sha256(text.encode()).hexdigest()[:24]}.py"
    try:
        written = path.read_text() == text
    except OSError:
        written = False
    if not written:
        temporary = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
        temporary.write_text(text)
        os.replace(temporary, path)
    spec: Any = importlib.util.spec_from_file_location(path.stem, path)
    # Numba looks the module up by its name when it loads machine code.
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.kernel


def _compile(write: Callable, formula: Formula | None, dtype: np.dtype, *options: Any) -> Any:
    """Return the compiled kernel; None for what cannot be written, or without Numba."""
    if formula is None or dtype not in (np.float32, np.float64):
        return None
    try:
        import numba

        constants, arguments, kinds, body = write(formula, dtype, *options)
        head = HEAD.format(
            versions=f"for numba {numba.__version__}, numpy {np.__version__}",
            dtype=dtype,
            constants=constants,
            signature=f"void({kinds})",
            cache="{cache}",
            arguments=arguments,
        )
        return _load(head + "".join(f"    {line}\n" for line in body))
    except Exception:  # whatever Numba, or the disk, cannot do, NumPy can
        return None


# Arguments of the loops: v and m are vectors and matrices that are written, V and M such that are
# read (and may be read-only), I are row numbers or codes, f is float64 always. X is a table of the
# second dtype.
ARGUMENTS = {
    "add_bias": "mV",
    "blend": "vVV",
    "column_sums": "Mv",
    "gather": "XIm",
    "label_log_loss": "MMVVmf",
    "penalize": "VVvf",
    "softmax_log_loss": "mIVVf",
    "softmax_shift": "MIVVmf",
    "squared_error": "MMVVmf",
}


@cache
def _loop(name: str, dtype: np.dtype, other: Any = None) -> Any:
    """Return a loop of `_loops` compiled for a dtype, None if it cannot be."""
    try:
        return _compile_loop(name, dtype, other or dtype)
    except Exception:  # NumPy can
        return None


def _compile_loop(name: str, dtype: np.dtype, other: np.dtype) -> Any:
    import numba
    from numba import types

    def typed(letter):
        kind = {"I": types.int64, "f": types.float64, "X": numba.from_dtype(other)}.get(letter)
        dimensions = 2 if letter in "mMX" else 1
        kind = numba.from_dtype(dtype) if kind is None else kind
        return types.Array(kind, dimensions, "C", readonly=letter.isupper())

    signature = tuple(typed(letter) for letter in ARGUMENTS[name])
    options: Any = {"nogil": True, "error_model": "numpy"}
    if name == "penalize":
        options["fastmath"] = {"reassoc"}
    try:
        return numba.njit([signature], cache=True, **options)(getattr(_loops, name))
    except Exception:  # no folder for the cache can be written, or it is damaged
        return numba.njit([signature], **options)(getattr(_loops, name))


NO_WEIGHT = {np.dtype(t): np.empty(0, t) for t in (np.float32, np.float64)}


@dataclass
class Tape:
    """Calls of an objective, and the batch whose arrays they work on."""

    batch: tuple
    calls: list = field(default_factory=list)
    complete: bool = False

    def holds(self, batch: tuple) -> bool:
        """Return whether a batch lies in the same arrays."""
        return all(map(is_, self.batch, batch))


class FusedKernels(NumpyKernels):
    """Formulas as fused loops where they can be written as such, else as NumPy runs them.

    A step on a small network takes as long in Python as in the loops. So the calls of an objective
    are kept, with the arrays that they work on, and done again for the next batch that lies in the
    same arrays: the network's layers and the loss are then not asked any more.
    """

    name = "fused"

    def __init__(self) -> None:
        super().__init__()
        self._kernels: dict[Any, Any] = {}
        self.forget()

    def forget(self) -> None:
        """Drop all calls that were kept: they belong to arrays that may change."""
        self._tapes: dict[int, Tape] = {}
        self._recorded: Tape | None = None
        self._value = np.zeros(2)  # loss and penalty

    def again(self, *batch):
        """Do the objective's calls on this batch again; return its value, None if not known.

        A batch is known by its arrays. What comes for the second time is then recorded.
        """
        tape = self._tapes.get(len(batch[1]))
        self._recorded = None
        if tape is None or not tape.holds(batch):
            if len(self._tapes) > 1:  # full batches and the last one
                self._tapes.clear()
            self._tapes[len(batch[1])] = Tape(batch)
            return None
        if not tape.complete:
            self._recorded = tape
            tape.calls.clear()
            self._value[1] = 0
            return None
        for function, arguments in tape.calls:
            function(*arguments)
        return float(self._value[0]) + float(self._value[1])

    def recorded(self):
        """End the record of an objective."""
        if self._recorded is not None:
            self._recorded.complete = True
            self._recorded = None

    def _do(self, function, *arguments):
        """Call a function that works on its arguments, and keep the call, not those inside it."""
        tape, self._recorded = self._recorded, None
        function(*arguments)
        if tape is not None:
            tape.calls.append((function, arguments))
            self._recorded = tape

    def update(self, rule, theta, grad, slots, scalars, keep=1.0):
        """Do the step of an optimizer in one pass over its vectors."""
        key = rule, theta.dtype
        if key not in self._kernels:
            formula = record_rule(rule, len(slots), len(scalars), theta.dtype)
            self._kernels[key] = _compile(update_loop, formula, theta.dtype)
        kernel = self._kernels[key]
        if kernel is not None:
            try:
                kernel(theta, grad, *slots, np.array([*scalars, keep], theta.dtype))
                return
            except TypeError:  # before the first element: arrays of other kinds, or read-only ones
                pass
        super().update(rule, theta, grad, slots, scalars, keep)

    def product(self, a, b, out):
        """Write the matrix product."""
        plain = a.ndim == b.ndim == 2 and type(a) is np.ndarray
        self._do(np.dot if plain else product, a, b, out)

    def add_bias(self, z, b):
        """Add `b` to every row of `z`, in place."""
        loop = _loop("add_bias", z.dtype) if z.ndim == 2 else None
        self._do(loop or super().add_bias, z, b)

    def activate(self, activation, z, b, out):
        """Add the bias and write the activation, in one pass where that is faster."""
        in_place = out is z
        key = activation, in_place, z.dtype
        if key not in self._kernels:
            formula = record(activation, 1, dtype=z.dtype)
            self._kernels[key] = _compile(activate_loop, formula, z.dtype, in_place)
        kernel = self._kernels[key]
        if kernel is None or z.ndim != 2 or b is None:
            self._do(super().activate, activation, z, b, out)
        elif in_place:
            self._do(kernel, z, b)
        else:
            self._do(kernel, z, b, out)

    def chain(self, derivative, g, z, a, sums=None):
        """Multiply by the derivative and sum the columns, in one pass."""
        key = derivative, z is None, g.dtype
        if key not in self._kernels:
            lacks = (0,) if z is None else ()
            formula = record(derivative, 2, dtype=g.dtype, lacks=lacks)
            self._kernels[key] = _compile(chain_loop, formula, g.dtype, z is not None)
        kernel = self._kernels[key]
        if kernel is None or g.ndim != 2 or sums is None or not g.flags.c_contiguous:
            self._do(super().chain, derivative, g, z, a, sums)
        elif z is None:
            self._do(kernel, g, a, sums)
        else:
            self._do(kernel, g, z, a, sums)

    def column_sums(self, g, out):
        """Write the sums of `g` over the rows to `out`."""
        plain = g.ndim == 2 and g.flags.c_contiguous
        self._do((plain and _loop("column_sums", g.dtype)) or super().column_sums, g, out)

    def penalize(self, theta, grad, l2, l1):
        """Return the penalty and add its gradient, in one pass."""
        loop = _loop("penalize", theta.dtype)
        if loop is None:
            self._do(self._plain_penalty, theta, grad, l2, l1)
        else:
            self._do(loop, theta, np.array([l2, l1], theta.dtype), grad, self._value)
        return float(self._value[1])

    def _plain_penalty(self, *arguments):
        self._value[1] = super().penalize(*arguments)

    def blend(self, average, vector, keep, rate):
        """Write ``keep * average + rate * vector`` to `average`."""
        loop = _loop("blend", average.dtype)
        if loop is None:
            super().blend(average, vector, keep, rate)
        else:
            loop(average, vector, np.array([keep, rate], average.dtype))

    def gather(self, X, rows, out, cast):
        """Write ``X[rows]`` to `cast`, in one pass."""
        plain = X.dtype in NO_WEIGHT and X.flags.c_contiguous and X.ndim == 2
        loop = _loop("gather", cast.dtype, X.dtype) if plain else None
        if loop is None:
            return super().gather(X, rows, out, cast)
        loop(X, rows, cast)
        return cast

    def mean_and_gradient(self, loss, y, z, weight):
        """Return the mean loss and its gradient, of the losses that are loops in one pass."""
        gradient = np.empty(z.shape, z.dtype)
        name = smoothing = None
        if z.ndim == 2 and z.flags.c_contiguous:
            if type(loss) is LogLoss:
                name = "softmax_shift" if y.ndim == 1 and z.shape[1] > 1 else "label_log_loss"
                smoothing = loss.label_smoothing
            elif type(loss) is SquaredError:
                name, smoothing = "squared_error", 0.0
        loop = name and _loop(name, z.dtype)
        if not loop:
            self._do(self._plain_loss, loss, y, z, weight, gradient)
            return self._value[0], gradient
        if name == "label_log_loss":
            y, labels = np.empty(z.shape, z.dtype), y.reshape(len(y), -1)
            self._do(np.copyto, y, labels)
        weight = NO_WEIGHT[z.dtype] if weight is None else weight
        factors = np.array([smoothing, 1 / len(z)], z.dtype)
        self._do(loop, z, y, weight, factors, gradient, self._value)
        if name == "softmax_shift":
            self._do(np.exp, gradient, gradient)
            last = _loop("softmax_log_loss", z.dtype)
            self._do(last, gradient, y, weight, factors, self._value)
        return self._value[0], gradient

    def _plain_loss(self, loss, y, z, weight, gradient):
        self._value[0], gradient[...] = super().mean_and_gradient(loss, y, z, weight)
