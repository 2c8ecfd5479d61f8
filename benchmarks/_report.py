"""Interleaved timing of several functions, and the spread of the measurements."""

import os
from statistics import median
from time import perf_counter

import numpy as np
from scipy.stats import binom

PROCESSORS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def run_on(n_processors: int) -> None:
    """Bind this process to the first `n_processors` cores, where the system supports it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, PROCESSORS[:n_processors])


def time_interleaved(sides: dict, repeats: int, between=lambda: None) -> dict[str, list[float]]:
    """Time functions in an interleaved order and return the seconds of all repetitions by name.

    `sides` has functions without arguments, keyed by name. Each is called once to warm up. Every
    second repetition reverses the order. `between` is called before each repetition.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for call in sides.values():
        call()
    for repeat in range(repeats):
        between()
        for name in list(sides)[:: 1 if repeat % 2 else -1]:
            start = perf_counter()
            sides[name]()
            seconds[name].append(perf_counter() - start)
    return seconds


def spread(values, digits: int = 4) -> list[float]:
    """Return the minimum, median and maximum, rounded to significant digits."""
    values = sorted(values)
    summary = values[0], median(values), values[-1]
    return [float(f"{value:.{digits}g}") for value in summary]


def paired(ratios) -> dict:
    """Return the median of paired ratios and its 95 % interval from order statistics.

    The interval is that of the sign test, which makes no assumption about the distribution of the
    times. With fewer than six ratios, it is the range, which covers less than 95 %.
    """
    ordered, n = np.sort(np.ravel(ratios)), np.size(ratios)
    low = int(binom.ppf(0.025, n, 0.5))
    interval = ordered[max(0, low - 1)], ordered[min(n - 1, n - low)]
    return {
        "ratio": round(float(np.median(ordered)), 4),
        "interval": [round(float(value), 4) for value in interval],
    }
