"""SciPy distributions whose repr names the searches that accept them."""

from typing import Any

from sknn_adam._component.ranges import Range

__all__ = ["distribution_over"]


def distribution_over(declared: Range) -> Any:
    """Return a frozen SciPy distribution over a range.

    Searches that do not accept distributions quote its repr in their error message. The repr
    therefore explains which `method` these searches need.
    """
    from scipy.stats import loguniform, uniform

    low, high = declared.low, declared.high
    frozen = loguniform(low, high) if declared.log else uniform(low, high - low)
    base = type(frozen)

    class Frozen(base):  # type: ignore[misc, valid-type]
        __module__ = base.__module__  # archives store distributions of SciPy

        def __repr__(self) -> str:
            arguments = ", ".join(f"{value:.6g}" for value in self.args)
            return (
                f"<{self.dist.name}({arguments}) of search_space(..., method='random'); "
                "BayesSearchCV needs method='bayes', GridSearchCV needs method='grid'>"
            )

        def __reduce__(self) -> Any:
            return type(self.dist).__call__, (self.dist, *self.args)

    frozen.__class__ = Frozen
    return frozen
