"""Exclude the doctests of folders and files whose optional packages are not installed."""

from importlib.util import find_spec

# Folder or file -> package that it, or the examples in its docstrings, needs.
NEEDED = {
    "sknn_adam/_backends/intrinsics.py": "numba",
    "sknn_adam/_backends/player.py": "numba",
    "sknn_adam/inspection": "matplotlib",
    "sknn_adam/onnx": "skl2onnx",
    "sknn_adam/persistence": "skops",
    "sknn_adam/search": "pandas",
    "sknn_adam/arrow.py": "pandas",
}
collect_ignore = [folder for folder, package in NEEDED.items() if not find_spec(package)]
