"""Distributions and dimensions that name the method which each search needs."""

from functools import cache
from typing import Any

from sknn_adam._component.ranges import Range

__all__ = ["Dimension", "Frozen", "distribution_over", "with_advice"]


def distribution_over(declared: Range) -> Any:
    """Return a frozen SciPy distribution over a range."""
    from scipy.stats import loguniform, uniform

    low, high = declared.low, declared.high
    frozen = loguniform(low, high) if declared.log else uniform(low, high - low)
    return with_advice(frozen, Frozen)


def with_advice(entry: Any, mixin: type) -> Any:
    """Return the entry of a search space with the methods of a mixin."""
    entry.__class__ = _subclass(mixin, entry.__class__)
    return entry


# The cache keeps equal dimensions equal: scikit-optimize compares their classes.
@cache
def _subclass(mixin: type, base: type) -> type:
    # Archives recognize the class by its name and module.
    return type(base.__name__, (mixin, base), {"__module__": base.__module__})


class Advice:
    """Mixin for an entry of a search space. Searches that do not accept it quote its repr."""

    method: str

    def shown(self) -> str:
        """Return the repr of the entry without the advice."""
        return super().__repr__()

    def __repr__(self) -> str:
        return (
            f"<{self.shown()} of search_space(..., method={self.method!r}); grid searches need "
            "method='grid', random searches method='random', BayesSearchCV method='bayes'>"
        )

    # Copies and pickles do not depend on this package.
    def __reduce__(self) -> Any:
        return object.__new__, (type(self).__bases__[1],), vars(self)


class Frozen(Advice):
    """Mixin for distributions of SciPy."""

    method = "random"
    dist: Any
    args: tuple

    def shown(self) -> str:
        """Return the name of the distribution and its arguments."""
        return f"{self.dist.name}({', '.join(f'{value:.6g}' for value in self.args)})"


class Dimension(Advice):
    """Mixin for dimensions of scikit-optimize."""

    method = "bayes"

    def rvs(self, n_samples: int | None = None, random_state: Any = None) -> Any:
        """Draw values for scikit-optimize, which always passes `n_samples`.

        Random searches of scikit-learn do not. They would accept the dimension, but take a list
        with one value for a value of the parameter.
        """
        if n_samples is None:
            raise TypeError(f"A random search requires distributions or lists. Got {self!r}.")
        return super().rvs(n_samples=n_samples, random_state=random_state)  # type: ignore[misc]
