"""Interleaved timing of several functions, and the spread of the measurements."""

import os
from statistics import median
from time import perf_counter, process_time

import numpy as np
from scipy.stats import binom
from threadpoolctl import threadpool_limits

PROCESSORS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

CLOCKS = {"wall": perf_counter, "cpu": process_time}


def add_clock(parser) -> None:
    """Add the option ``--clock``, for benchmarks on one core."""
    text = "time to measure: cpu if other processes share the core (default: wall)"
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help=text)


def run_on(n_processors: int) -> None:
    """Bind this process to the first `n_processors` cores, where the system supports it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, PROCESSORS[:n_processors])
    # Threads of BLAS that are running already would stay on the other cores.
    threadpool_limits(n_processors)


def time_interleaved(
    sides: dict, repeats: int, between=lambda: None, clock="wall"
) -> dict[str, list[float]]:
    """Time functions in an interleaved order and return the seconds of all repetitions by name.

    `sides` has functions without arguments, keyed by name. Each is called once to warm up. Every
    second repetition reverses the order. `between` is called before each repetition. `clock` is a
    key of CLOCKS.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    now = CLOCKS[clock]
    for call in sides.values():
        call()
    for repeat in range(repeats):
        between()
        for name in list(sides)[:: 1 if repeat % 2 else -1]:
            start = now()
            sides[name]()
            seconds[name].append(now() - start)
    return seconds


def spread(values, digits: int = 4) -> list[float]:
    """Return the minimum, median and maximum, rounded to significant digits."""
    values = sorted(values)
    summary = values[0], median(values), values[-1]
    return [float(f"{value:.{digits}g}") for value in summary]


def paired(ratios) -> dict:
    """Return the median of paired ratios and its 95 % interval from order statistics.

    The interval makes no assumption about the distribution of the times. With fewer than six
    ratios, it is their range, which covers less than 95 %.
    """
    ratios = np.sort(np.ravel(ratios))
    # The probability that the median is outside is at most 5 %.
    rank = max(1, int(binom.ppf(0.025, len(ratios), 0.5)))
    interval = ratios[rank - 1], ratios[-rank]
    return {
        "ratio": round(float(np.median(ratios)), 4),
        "interval": [round(float(value), 4) for value in interval],
    }


def bootstrap(logs, rng):
    """Return the geometric mean of ratios and its 95 % interval over bootstrap samples."""
    draws = rng.choice(logs, size=(4000, len(logs))).mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return [round(float(np.exp(value)), 3) for value in (np.mean(logs), low, high)]
