"""The base class of all components: hyper-parameters, names and nested parameters.

A component is a small scikit-learn object with hyper-parameters and one formula. It never stores
training state, so it can be cloned, shared, put in a grid, printed and reused.
"""

import inspect
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, ClassVar, Self

from sklearn.base import BaseEstimator, clone

from sknn_adam._component.ranges import Choices, Range
from sknn_adam._component.registry import Table, did_you_mean


def overrides(cls: type, method: str, shortcut: str) -> bool:
    """Return whether a subclass overrides `method` but inherits its faster `shortcut`.

    The inherited shortcut would then bypass the overriding method.
    """
    definers = [next(c for c in cls.__mro__ if name in vars(c)) for name in (method, shortcut)]
    first, second = map(cls.__mro__.index, definers)
    return first < second


def _same(old: Any, new: Any) -> bool:
    if old is new:
        return True
    try:
        return bool(old == new)
    except ValueError:  # arrays have no single truth value
        return False


def _with_hints(cls: Any, init: Callable) -> Callable:
    """Wrap `init` so that the error for an unknown keyword argument suggests the right one."""
    signature = inspect.signature(init)

    @wraps(init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            init(self, *args, **kwargs)
        except TypeError:
            known = signature.parameters
            unknown = [name for name in kwargs if name not in known]
            if not unknown or any(p.kind is p.VAR_KEYWORD for p in known.values()):
                raise
            # A subclass with its own constructor may pass a wrong name on to this one.
            called = type(self) if type(self).__init__ is __init__ else cls
            raise TypeError(called._unexpected(unknown)) from None

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    return __init__


class NestedNames:
    """Mixin for nested parameters of components that are given by name or as an instance.

    It must come before BaseEstimator among the base classes. Plain scikit-learn can set
    ``optimizer__momentum`` only if ``optimizer`` is an object. Here ``get_params`` also lists the
    parameters of a component given by *name*, and setting one of them to another value replaces the
    name by an instance. Components are treated as values: a nested change replaces an instance by a
    changed copy, so that estimators, search candidates and threads can share one instance.
    """

    _tables: ClassVar[dict[str, Table]] = {}
    # Parameter names in other libraries, mapped to the names here (in single quotes), or to a
    # sentence about what to do without the parameter.
    _renamed: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _with_hints(cls, cls.__init__)  # type: ignore[method-assign]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get the parameters, including the nested parameters of names and instances.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include nested parameters (``optimizer__learning_rate``).

        Returns
        -------
        params : dict of str to object
            Parameter names mapped to their values.
        """
        params = super().get_params(deep=deep)  # type: ignore[misc]
        if deep:
            for name in self._tables:
                # A subclass may have fewer parameters.
                if name not in params:
                    continue
                component = self._component(name, params[name])
                if component is not None and component is not params[name]:
                    nested = component.get_params().items()
                    params.update((f"{name}__{key}", value) for key, value in nested)
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters, including nested ones given as ``<parameter>__<nested>``.

        Parameters
        ----------
        **params : dict
            Parameters by name. If a name is unknown, no parameter is set.

        Returns
        -------
        self : object
            The estimator itself.
        """
        values = self.get_params(deep=False)
        nested: dict[str, dict[str, Any]] = defaultdict(dict)
        for key, value in params.items():
            name, _, rest = key.partition("__")
            if name not in values:
                raise ValueError(self._unknown(key))
            if rest:
                nested[name][rest] = value
            else:
                values[name] = value
        for name, changes in nested.items():
            values[name] = self._with_nested(name, values[name], changes)
        for name, value in values.items():
            setattr(self, name, value)
        return self

    def _component(self, name: str, value: Any) -> Any:
        """Return the object that has the nested parameters of `value`, or None if there is none."""
        if hasattr(value, "get_params") and not isinstance(value, type):
            return value
        try:
            return self._tables[name].make(value)
        # Invalid values are reported when the estimator is fitted.
        except (KeyError, TypeError, ValueError):
            return None

    def _with_nested(self, name: str, value: Any, changes: dict[str, Any]) -> Any:
        component = self._component(name, value)
        if component is None:
            raise ValueError(
                f"Cannot set {', '.join(f'{name}__{key}' for key in changes)}: "
                f"{name}={value!r} has no nested parameters."
            )
        old = component.get_params(deep=True)
        for key in changes:
            if key not in old and key.partition("__")[0] not in old:
                hint = did_you_mean(key, old)
                if isinstance(component, NestedNames):
                    hint = component._hint(key, old, old)
                raise ValueError(
                    f"Invalid parameter {key!r} for {name}={value!r}.{hint} "
                    f"Valid parameters are: {sorted(old)!r}."
                )
        if all(key in old and _same(old[key], new) for key, new in changes.items()):
            return value
        return clone(component).set_params(**changes)

    @classmethod
    def _hint(cls, name: str, own: Iterable[str], known: Iterable[str]) -> str:
        """Return a sentence that suggests the intended parameter, or an empty string."""
        renamed = cls._renamed.get(name, "")
        named = re.findall(r"'(\w+)'", renamed)
        if renamed and not named:
            return f" {renamed}"
        if named and {key.partition("__")[0] for key in named} <= set(own):
            return f" {cls.__name__} has {renamed} instead."
        return did_you_mean(name, known)

    def _unknown(self, key: str) -> str:
        name = key.partition("__")[0]
        own = sorted(self.get_params(deep=False))
        return (
            f"Invalid parameter {name!r} for estimator {type(self).__name__}."
            f"{self._hint(name, own, self.get_params(deep=True))} Valid parameters are: {own!r}."
        )

    @classmethod
    def _unexpected(cls, unknown: list[str]) -> str:
        """Return the message for keyword arguments that the constructor does not have."""
        own = list(inspect.signature(cls).parameters)
        try:
            known = list(cls().get_params(deep=True))
        # The constructor of a user's class may require arguments.
        except Exception:
            known = own
        hints = [cls._hint(name, own, known) for name in unknown]
        nested = next((k for k in unknown if k in known), None)
        if nested:
            hints = [""]
        hint = "".join(dict.fromkeys(hints))
        what = "an unexpected keyword argument"
        if len(unknown) > 1:
            what = "unexpected keyword arguments"
        if nested or "__" in hint:
            example = nested or re.findall(r"'(\w+__\w+)'", hint)[0]
            hint += (
                f" The constructor does not take nested parameters: use "
                f"set_params({example}=...), or pass an instance as "
                f"'{example.partition('__')[0]}'."
            )
        return (
            f"{cls.__name__}() got {what} {', '.join(map(repr, unknown))}.{hint} "
            f"Valid parameters are: {sorted(own)!r}."
        )


class Component(NestedNames, BaseEstimator):
    """Base class of all components.

    The ``__init__`` of a subclass only assigns its hyper-parameters. ``_parameter_constraints``
    (optional) maps a parameter to constraints in the form of scikit-learn, which `validate` checks
    and ``__init__`` does not. ``ranges`` (optional) maps a parameter to the values worth searching
    (see `sknn_adam.search.search_space`).
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {}
    ranges: ClassVar[dict[str, Range | Choices]] = {}
    # Groups of method names; a subclass must define at least one method of each group.
    contract: ClassVar[tuple[tuple[str, ...], ...]] = ()
    guide: ClassVar[str] = "docs/design.md"
    _renamed: ClassVar[dict[str, str]] = {
        "lr": "'learning_rate'",
        "learning_rate_init": "'learning_rate'",
        "eta": "'learning_rate'",
        "step_size": "'learning_rate'",
        "eps": "'epsilon'",
        "betas": "'beta_1' and 'beta_2'",
        "beta1": "'beta_1'",
        "beta2": "'beta_2'",
        "b1": "'beta_1'",
        "b2": "'beta_2'",
        "decay_rate": "'rho'",
        "nesterovs_momentum": "'nesterov'",
        "negative_slope": "'slope'",
        "alpha": "'slope'",
        "std": "'deviation'",
        "stddev": "'deviation'",
        "factor": "'drop'",
        "gamma": "'drop'",
        "clipnorm": "'max_norm'",
        "clipvalue": "'max_value'",
    }

    def __init__(self) -> None:
        """Take no arguments; a subclass with hyper-parameters overrides this method."""

    def validate(self) -> None:
        """Check the hyper-parameters; an error names the component, parameter, range and value."""
        self._validate_params()
