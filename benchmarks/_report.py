"""What every benchmark shares: facts about the run, and files that are never half written."""

import importlib.util
import json
import os
import platform
import sys
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
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
        "command": " ".join(["python -m benchmarks", *sys.argv[1:]]),
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


def save(name: str, results: dict) -> Path:
    """Write ``results/<name>.json``: to a temporary name, then renamed."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps({**facts(), **results}, indent=1) + "\n")
    os.replace(temporary, path)
    return path


def load_tables(folder: str):
    """Import the module ``realdata.py`` of a folder of tables."""
    path = Path(folder).resolve() / "realdata.py"
    if not path.exists():
        raise SystemExit(f"{folder} has no realdata.py: name a folder of tables of that form.")
    spec = importlib.util.spec_from_file_location("realdata", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
