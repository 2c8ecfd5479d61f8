"""The dependencies of a recorded formula besides its arguments: a change of one ends its use.

A formula is recorded once and run without being called again. That is right as long as the code
reads nothing that changes: attributes, global variables, variables of an enclosing function. The
names in the code show what it reads. Numbers and other immutable values are remembered and compared
with later ones. Code that reads anything else, or writes anything, is not recorded at all.
"""

import builtins
from collections.abc import Callable, Iterator
from dis import opmap
from functools import partial
from inspect import getattr_static
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

__all__ = ["Watch", "dependencies_of"]

# Modules and classes of these packages hold nothing that changes the result of a formula.
TRUSTED = {"builtins", "math", "numpy", "scipy", "sknn_adam"}
ATOMS = int, float, complex, str, bytes, type(None), np.generic, np.dtype, np.ufunc
PURE = {"abs", "bool", "float", "int", "len", "max", "min", "pow", "range", "round"}
PURE |= {"super", "tuple", "__class__", "__name__", "__doc__"}
# A formula that asks for the type of its argument may treat arrays in another way than tracers.
OF_TYPES = {"isinstance", "type"}
EFFECTS = {
    opmap[name]
    for name in ("IMPORT_NAME", "STORE_ATTR", "DELETE_ATTR", "STORE_GLOBAL", "DELETE_GLOBAL")
}
COMPUTED = {"__getattr__", "__getattribute__"}
MISSING = object()


class _Unwatchable(Exception):
    """The code reads what cannot be compared with a later value, or it writes something."""


class Watch:
    """Values that a formula depends on, and how to read them again."""

    def __init__(self) -> None:
        self.values: list[tuple[Callable[[], Any], Any]] = []
        self._seen: set[Any] = set()

    def changed(self) -> bool:
        """Return whether any of the values is another one now."""
        for read, value in self.values:
            now = read()
            if now is not value and not (type(now) is type(value) and now == value):
                return True
        return False

    def function(self, function: Any, owner: Any = None) -> None:
        """Watch what a function reads, as a method of `owner`."""
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
            if name != "__class__":  # of super()
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
        for base in type(owner).__mro__:  # super() may reach any of them
            if not _is_trusted(base.__module__) and vars(base).keys() & COMPUTED:
                raise _Unwatchable
            found = vars(base).get(name)
            if isinstance(found, staticmethod | classmethod | FunctionType):
                self.function(getattr(found, "__func__", found), owner)
        found = getattr_static(owner, name, MISSING)
        if hasattr(type(found), "__get__") and not _is_trusted(type(found).__module__):
            raise _Unwatchable  # a descriptor may return something else each time
        if isinstance(found, property):
            self.function(found.fget, owner)
        elif (
            not isinstance(found, staticmethod | classmethod | FunctionType)
            and found is not MISSING
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
        """Raise unless a value is immutable."""
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
    """Return the dependencies of functions and methods; None if they cannot be watched."""
    found = Watch()
    try:
        for function in functions:
            found.function(function)
    except _Unwatchable:
        return None
    return found
