"""Records of benchmark runs: each run adds a file, which is never changed afterwards.

A run is recorded in ``results/<benchmark>/<date>_<commit>_<machine>.json``, so the files of a
benchmark sort by date. The page shows the latest record of each benchmark, and ``python -m
benchmarks history`` shows the main figures from all records.
"""

import json
import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
# Environment variables that affect the results.
ENVIRONMENT = [
    f"{name}={value}" for name, value in os.environ.items() if name.startswith("OPENBLAS_")
]
PACKAGES = (
    *("numpy", "scipy", "scikit-learn", "numba", "torch", "jax", "skorch", "skrub"),
    *("lightgbm", "catboost", "chimeraboost", "pytabkit"),
)


def save(name: str, results: dict) -> Path:
    """Write a new record and return its path.

    The record is written to a temporary file and then renamed, so it is never incomplete.
    """
    run_facts = facts()
    machine = re.sub(r"[^a-z0-9]+", "-", run_facts["machine"]["processor"].lower()).strip("-")
    date = run_facts["date"].replace(":", "").replace(" ", "T")
    path = RESULTS / name / f"{date}_{run_facts['commit']}_{machine}.json"
    if path.exists():
        raise FileExistsError(f"{path} already exists, and records are not overwritten.")
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, {**run_facts, **results})
    return path


def records(name: str) -> list[dict]:
    """Return all records of a benchmark, oldest first."""
    paths = sorted((RESULTS / name).glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def newest(name: str) -> dict:
    """Return the latest record of a benchmark."""
    paths = sorted((RESULTS / name).glob("*.json"))
    if not paths:
        raise FileNotFoundError(f"There is no record in {RESULTS / name}.")
    return json.loads(paths[-1].read_text(encoding="utf-8"))


def save_unfinished(name: str, results: dict) -> None:
    """Save the results so far of a long study, which ``--add`` continues after an interruption."""
    RESULTS.mkdir(exist_ok=True)
    _write(_unfinished(name), results)


def unfinished(name: str) -> dict:
    """Return the results of an interrupted study, or the latest record if there are none."""
    path = _unfinished(name)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else newest(name)


def unfinished_names(pattern: str) -> list[str]:
    """Return the names of the interrupted studies that match a pattern such as ``"score*"``."""
    return sorted(path.stem for path in RESULTS.glob(f"{pattern}.unfinished"))


def discard_unfinished(name: str) -> None:
    """Remove the results of an interrupted study, if any."""
    _unfinished(name).unlink(missing_ok=True)


def _unfinished(name: str) -> Path:
    return RESULTS / f"{name}.unfinished"


def _write(path: Path, content: dict) -> None:
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def facts() -> dict:
    """Return the date, commit, command, versions and machine of this run."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine = {"processor": processor(), "cores": cores, "system": platform.system()}
    if vectors := vector_units():
        machine["vectors"] = vectors
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        "commit": commit(),
        "command": " ".join([*ENVIRONMENT, "python -m benchmarks", *map(portable, sys.argv[1:])]),
        "versions": versions,
        "machine": machine,
    }


def portable(argument: str) -> str:
    """Return an argument in which only the names of absolute paths remain.

    The folders above them exist on one machine only.
    """
    parts = argument.split(os.pathsep)
    return os.pathsep.join(
        f".../{Path(part).name}" if os.path.isabs(part) else part for part in parts
    )


def commit() -> str:
    """Return the checked-out commit, followed by ``-changed`` if the code differs from it."""
    try:
        name = git("rev-parse", "--short=9", "HEAD")
        changed = git("status", "--porcelain", "sknn_adam", "benchmarks/*.py")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name}-changed" if changed else name


def git(*arguments: str) -> str:
    """Return the output of a git command in the checkout."""
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def processor() -> str:
    """Return the name of the processor."""
    return _from_cpuinfo("model name") or platform.processor() or platform.machine()


def vector_units() -> str:
    """Return the widest vector instructions of the processor, or "" if unknown."""
    flags = _from_cpuinfo("flags").split()
    names = {"avx512f": "AVX-512", "avx2": "AVX2"}
    return next((name for flag, name in names.items() if flag in flags), "")


def _from_cpuinfo(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")
