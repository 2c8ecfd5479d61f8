"""Exclude the doctests of folders whose optional packages are not installed."""

from importlib.util import find_spec

# Folder -> package that the examples in its docstrings need.
NEEDED = {
    "sknn_adam/inspection": "matplotlib",
    "sknn_adam/onnx": "skl2onnx",
    "sknn_adam/persistence": "skops",
    "sknn_adam/search": "pandas",
}
collect_ignore = [folder for folder, package in NEEDED.items() if not find_spec(package)]
