"""Names of components, and conversion of parameter values to components."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from numbers import Real
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sknn_adam._component.base import Component

__all__ = ["Table", "did_you_mean"]


def did_you_mean(name: str, known: Iterable[str], familiar: Mapping[str, str] | None = None) -> str:
    """Return ``" Did you mean 'adam'?"`` for the closest known name, or an empty string.

    `familiar` maps names used in other libraries to the known names with the same meaning.
    """
    text, known = re.sub(r"[\W_]+", "_", str(name).lower()), list(known)
    same = (familiar or {}).get(text)
    longer = [k for k in known if k.startswith(f"{text}_") and "__" not in k]
    found = [same] if same in known else longer[:2]
    found = found or get_close_matches(str(name).lower(), known, n=1)
    return f" Did you mean {' or '.join(map(repr, found))}?" if found else ""


class Table(Mapping):
    """The names of one family of components, with conversion of parameter values to instances.

    Parameters
    ----------
    family : str
        The name of the family in messages, such as ``"optimizer"``.
    base : type
        The class that the user's instances must inherit from.
    entries : dict of str to callable
        For each name, a function that makes a new component.
    from_number : callable, optional
        A function that makes a component from a plain number (``gradient_clip=1.0``).
    optional : bool, default=False
        Whether None is allowed and means "no such component".
    familiar : dict of str to str, optional
        Names used in other libraries, mapped to the names that error messages suggest.
    """

    def __init__(
        self,
        family: str,
        base: "type[Component]",
        entries: "dict[str, Callable[[], Component]]",
        from_number: "Callable[[Any], Component] | None" = None,
        optional: bool = False,
        familiar: "dict[str, str] | None" = None,
    ):
        self.family, self.base, self.entries = family, base, entries
        self.from_number, self.optional, self.familiar = from_number, optional, familiar or {}

    def __getitem__(self, name: str) -> "Callable[[], Component]":
        return self.entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def make(self, value: Any) -> "Component":
        """Return a new component for a name or a number; return an instance unchanged."""
        if isinstance(value, self.base):
            return value
        if isinstance(value, str):
            if value in self.entries:
                return self.entries[value]()
            hint = did_you_mean(value, self.entries, self.familiar)
            raise ValueError(
                f"'{value}' is not a known {self.family}.{hint} "
                f"Known names: {', '.join(self.entries)}."
            )
        if self.from_number and isinstance(value, Real) and not isinstance(value, bool):
            return self.from_number(value)
        allowed = f"a name ({', '.join(self.entries)}) or an instance of {self.base.__name__}"
        allowed += ", a number" * bool(self.from_number) + ", or None" * self.optional
        hint = " Pass an instance, not the class." if isinstance(value, type) else ""
        raise TypeError(f"The {self.family} must be {allowed}. Got {value!r} instead.{hint}")

    def resolve(self, value: Any) -> Any:
        """Return a validated instance for `value`; return None for None if that is allowed."""
        if value is None and self.optional:
            return None
        component = self.make(value)
        for group in self.base.contract:
            if all(_inherited(component, self.base, method) for method in group):
                raise TypeError(
                    f"{type(component).__name__} must implement "
                    f"{' or '.join(map(repr, group))}. See {self.base.guide}."
                )
        component.validate()
        return component


def _inherited(component: "Component", base: type, method: str) -> bool:
    return getattr(type(component), method, None) is getattr(base, method, None)
