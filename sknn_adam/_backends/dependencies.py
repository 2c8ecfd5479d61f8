"""Dependencies of a recorded formula other than its arguments.

A formula is recorded once and then run without being called again. This is correct as long as the
attributes, global variables and variables of enclosing functions that it reads do not change. The
names in its bytecode show which values it reads. Numbers and other immutable values are stored and
later compared with the current ones. If one has changed, the recording is no longer used. Code that
reads any other value, or has side effects, is not recorded at all.
"""

import builtins
from collections.abc import Callable, Iterator
from dis import opmap
from functools import partial
from inspect import getattr_static
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

__all__ = ["Watch", "dependencies_of", "identity_of"]

# Global variables and classes of these packages are assumed not to change.
TRUSTED = {"builtins", "math", "numpy", "scipy", "sknn_adam"}
ATOMS = int, float, complex, str, bytes, type(None), np.generic, np.dtype, np.ufunc
PURE = {"abs", "bool", "float", "int", "len", "max", "min", "pow", "range", "round"}
PURE |= {"super", "tuple", "__class__", "__name__", "__doc__"}
# A formula that checks the type of its argument could treat arrays differently from tracers.
OF_TYPES = {"isinstance", "type"}
EFFECTS = {
    opmap[name]
    for name in ("IMPORT_NAME", "STORE_ATTR", "DELETE_ATTR", "STORE_GLOBAL", "DELETE_GLOBAL")
}
COMPUTED = {"__getattr__", "__getattribute__"}
MISSING = object()


class _Unwatchable(Exception):
    """Raised for code that has side effects or reads a value that cannot be watched."""


class Watch:
    """The values that a formula depends on, with functions that read them again."""

    def __init__(self) -> None:
        self.values: list[tuple[Callable[[], Any], Any]] = []
        self._seen: set[Any] = set()

    def changed(self) -> bool:
        """Return whether any of the values has changed."""
        for read, value in self.values:
            now = read()
            if now is not value and not (type(now) is type(value) and now == value):
                return True
        return False

    def function(self, function: Any, owner: Any = None) -> None:
        """Watch the values that a function, or a method of `owner`, reads."""
        if isinstance(function, MethodType):
            function, owner = function.__func__, function.__self__
        if isinstance(function, BuiltinFunctionType | np.ufunc):
            return self.value(function)
        if not isinstance(function, FunctionType):
            raise _Unwatchable
        if function in self._seen:
            return None
        self._seen.add(function)
        for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self.value(value)
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            # The compiler adds the cell `__class__` for super().
            if name != "__class__":
                self.read(partial(_contents, cell))
        names = set()
        for code in _code_objects(function.__code__):
            names |= set(code.co_names)
            operations = set(code.co_code[::2])
            if EFFECTS & operations:
                raise _Unwatchable
            if opmap["STORE_DEREF"] in operations and set(code.co_freevars) - {"__class__"}:
                raise _Unwatchable
        for name in names:
            self._name(name, function, owner)
        return None

    def _name(self, name: str, function: FunctionType, owner: Any) -> None:
        if name in function.__globals__:
            if not _is_trusted(function.__module__):
                self.read(partial(function.__globals__.get, name, MISSING))
        elif name in OF_TYPES and _is_trusted(function.__module__):
            pass
        elif name not in PURE and (hasattr(builtins, name) or name in ("__dict__", "__setattr__")):
            raise _Unwatchable
        if owner is None:
            return
        # All base classes are checked, because super() may reach any of them.
        for base in type(owner).__mro__:
            if not _is_trusted(base.__module__) and vars(base).keys() & COMPUTED:
                raise _Unwatchable
            attribute = vars(base).get(name)
            if isinstance(attribute, staticmethod | classmethod | FunctionType):
                self.function(getattr(attribute, "__func__", attribute), owner)
        attribute = getattr_static(owner, name, MISSING)
        # A descriptor may return a different value each time.
        if hasattr(type(attribute), "__get__") and not _is_trusted(type(attribute).__module__):
            raise _Unwatchable
        if isinstance(attribute, property):
            self.function(attribute.fget, owner)
        elif (
            not isinstance(attribute, staticmethod | classmethod | FunctionType)
            and attribute is not MISSING
        ):
            self.read(partial(getattr, owner, name, MISSING))

    def read(self, read: Callable[[], Any]) -> None:
        """Watch the value that `read` returns."""
        value = read()
        if isinstance(value, ModuleType) and _is_trusted(value.__name__):
            return
        if isinstance(value, FunctionType) and not _is_trusted(value.__module__):
            self.function(value)
        else:
            self.value(value)
        self.values.append((read, value))

    def value(self, value: Any) -> None:
        """Raise an error unless a value is immutable."""
        if isinstance(value, tuple):
            for element in value:
                self.value(element)
            return
        if isinstance(value, BuiltinFunctionType):
            known = value.__self__ is None or isinstance(value.__self__, ModuleType)
        elif isinstance(value, type | FunctionType | type(np.where)):
            known = _is_trusted(value.__module__)
        else:
            known = isinstance(value, ATOMS) or value is MISSING
        if not known:
            raise _Unwatchable


def _is_trusted(module: str | None) -> bool:
    return (module or "").split(".")[0] in TRUSTED


def _contents(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty
        return MISSING


def _code_objects(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code_objects(constant)


def dependencies_of(*functions: Any) -> Watch | None:
    """Return the dependencies of functions and methods, or None if they cannot be watched."""
    watch = Watch()
    try:
        for function in functions:
            watch.function(function)
    except _Unwatchable:
        return None
    return watch


def identity_of(function: Any) -> tuple[Any, type] | None:
    """Return an identifier of a function of this package, or None for other functions."""
    owner = getattr(function, "__self__", None)
    defined = function if owner is None else type(owner)
    if not defined.__module__.startswith("sknn_adam."):
        return None
    return getattr(function, "__func__", function), type(owner)
