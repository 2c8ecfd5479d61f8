"""Recording of the heavy tests' results in tests/results, if ``RECORD_RESULTS=1`` is set."""

import datetime
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "results"
PACKAGES = ("numpy", "scipy", "scikit-learn", "joblib", "hypothesis", "numba")


def record(name, **figures):
    """Print the figures; if requested, write them to a file with versions, date and command."""
    print(f"\n{name}: {figures}")
    if not os.environ.get("RECORD_RESULTS"):
        return
    import sknn_adam

    versions = {"sknn_adam": sknn_adam.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except ImportError:
            versions[package] = None
    content = {
        "command": f"RECORD_RESULTS=1 python -m pytest -m slow tests/heavy -k {name}",
        "date": datetime.date.today().isoformat(),
        "cores": os.cpu_count(),
        "versions": versions,
        "figures": figures,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
