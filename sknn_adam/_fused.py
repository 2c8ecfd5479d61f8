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
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from sknn_adam import _loops
from sknn_adam._kernels import NumpyKernels
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
# read (and may be read-only), I are row numbers or codes. X is a table of the second dtype.
ARGUMENTS = {
    "add_bias": "mV",
    "blend": "vVV",
    "column_sums": "Mv",
    "gather": "XIm",
    "label_log_loss": "MMVVm",
    "penalize": "VVv",
    "penalize_blocks": "VIVvv",
    "softmax_log_loss": "MIVVm",
    "squared_error": "MMVVm",
}
_loops_compiled: dict[tuple, Any] = {}


def _loop(name: str, dtype: np.dtype, other: Any = None) -> Any:
    """Return a loop of `_loops` compiled for a dtype, None if it cannot be."""
    key = name, dtype, other
    if key not in _loops_compiled:
        try:
            _loops_compiled[key] = _compile_loop(name, dtype, other or dtype)
        except Exception:  # NumPy can
            _loops_compiled[key] = None
    return _loops_compiled[key]


def _compile_loop(name: str, dtype: np.dtype, other: np.dtype) -> Any:
    import numba
    from numba import types

    def typed(letter):
        kind = {"I": types.int64, "X": numba.from_dtype(other)}.get(letter)
        dimensions = 2 if letter in "mMX" else 1
        kind = numba.from_dtype(dtype) if kind is None else kind
        return types.Array(kind, dimensions, "C", readonly=letter.isupper())

    signature = tuple(typed(letter) for letter in ARGUMENTS[name])
    options: Any = {"nogil": True, "error_model": "numpy"}
    if name.startswith("penalize"):
        options["fastmath"] = {"reassoc"}
    try:
        return numba.njit([signature], cache=True, **options)(getattr(_loops, name))
    except Exception:  # no folder for the cache can be written, or it is damaged
        return numba.njit([signature], **options)(getattr(_loops, name))


NO_WEIGHT = {np.dtype(t): np.empty(0, t) for t in (np.float32, np.float64)}


def _plain(*arrays: np.ndarray) -> bool:
    """Whether the loops can run over these arrays."""
    dtype = arrays[0].dtype
    return dtype in NO_WEIGHT and all(
        a.flags.c_contiguous and a.dtype == dtype and a.flags.writeable for a in arrays
    )


class FusedKernels(NumpyKernels):
    """Formulas as fused loops where they can be written as such, else as NumPy runs them."""

    name = "fused"

    def __init__(self) -> None:
        super().__init__()
        self._kernels: dict[Any, Any] = {}
        self._outputs: dict[Any, np.ndarray] = {}

    def update(self, rule, theta, grad, slots, scalars, keep=1.0):
        """Do the step of an optimizer in one pass over its vectors."""
        key = rule, theta.dtype
        if key not in self._kernels:
            formula = record_rule(rule, len(slots), len(scalars), theta.dtype)
            self._kernels[key] = _compile(update_loop, formula, theta.dtype)
        kernel = self._kernels[key]
        if kernel is None or not _plain(theta, grad, *slots):
            super().update(rule, theta, grad, slots, scalars, keep)
        else:
            kernel(theta, grad, *slots, np.array([*scalars, keep], theta.dtype))

    def add_bias(self, z, b):
        """Add `b` to every row of `z`, in place."""
        loop = _loop("add_bias", z.dtype)
        if z.ndim == 3:
            for m in range(len(z)):
                self.add_bias(z[m], b[m])
        elif loop is None or z.ndim != 2:
            super().add_bias(z, b)
        else:
            loop(z, b)

    def activate(self, activation, z, b, out):
        """Add the bias and write the activation, in one pass where that is faster."""
        in_place = out is z
        if z.ndim == 3:
            for m in range(len(z)):
                own = z[m]
                bias = None if b is None else b[m]
                self.activate(activation, own, bias, own if in_place else out[m])
            return
        key = activation, in_place, z.dtype
        if key not in self._kernels:
            formula = record(activation, 1, dtype=z.dtype)
            self._kernels[key] = _compile(activate_loop, formula, z.dtype, in_place)
        kernel = self._kernels[key]
        if kernel is None or z.ndim != 2 or b is None:
            super().activate(activation, z, b, out)
        elif in_place:
            kernel(z, b)
        else:
            kernel(z, b, out)

    def chain(self, derivative, g, z, a, sums=None):
        """Multiply by the derivative and sum the columns, in one pass."""
        if g.ndim == 3:
            for m in range(len(g)):
                own = None if z is None else z[m]
                self.chain(derivative, g[m], own, a[m], None if sums is None else sums[m])
            return
        key = derivative, z is None, g.dtype
        if key not in self._kernels:
            lacks = (0,) if z is None else ()
            formula = record(derivative, 2, dtype=g.dtype, lacks=lacks)
            self._kernels[key] = _compile(chain_loop, formula, g.dtype, z is not None)
        kernel = self._kernels[key]
        if kernel is None or g.ndim != 2 or sums is None or not g.flags.c_contiguous:
            super().chain(derivative, g, z, a, sums)
        elif z is None:
            kernel(g, a, sums)
        else:
            kernel(g, z, a, sums)

    def column_sums(self, g, out):
        """Write the sums of `g` over the rows to `out`."""
        loop = _loop("column_sums", g.dtype)
        if g.ndim == 3:
            for m in range(len(g)):
                self.column_sums(g[m], out[m])
        elif loop is None or g.ndim != 2 or not g.flags.c_contiguous:
            super().column_sums(g, out)
        else:
            loop(g, out)

    def penalize(self, theta, grad, l2, l1):
        """Return the penalty and add its gradient, in one pass."""
        loop = _loop("penalize", theta.dtype)
        if loop is None:
            return super().penalize(theta, grad, l2, l1)
        return float(loop(theta, np.array([l2, l1], theta.dtype), grad))

    def penalize_blocks(self, theta, bounds, grad, l2, l1):
        """Return the penalties of blocks and add their gradients, in one pass."""
        loop = _loop("penalize_blocks", theta.dtype)
        if loop is None:
            return super().penalize_blocks(theta, bounds, grad, l2, l1)
        values = np.empty(len(bounds) - 1, theta.dtype)
        loop(theta, bounds, np.array([l2, l1], theta.dtype), grad, values)
        return values

    def blend(self, average, vector, keep, rate):
        """Write ``keep * average + rate * vector`` to `average`."""
        loop = _loop("blend", average.dtype)
        if loop is None:
            super().blend(average, vector, keep, rate)
        else:
            loop(average, vector, np.array([keep, rate], average.dtype))

    def gather(self, X, rows, out, cast):
        """Return ``X[rows]`` in `cast`, in one pass."""
        plain = X.dtype in NO_WEIGHT and X.flags.c_contiguous and X.ndim == 2
        loop = _loop("gather", cast.dtype, X.dtype) if plain else None
        if loop is None:
            return super().gather(X, rows, out, cast)
        cast = cast[: len(rows)]
        loop(X, rows, cast)
        return cast

    def mean_and_gradient(self, loss, y, z, weight):
        """Return the mean loss and its gradient, of the losses that are loops in one pass."""
        smoothing = 0.0
        if type(loss) is LogLoss and y.ndim == 1 and z.shape[-1] > 1:
            name, smoothing = "softmax_log_loss", loss.label_smoothing
        elif type(loss) is LogLoss:
            name, smoothing = "label_log_loss", loss.label_smoothing
            y = y.reshape(len(y), -1).astype(z.dtype, copy=False)
        elif type(loss) is SquaredError:
            name = "squared_error"
        else:
            return super().mean_and_gradient(loss, y, z, weight)
        loop = _loop(name, z.dtype)
        if loop is None or z.ndim not in (2, 3) or not z.flags.c_contiguous:
            return super().mean_and_gradient(loss, y, z, weight)
        key = z.shape, z.dtype
        gradient = self._outputs.get(key)
        if gradient is None:
            if len(self._outputs) > 1:  # full batches and the last one
                self._outputs.clear()
            gradient = self._outputs[key] = np.empty_like(z)
        weight = NO_WEIGHT[z.dtype] if weight is None else weight
        n_rows = z.shape[-2]
        factors = np.array([smoothing, 1 / n_rows], z.dtype)
        if z.ndim == 2:
            return loop(z, y, weight, factors, gradient) / n_rows, gradient
        values = np.empty(len(z))
        for m in range(len(z)):
            own = weight[m] if weight.ndim == 2 else weight
            values[m] = loop(z[m], y, own, factors, gradient[m])
        return values / n_rows, gradient
