"""Conversion between search spaces, which archives cannot store, and their descriptions."""

from collections.abc import Callable
from copy import copy
from numbers import Real
from typing import Any

__all__ = ["Described", "portable", "restored"]

SPACES = ("search_spaces", "param_distributions")
DIMENSIONS = ("Real", "Integer", "Categorical")
# The surrogate models of a Bayesian search contain references to themselves. They are needed only
# while the search runs, and the candidates and scores are in cv_results_.
LEFT_OUT = ("optimizers_", "_optim_results")


class Described:
    """The name and arguments of a scikit-optimize dimension or a SciPy distribution."""

    def __init__(self, family: str, name: str, args: Any, options: dict[str, Any]):
        self.family, self.name, self.args, self.options = family, name, list(args), dict(options)

    def make(self) -> Any:
        """Return the described object; raise ValueError if its name or arguments are not valid."""
        values = [*self.args, *self.options.values()]
        if (self.family, self.name) == ("dimension", "Categorical"):
            values = [value for value in values if not isinstance(value, list | tuple)]
        # Distributions would broadcast arrays.
        if not all(isinstance(value, str | Real | None) for value in values):
            raise ValueError(f"The arguments of {self.name!r} must be numbers, strings or None.")
        if self.family == "dimension" and self.name in DIMENSIONS:
            import skopt.space

            return getattr(skopt.space, self.name)(*self.args, **self.options)
        if self.family == "distribution":
            from scipy import stats

            made = getattr(stats, str(self.name), None)
            if isinstance(made, stats.rv_continuous | stats.rv_discrete):
                return made(*self.args, **self.options)
        raise ValueError(f"Unknown {self.family!r}: {self.name!r}.")


def _describe(value: Any) -> Any:
    package = type(value).__module__.partition(".")[0]
    name = type(value).__name__
    # SciPy's frozen distributions have the attribute `dist`.
    if package == "scipy" and hasattr(value, "dist"):
        return Described("distribution", value.dist.name, value.args, value.kwds)
    if package == "skopt" and name in DIMENSIONS:
        options = {"transform": value.transform_, "name": value.name}
        if name == "Categorical":
            return Described(
                "dimension", name, [value.categories], options | {"prior": value.prior}
            )
        options |= {"prior": value.prior, "base": value.base}
        return Described("dimension", name, [value.low, value.high], options)
    return value


def _replaced(value: Any, by: Callable[[Any], Any]) -> Any:
    """Return a copy of `value` with the items of nested dicts, lists and tuples replaced."""
    if isinstance(value, dict):
        return type(value)((key, _replaced(item, by)) for key, item in value.items())
    if type(value) in (list, tuple):
        return type(value)(_replaced(item, by) for item in value)
    return by(value)


def _with_spaces(estimator: Any, by: Callable[[Any], Any], leave_out: tuple[str, ...]) -> Any:
    """Return a shallow copy with replaced search spaces, including those of pipeline steps."""
    known = vars(estimator)
    if "steps" in known:
        estimator = copy(estimator)
        estimator.steps = [
            (name, _with_spaces(step, by, leave_out) if hasattr(step, "get_params") else step)
            for name, step in known["steps"]
        ]
    elif not known.keys().isdisjoint(SPACES):
        estimator = copy(estimator)
        for name in leave_out:
            vars(estimator).pop(name, None)
        for name in known.keys() & set(SPACES):
            setattr(estimator, name, _replaced(known[name], by))
    return estimator


def portable(estimator: Any) -> Any:
    """Return the estimator, or a copy of it, with search spaces that archives can store."""
    return _with_spaces(estimator, _describe, LEFT_OUT)


def restored(estimator: Any) -> Any:
    """Return the estimator, or a copy of it, with the search spaces before `portable`."""
    make = lambda value: value.make() if isinstance(value, Described) else value  # noqa: E731
    return _with_spaces(estimator, make, ())
