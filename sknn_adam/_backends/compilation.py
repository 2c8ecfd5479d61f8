"""Compilation of formulas and loops by Numba, with a cache on disk.

The cache directory of the user contains source files, named by a hash of their content and of the
versions of Numba and NumPy. Numba stores the machine code next to them, and worker processes share
both. Because the machine code is executed, a directory that other users could write to is not used
(see `_utils.files.private_directory`).
"""

import hashlib
import os
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from sknn_adam._backends import loops as _loops
from sknn_adam._backends.tracing import Formula
from sknn_adam._utils.files import private_directory, replacing

__all__ = ["compiled", "loop"]

SOURCE = """import numpy as np

ONE, ZERO = np.{dtype}(1), np.{dtype}(0)
{constants}


def kernel({arguments}):
"""
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
# One thread compiles at a time. Threads that need the same loop would otherwise compile it
# repeatedly, and replace the module in which Numba looks it up.
_compiling = threading.Lock()


def _folder() -> Path | None:
    """Return the cache directory, or None if other users could write to it."""
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        if os.path.isabs(base := os.environ.get(variable, "")):
            return private_directory(base, "sknn_adam")
    return private_directory(os.path.join(os.path.expanduser("~"), ".cache"), "sknn_adam")


def _source_file(text: str, prefix: str) -> Path | None:
    """Return the cache file of a source, written if missing; None if it cannot be cached."""
    folder = _folder()
    if folder is None:
        return None
    text = f"{text}\n# {_versions()}; safe to delete.\n"
    path = folder / f"{prefix}_{hashlib.sha256(text.encode()).hexdigest()[:24]}.py"
    try:
        if path.read_bytes() == text.encode():
            return path
    except OSError:
        pass
    try:
        with replacing(path, 0o600) as file:
            file.write(text.encode())
    except OSError:
        return None
    return path


@cache
def _versions() -> str:
    import numba

    return f"Written by sknn_adam for numba {numba.__version__}, numpy {np.__version__}"


def _jit(function: Callable, signature: Any, path: Path | None, **options: Any) -> Any:
    """Compile a function for a signature; cache the machine code next to the file `path`."""
    import numba

    if path is not None:
        try:
            kernel = numba.njit(**OPTIONS, **options)(function)
            if _cache_beside(kernel, path):
                return _compile(kernel, signature, path)
        # The cache may be damaged, or the disk full.
        except Exception:
            pass
    kernel = numba.njit(**OPTIONS, **options)(function)
    return _compile(kernel, signature, None)


def _cache_beside(kernel: Any, path: Path) -> bool:
    """Make Numba cache a kernel next to its source; return whether it will.

    A configured cache directory (``NUMBA_CACHE_DIR``) would otherwise take precedence.
    """
    import numba

    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, ""
    try:
        kernel.enable_caching()
    finally:
        config.CACHE_DIR = before
    return Path(kernel.stats.cache_path) == path.parent / "__pycache__"


def _compile(kernel: Any, signature: Any, path: Path | None) -> Any:
    kernel.compile(signature)
    kernel.disable_compile()
    if path is not None and sum(kernel.stats.cache_misses.values()):
        for file in (path.parent / "__pycache__").glob(f"{path.stem}.*.nb?"):
            # With a permissive umask, other users could write to these files, and the next process
            # would delete them.
            if file.stat().st_mode & 0o022:
                file.chmod(0o600)
    return kernel


# The compiled kernels of this process, by source and signature.
_loaded: dict[str, Any] = {}


def _load(source: str, signature: str) -> Any:
    """Return the function ``kernel`` defined in a source, compiled for a signature."""
    key = f"{source}# {signature}"
    if key not in _loaded:
        with _compiling:
            # Another thread may have compiled it in the meantime.
            if key not in _loaded:
                _loaded[key] = _compile_source(source, key, signature)
    return _loaded[key]


def _compile_source(source: str, key: str, signature: str) -> Any:
    path = _source_file(key, "kernel")
    name = f"kernel_{hashlib.sha256(key.encode()).hexdigest()}" if path is None else path.stem
    # Numba looks up the module by name when it loads machine code. The source is executed rather
    # than imported, because an import would prefer bytecode next to the file.
    module: Any = ModuleType(name)
    sys.modules[name] = module
    exec(compile(source, str(path or f"<{name}>"), "exec"), vars(module))
    return _jit(module.kernel, signature, path)


def compiled(write: Callable, formula: Formula | None, dtype: np.dtype, *options: Any) -> Any:
    """Return the compiled loop of a formula, or None if it is unsupported or Numba is missing."""
    if formula is None or dtype not in (np.float32, np.float64):
        return None
    try:
        constants, arguments, types, body = write(formula, dtype, *options)
        head = SOURCE.format(dtype=dtype, constants=constants, arguments=arguments)
        return _load(head + "".join(f"    {line}\n" for line in body), f"void({types})")
    # If Numba or the disk fails, the formula runs in NumPy.
    except Exception:
        return None


# Types of the loops' arguments. v, m and s are vectors, matrices and stacks of matrices that a loop
# writes to. V, M and S are only read and may be read-only. I is a vector of row indices or class
# codes, f is a float64 vector that a loop writes to, and X is a table of the second dtype.
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
    "squared_error": "SSMVsf",
}


@cache
def loop(name: str, dtype: np.dtype, other: Any = None) -> Any:
    """Return a loop of `loops` compiled for a dtype, or None if it cannot be compiled."""
    try:
        with _compiling:
            return _compile_loop(name, dtype, other or dtype)
    # The caller falls back to NumPy.
    except Exception:
        return None


# The cache of `loop` does not prevent two threads from calling it at the same time.
@cache
def _compile_loop(name: str, dtype: np.dtype, other: np.dtype) -> Any:
    import numba
    from numba import types

    def typed(letter: str) -> Any:
        element = {"I": types.int64, "f": types.float64, "X": numba.from_dtype(other)}.get(letter)
        dimensions = {"m": 2, "M": 2, "X": 2, "s": 3, "S": 3}.get(letter, 1)
        element = numba.from_dtype(dtype) if element is None else element
        return types.Array(element, dimensions, "C", readonly=letter.isupper())

    signature = tuple(typed(letter) for letter in ARGUMENTS[name])
    options: Any = {"fastmath": {"reassoc"}} if name == "penalize" else {}
    function: Any = getattr(_loops, name)
    path = _file_of_loops()
    if path is not None:
        code = function.__code__.replace(co_filename=str(path))
        function = FunctionType(code, vars(_loops), name)
    return _jit(function, signature, path, **options)


@cache
def _file_of_loops() -> Path | None:
    """Return the cached copy of `loops`; Numba stores the machine code next to it."""
    try:
        source = _loops.__loader__.get_source(_loops.__name__)  # type: ignore[union-attr]
    except (AttributeError, ImportError, OSError):
        return None
    # The source is None if only bytecode is installed.
    return source and _source_file(source, "loops")
