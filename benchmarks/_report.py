"""What every benchmark shares: facts about the run, and files that are never half written."""

import json
import os
import platform
import sys
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import perf_counter

RESULTS = Path(__file__).parent / "results"
PROCESSORS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
# What of the environment changes the figures.
ENVIRONMENT = [
    f"{name}={value}" for name, value in os.environ.items() if name.startswith("OPENBLAS_")
]
PACKAGES = ("numpy", "scipy", "scikit-learn", "numba", "torch", "jax", "skorch")


def facts() -> dict:
    """Return date, command, versions and machine of this run."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "date": date.today().isoformat(),
        "command": " ".join([*ENVIRONMENT, "python -m benchmarks", *sys.argv[1:]]),
        "versions": versions,
        "machine": {"processor": processor(), "cores": cores, "system": platform.system()},
    }


def processor() -> str:
    """Return the processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def run_on(n_processors: int) -> None:
    """Bind this process to its first processors, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, PROCESSORS[:n_processors])


def in_turns(sides: dict, repeats: int, between=lambda: None) -> dict[str, list[float]]:
    """Return the seconds of every repetition of every side; the sides take turns.

    Each side is a function without arguments and is called once before, to warm up. The order is
    turned around in every second repetition, and `between` is called before each.
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
    """Return minimum, median and maximum."""
    values = sorted(values)
    found = values[0], median(values), values[-1]
    return [float(f"{value:.{digits}g}") for value in found]


def save(name: str, results: dict) -> Path:
    """Write ``results/<name>.json``: to a temporary name, then renamed."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps({**facts(), **results}, indent=1) + "\n")
    os.replace(temporary, path)
    return path
