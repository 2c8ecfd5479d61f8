"""What pytest leaves out where an optional package is missing."""

from importlib.util import find_spec

# The examples in the docstrings of these need it.
NEEDED = {
    "sknn_adam/inspection": "matplotlib",
    "sknn_adam/onnx": "skl2onnx",
    "sknn_adam/persistence": "skops",
    "sknn_adam/search": "pandas",
}
collect_ignore = [folder for folder, package in NEEDED.items() if not find_spec(package)]
