"""Exclude doctests that need optional packages which are not installed."""

from importlib.util import find_spec

# Folders and the package that the examples in their docstrings need.
NEEDED = {
    "sknn_adam/inspection": "matplotlib",
    "sknn_adam/onnx": "skl2onnx",
    "sknn_adam/persistence": "skops",
    "sknn_adam/search": "pandas",
}
collect_ignore = [folder for folder, package in NEEDED.items() if not find_spec(package)]
