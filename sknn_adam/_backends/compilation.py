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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from sknn_adam._backends import loops, normalizing
from sknn_adam._backends.codegen import Loop, Unwritable
from sknn_adam._backends.draws import drop
from sknn_adam._backends.elementary import NAMES, definitions, functions
from sknn_adam._backends.kernels import Argument, Kernel
from sknn_adam._backends.products import Product
from sknn_adam._backends.tracing import Formula
from sknn_adam._utils.files import private_directory, replacing

__all__ = ["announcing", "formula_kernel", "loop_kernel", "player"]

SOURCE = """import numpy as np

ONE, ZERO = np.{dtype}(1), np.{dtype}(0)


def body({names}):
"""
LOOPS = {
    name: getattr(module, name) for module in (loops, normalizing) for name in module.__all__
} | {"drop": drop}
OPTIONS: dict[str, Any] = {"error_model": "numpy"}
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


def _cache_beside(compiled: Any, path: Path) -> bool:
    """Make Numba cache a function next to its source; return whether it will.

    A configured cache directory (``NUMBA_CACHE_DIR``) would otherwise take precedence.
    """
    import numba

    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, ""
    try:
        compiled.enable_caching()
    finally:
        config.CACHE_DIR = before
    return Path(compiled._cache.cache_path) == path.parent / "__pycache__"


def _make_private(path: Path) -> None:
    """Remove the write permission of others from the cached machine code of a source.

    With a permissive umask, other users could write to these files, and the next process would
    delete them.
    """
    for file in (path.parent / "__pycache__").glob(f"{path.stem}.*.nb?"):
        if file.stat().st_mode & 0o022:
            file.chmod(0o600)


def _with_cache(make: Callable[[], Any], finish: Callable[[Any], Any], path: Path | None) -> Any:
    """Return a compiled function, cached next to the file `path` if possible."""
    if path is not None:
        try:
            function = make()
            if _cache_beside(function, path):
                finish(function)
                _make_private(path)
                return function
        # The cache may be damaged, or the disk full. Compile without it.
        except Exception:
            pass
    function = make()
    finish(function)
    return function


def _module(source: str, path: Path | None, names: dict[str, Any]) -> ModuleType:
    """Return a module with this source and these names."""
    name = path.stem if path else f"kernel_{hashlib.sha256(source.encode()).hexdigest()}"
    # Numba looks up the module by name when it loads machine code. The source is executed rather
    # than imported, because an import would prefer bytecode next to the file.
    module = sys.modules[name] = ModuleType(name)
    vars(module).update(names)
    exec(compile(source, str(path or f"<{name}>"), "exec"), vars(module))
    return module


def _entry(arguments: Sequence[Argument]) -> str:
    """Return the source of the function that reads the arrays of `body` from a block of integers.

    An array takes up its address and its shape. The address of a stream is that of its slot.
    """
    lines, at = [], 0
    for i, argument in enumerate(arguments):
        address = f"block[{at}]"
        if argument.moves:
            address = f"carray(pointer({address}, WORD), 1)[0]"
        shape = ", ".join(f"block[{at + d}]" for d in range(1, len(argument.sizes) + 1))
        lines.append(f"    x{i} = carray(pointer({address}, T{i}), ({shape},))")
        at += 1 + len(argument.sizes)
    names = ", ".join(f"x{i}" for i in range(len(arguments)))
    head = ["def kernel(address):", f"    block = carray(pointer(address, WORD), {at})"]
    return "\n".join([*head, *lines, f"    body({names})", ""])


# How to announce a compilation in the current thread.
_announcement = threading.local()


@contextmanager
def announcing(show: Callable[[str], Any]) -> Iterator[None]:
    """Within this context, call `show` with a message before the first compilation."""
    _announcement.show = show
    try:
        yield
    finally:
        _announcement.show = None


def _announce(path: Path | None) -> None:
    """Announce a compilation unless the machine code of a source is in the cache."""
    show = getattr(_announcement, "show", None)
    if show is None:
        return
    if path is None or not any((path.parent / "__pycache__").glob(f"{path.stem}.*.nbc")):
        _announcement.show = None
        show("Numba compiles the loops of this fit, which takes a few seconds." + KEPT * bool(path))


KEPT = " Later fits, also of other processes, reuse them."

# The kernels of this process.
_loaded: dict[Any, Kernel | None] = {}


def _once(key: Any, compile_it: Callable[[], Kernel]) -> Kernel | None:
    """Return the kernel for a key, compiled in the first call; None if this fails."""
    if key not in _loaded:
        with _compiling:
            # Another thread may have compiled it in the meantime.
            if key not in _loaded:
                try:
                    _loaded[key] = compile_it()
                # The caller falls back to NumPy.
                except Exception:
                    _loaded[key] = None
    return _loaded[key]


def _compile_kernel(
    name: str,
    source: str,
    body: Callable | None,
    arguments: Sequence[Argument],
    dtypes: Sequence[np.dtype],
    options: dict[str, Any],
) -> Kernel:
    """Compile a kernel.

    Parameters
    ----------
    name : str
        The name of the kernel, for messages.
    source : str
        The text that determines the machine code, and the name of the cached file. It defines the
        function ``kernel`` and, unless `body` is given, the function ``body``.
    body : callable, optional
        The loop over the arrays.
    arguments, dtypes : sequence
        The arguments of the loop and their dtypes.
    options : dict
        Options of Numba.
    """
    import numba
    from numba import carray, types
    from numba.core.ccallback import CFunc
    from numba.core.sigutils import normalize_signature

    from sknn_adam._backends import intrinsics

    source = f"{source}\n# intrinsics {_hash_of(intrinsics)}\n"
    path = _source_file(source, "kernel")
    _announce(path)
    names = {f"T{i}": numba.from_dtype(dtype) for i, dtype in enumerate(dtypes)}
    names |= {"carray": carray, "WORD": types.int64}
    names |= {name: getattr(intrinsics, name) for name in intrinsics.OF_KERNELS}
    module: Any = _module(source, path, names)
    module.body = numba.njit(inline="always", **OPTIONS, **options)(body or module.body)

    signature = normalize_signature(types.void(types.int64))

    def make() -> Any:
        target = {"nopython": True, **OPTIONS, **options}
        return CFunc(module.kernel, signature, {}, target)

    compiled = _with_cache(make, lambda function: function.compile(), path)
    return Kernel(name, compiled.address, arguments, dtypes, compiled)


def formula_kernel(
    write: Callable, formula: Formula | None, dtype: np.dtype, *options: Any
) -> Kernel | None:
    """Return the kernel that ``write(formula, dtype, *options)`` defines, if this is possible."""
    try:
        loop: Loop | None = write(formula, dtype, *options) if formula else None
    except Unwritable:
        loop = None
    if loop is None:
        return None
    arguments = [Argument.parse(text) for text in loop.arguments]
    text = "".join(loop.lines)
    source = definitions([name for name in NAMES if f" {name}(" in text], dtype)
    source += SOURCE.format(dtype=dtype, names=", ".join(loop.names))
    source += "".join(f"    {line}\n" for line in loop.lines) + "\n\n" + _entry(arguments)
    dtypes = [argument.dtype(dtype, dtype) for argument in arguments]
    kernel = _once(
        source, lambda: _compile_kernel(write.__name__, source, None, arguments, dtypes, {})
    )
    return None if kernel is None else kernel.with_constants(loop.constants)


def loop_kernel(name: str, dtype: np.dtype, other: np.dtype | None = None) -> Kernel | None:
    """Return the kernel of a loop for two dtypes, or None if it cannot be compiled."""
    dtype, other = np.dtype(dtype), np.dtype(other or dtype)
    body: Any = LOOPS[name]
    used = [name for name in body.__code__.co_names if name in NAMES]
    dtypes = [argument.dtype(dtype, other) for argument in body.arguments]
    options = {"fastmath": body.fastmath} if body.fastmath else {}

    def compile_it() -> Kernel:
        kinds = ", ".join(map(str, dtypes))
        text = _hash_of(sys.modules[body.__module__])
        source = f"# {name}({kinds}) {text}\n{definitions(used, dtype)}\n{_entry(body.arguments)}"
        names = vars(sys.modules[body.__module__]) | (functions(dtype.name) if used else {})
        loop = FunctionType(body.__code__, names, name)
        return _compile_kernel(name, source, loop, body.arguments, dtypes, options)

    return _once((name, dtype, other), compile_it)


@cache
def _hash_of(module: ModuleType) -> str:
    """Return a hash of a module's code; Numba does not notice that another file changed."""
    try:
        source = module.__loader__.get_source(module.__name__)  # type: ignore[union-attr]
        code = source.encode()
    # Only bytecode may be installed.
    except (AttributeError, ImportError, OSError):
        functions = [value for value in vars(module).values() if isinstance(value, FunctionType)]
        code = b"".join(function.__code__.co_code for function in functions)
    return hashlib.sha256(code).hexdigest()


@cache
def player() -> tuple[Any, Product] | None:
    """Return ``play`` and the kernel of products, or None if they cannot be compiled."""
    with _compiling:
        try:
            return _compile_player()
        # The caller falls back to NumPy.
        except Exception:
            return None


# The cache of `player` does not prevent two threads from calling it at the same time.
@cache
def _compile_player() -> tuple[Any, Product]:
    from numba import float64, int64, njit, void
    from numba.core.ccallback import CFunc
    from numba.core.sigutils import normalize_signature

    from sknn_adam._backends import intrinsics, player

    table = int64[:, ::1]
    outputs = float64[:, :], float64, float64[:, :, ::1]
    signature = int64(table, table, table, int64[::1], *outputs)
    text = f"# The loops of player {_hash_of(player)}, intrinsics {_hash_of(intrinsics)}"
    path = _source_file(text, "player")
    _announce(path)

    def moved(function: Any) -> Any:
        code = function.__code__.replace(co_filename=str(path or function.__code__.co_filename))
        return FunctionType(code, vars(player), function.__name__)

    def finish(dispatcher: Any) -> None:
        dispatcher.compile(signature)
        dispatcher.disable_compile()

    play = _with_cache(partial(njit(nogil=True, **OPTIONS), moved(player.play)), finish, path)
    of_kernel: Any = normalize_signature(void(int64)), {}, {"nopython": True, **OPTIONS}
    entry = partial(CFunc, moved(player.multiply_matrices), *of_kernel)
    multiply = _with_cache(entry, CFunc.compile, path)
    return play, Product(multiply.address, multiply)
