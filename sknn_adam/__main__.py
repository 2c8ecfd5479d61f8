"""``python -m sknn_adam``: system information for bug reports."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from math import inf

from threadpoolctl import threadpool_info

from sknn_adam import __version__
from sknn_adam._backends.selection import choose

PACKAGES = ("numpy", "scipy", "scikit-learn", "scikit-optimize", "threadpoolctl", "numba")


def main() -> None:
    """Print versions, BLAS libraries, threads and the backend."""
    print(f"sknn_adam {__version__}")
    print(f"python {platform.python_version()} on {platform.system()} {platform.machine()}")
    for name in PACKAGES:
        try:
            print(f"{name} {version(name)}")
        except PackageNotFoundError:
            print(f"{name} not installed")
    for pool in threadpool_info():
        print(
            f"{pool['user_api']}: {pool['internal_api']} {pool['version']}, "
            f"{pool['num_threads']} threads"
        )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"processors available: {cores}")
    print(f"backend: {choose(gain=inf).name} for long training, otherwise numpy")


if __name__ == "__main__":
    main()
