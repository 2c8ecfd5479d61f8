"""Search ranges that components declare for their parameters."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

__all__ = ["NETWORK", "SIZES", "Choices", "Range"]

# Sizes of a search space; each includes the ones before it.
SIZES = ("small", "default", "large")


@dataclass(frozen=True)
class Range:
    """An interval of numbers.

    Parameters
    ----------
    low, high : float
        The ends of the interval.
    log : bool, default=False
        Whether numbers are drawn uniformly on a logarithmic scale.
    size : {"small", "default", "large"}, default="default"
        The smallest search space that includes the interval.
    relative : bool, default=False
        Whether `low` and `high` are multiples of the parameter's default.
    integer : bool, default=False
        Whether only whole numbers are drawn.
    grid : tuple of float, default=()
        The values that a grid includes; by default, three evenly spaced numbers.

    Examples
    --------
    >>> from sknn_adam.search import Range
    >>> learning_rate = Range(0.1, 10.0, log=True, relative=True).around(0.02)
    >>> learning_rate.low, learning_rate.high
    (0.002, 0.2)
    >>> Range(32, 512, log=True, integer=True).points()
    [64, 130, 260]
    """

    low: float
    high: float
    log: bool = False
    size: str = "default"
    relative: bool = False
    integer: bool = False
    grid: tuple = ()

    def around(self, default: Any) -> "Range":
        """Return the range in absolute numbers, around `default` if it is relative.

        Parameters
        ----------
        default : float
            The default of the parameter.

        Returns
        -------
        Range
            A range of absolute numbers.
        """
        if not self.relative:
            return self
        low, high = (float(f"{default * factor:.6g}") for factor in (self.low, self.high))
        return replace(self, low=low, high=high, relative=False)

    def points(self, n_points: int = 3) -> list[float]:
        """Return `grid`, or evenly spaced numbers without the ends, which are seldom the best.

        Parameters
        ----------
        n_points : int, default=3
            Number of points.

        Returns
        -------
        list of float or int
            The numbers, rounded to two digits, without duplicates.
        """
        if self.grid:
            return list(self.grid)
        spaced = np.geomspace if self.log else np.linspace
        inner = spaced(self.low, self.high, n_points + 2)[1:-1]
        number = int if self.integer else float
        return list(dict.fromkeys(number(float(f"{value:.2g}")) for value in inner))


@dataclass(frozen=True)
class Choices:
    """A finite set of values.

    Parameters
    ----------
    values : tuple
        Strings, numbers, booleans or None.
    size : {"small", "default", "large"}, default="default"
        The smallest search space that includes the values.
    grid : tuple, default=()
        The values that a grid includes; all of them by default.

    Examples
    --------
    >>> from sknn_adam.search import Choices
    >>> Choices((32, 64, 128, 256), grid=(32, 128)).points()
    [32, 128]
    """

    values: tuple
    size: str = "default"
    grid: tuple = ()

    def around(self, default: Any) -> "Choices":
        """Return the choices unchanged.

        Parameters
        ----------
        default : object
            The default of the parameter.

        Returns
        -------
        Choices
            The choices themselves.
        """
        return self

    def points(self) -> list:
        """Return the values of a grid.

        Returns
        -------
        list
            The values.
        """
        return list(self.grid or self.values)


# Ranges for both estimators, in addition to those of `Layers`. Widths, depths and dropout rates
# follow tuning results on many tables.
NETWORK: dict[str, Range | Choices] = {
    "dropout": Choices((0.0, 0.1, 0.2, 0.3, 0.5), size="small", grid=(0.0, 0.3)),
    "alpha": Range(1e-6, 1e-2, log=True),
    "batch_size": Choices((32, 64, 128, 256), grid=(32, 128)),
    "activation": Choices(("relu", "silu", "gelu", "tanh"), grid=("relu", "silu")),
    "schedule": Choices(("constant", "linear", "cosine"), grid=("constant", "cosine")),
    "max_iter": Choices((25, 50, 100), grid=(100,)),
    "normalization": Choices((None, "batch", "layer"), size="large"),
    "averaging": Choices((None, "ema"), size="large"),
    "gradient_clip": Choices((None, 1.0, 10.0), size="large", grid=(None, 1.0)),
    "n_members": Choices((1, 8), size="large", grid=(1,)),
    "l1_ratio": Choices((0.0, 0.15, 0.5), size="large", grid=(0.15,)),
}
