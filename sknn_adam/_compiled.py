"""Formulas and loops compiled by Numba, and the files that keep them.

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
from sknn_adam._trace import Formula

__all__ = ["compiled", "loop"]

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


def compiled(write: Callable, formula: Formula | None, dtype: np.dtype, *options: Any) -> Any:
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


# Arguments of the loops: v, m and s are vectors, matrices and stacks of matrices that are written,
# V, M and S such that are read (and may be read-only), I are row numbers or codes, f is float64
# always. X is a table of the second dtype.
ARGUMENTS = {
    "add_bias": "sM",
    "blend": "vVV",
    "column_sums": "Sm",
    "gather": "XIm",
    "gather_columns": "XIm",
    "label_log_loss": "SMMVsf",
    "outer": "SSs",
    "penalize": "VIVvf",
    "softmax_log_loss": "sIMVf",
    "softmax_shift": "SIMVsf",
    "squared_error": "SMMVsf",
}


@cache
def loop(name: str, dtype: np.dtype, other: Any = None) -> Any:
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
        dimensions = {"m": 2, "M": 2, "X": 2, "s": 3, "S": 3}.get(letter, 1)
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
