"""Schedules that depend on the progress, from 0 to 1 over ``max_iter`` epochs."""

from math import cos, log2, pi
from numbers import Real
from typing import Any, ClassVar

from sknn_adam._utils.sklearn_compat import Interval
from sknn_adam._utils.validation import FRACTION, POSITIVE, UNIT_INTERVAL
from sknn_adam.schedules._base import Clock, Schedule, along_cosine

__all__ = ["Linear", "Cosine", "Exponential", "OneCycle", "CosLog4", "FlatCos"]


class Linear(Schedule):
    r"""Linear decay from 1 to ``final_factor`` :math:`f`.

    At progress :math:`p`, the factor is :math:`1 + (f - 1)\,p`.

    Parameters
    ----------
    final_factor : float, default=0.0
        The factor :math:`f` at the end of training, in [0, 1].

    Examples
    --------
    >>> from sknn_adam.schedules import Clock, Linear
    >>> Linear()(Clock(progress=0.25))
    0.75
    """

    _parameter_constraints: ClassVar = {"final_factor": [UNIT_INTERVAL]}
    uses_progress = True

    def __init__(self, final_factor: float = 0.0) -> None:
        self.final_factor = final_factor

    def __call__(self, clock: Clock, state: Any = None) -> float:
        return 1 + (self.final_factor - 1) * clock.progress


class Cosine(Schedule):
    r"""Cosine decay from 1 to ``final_factor`` :math:`f`.

    At progress :math:`p`, the factor is :math:`f + (1 - f)\,\tfrac12 (1 + \cos \pi p)`.

    Parameters
    ----------
    final_factor : float, default=0.0
        The factor :math:`f` at the end of training, in [0, 1].

    References
    ----------
    Loshchilov, I., Hutter, F. (2017). SGDR: stochastic gradient descent with warm restarts. ICLR.
    Equation 5, without restarts.

    Examples
    --------
    >>> from sknn_adam.schedules import Clock, Cosine
    >>> round(Cosine()(Clock(progress=0.5)), 6)
    0.5
    """

    _parameter_constraints: ClassVar = {"final_factor": [UNIT_INTERVAL]}
    uses_progress = True

    def __init__(self, final_factor: float = 0.0) -> None:
        self.final_factor = final_factor

    def __call__(self, clock: Clock, state: Any = None) -> float:
        return along_cosine(clock.progress, 1.0, self.final_factor)


class Exponential(Schedule):
    r"""Exponential decay from 1 to ``final_factor`` :math:`f`.

    At progress :math:`p`, the factor is :math:`f^{p}`.

    Parameters
    ----------
    final_factor : float, default=0.01
        The factor :math:`f` at the end of training, greater than 0.

    Examples
    --------
    >>> from sknn_adam.schedules import Clock, Exponential
    >>> Exponential(0.25)(Clock(progress=0.5))
    0.5
    """

    _parameter_constraints: ClassVar = {"final_factor": [POSITIVE]}
    uses_progress = True

    def __init__(self, final_factor: float = 0.01) -> None:
        self.final_factor = final_factor

    def __call__(self, clock: Clock, state: Any = None) -> float:
        return self.final_factor**clock.progress


class OneCycle(Schedule):
    """One cycle: a cosine increase to 1, followed by a cosine decay to ``final_factor``.

    Parameters
    ----------
    peak : float, default=0.3
        The progress at which the factor is 1, in (0, 1).
    initial_factor : float, default=0.04
        The factor at the start of training, in [0, 1].
    final_factor : float, default=4e-6
        The factor at the end of training, in [0, 1].

    References
    ----------
    Smith, L., Topin, N. (2018). Super-convergence: very fast training of neural networks using
    large learning rates. arXiv:1708.07120.

    Examples
    --------
    >>> from sknn_adam.schedules import Clock, OneCycle
    >>> OneCycle()(Clock(progress=0.3))
    1.0
    """

    _parameter_constraints: ClassVar = {
        "peak": [Interval(Real, 0, 1, closed="neither")],
        "initial_factor": [UNIT_INTERVAL],
        "final_factor": [UNIT_INTERVAL],
    }
    uses_progress = True

    def __init__(
        self, peak: float = 0.3, initial_factor: float = 0.04, final_factor: float = 4e-06
    ) -> None:
        self.peak = peak
        self.initial_factor = initial_factor
        self.final_factor = final_factor

    def __call__(self, clock: Clock, state: Any = None) -> float:
        if clock.progress < self.peak:
            return along_cosine(clock.progress / self.peak, self.initial_factor, 1.0)
        return along_cosine((clock.progress - self.peak) / (1 - self.peak), 1.0, self.final_factor)


class CosLog4(Schedule):
    r"""Four cosine cycles of increasing length.

    At progress :math:`p`, the factor is :math:`\tfrac12 (1 - \cos(2\pi \log_2(1 + 15 p)))`. It
    starts and ends at 0. The learning rate first peaks early in training, and annealing it several
    times explores several solutions.

    References
    ----------
    Holzmueller, D., Grinsztajn, L., Steinwart, I. (2024). Better by default: strong pre-tuned MLPs
    and boosted trees on tabular data. NeurIPS. Section 3.

    Examples
    --------
    >>> from sknn_adam.schedules import Clock, CosLog4
    >>> round(CosLog4()(Clock(progress=1.0)), 6)
    0.0
    """

    uses_progress = True

    def __call__(self, clock: Clock, state: Any = None) -> float:
        return (1 - cos(2 * pi * log2(1 + 15 * clock.progress))) / 2


class FlatCos(Schedule):
    """Constant factor, followed by a cosine decay to 0.

    Parameters
    ----------
    flat : float, default=0.5
        The progress at which the decay starts, in [0, 1).

    Examples
    --------
    >>> from sknn_adam.schedules import Clock, FlatCos
    >>> FlatCos()(Clock(progress=0.4)), round(FlatCos()(Clock(progress=0.75)), 6)
    (1.0, 0.5)
    """

    _parameter_constraints: ClassVar = {"flat": [FRACTION]}
    uses_progress = True

    def __init__(self, flat: float = 0.5) -> None:
        self.flat = flat

    def __call__(self, clock: Clock, state: Any = None) -> float:
        return along_cosine(max(0.0, (clock.progress - self.flat) / (1 - self.flat)), 1.0, 0.0)
