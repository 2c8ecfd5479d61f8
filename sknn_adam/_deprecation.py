"""What is to go, said two releases ahead: functions, classes and parameters.

The policy stands in CONTRIBUTING.md. Every call registers what it deprecates in `DEPRECATED`, and a
test fails once a release comes that should have removed it.
"""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from sknn_adam._validation import warn

__all__ = ["DEPRECATED", "deprecated", "renamed_parameter"]

F = TypeVar("F", bound=Callable[..., Any])

DEPRECATED: dict[str, str] = {}  # what -> the release that removes it


def _register(what: str, since: str, removed_in: str, instead: str) -> str:
    """Note it and return the message."""
    DEPRECATED[what] = removed_in
    return (
        f"{what} is deprecated since sknn_adam {since} and will be removed in {removed_in}. "
        f"Use {instead} instead."
    )


def deprecated(since: str, removed_in: str, instead: str) -> Callable[[F], F]:
    """Decorate a function, a method or a class that will go.

    Parameters
    ----------
    since, removed_in : str
        The release that begins to warn, and the one that removes it.
    instead : str
        What to use.

    Returns
    -------
    decorator : callable
        What it decorates warns with FutureWarning when it is called.
    """

    def decorate(target: F) -> F:
        message = _register(target.__qualname__, since, removed_in, instead)
        if isinstance(target, type):
            target.__init__ = _warning(target.__init__, message)  # type: ignore[misc]
            return cast(F, target)
        return _warning(target, message)

    return decorate


def _warning(function: F, message: str) -> F:
    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        warn(message, FutureWarning)
        return function(*args, **kwargs)

    return cast(F, wrapped)


def renamed_parameter(old: str, new: str, since: str, removed_in: str) -> Callable[[F], F]:
    """Decorate a function or method one of whose parameters has a new name.

    The old name goes on working as a keyword, with a FutureWarning; both at once are a TypeError.
    Estimators and components do without it: their constructors have no hidden parameters, and
    ``_renamed`` answers an old name with the new one.

    Parameters
    ----------
    old, new : str
        The names.
    since, removed_in : str
        The release that begins to warn, and the one that forgets the old name.

    Returns
    -------
    decorator : callable
        For the function, whose signature shows the new name only.
    """

    def decorate(function: F) -> F:
        what = f"The parameter {old!r} of {function.__qualname__}"
        message = _register(what, since, removed_in, repr(new))
        signature = inspect.signature(function)
        if new not in signature.parameters or old in signature.parameters:
            raise TypeError(f"{function.__qualname__}{signature} must have {new!r}, not {old!r}.")

        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if old in kwargs:
                given = signature.bind_partial(*args).arguments
                if new in kwargs or new in given:
                    raise TypeError(f"{function.__qualname__} got both {old!r} and {new!r}.")
                warn(message, FutureWarning)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return cast(F, wrapped)

    return decorate
