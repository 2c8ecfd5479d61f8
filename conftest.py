"""What pytest leaves out where an optional package is missing."""

from importlib.util import find_spec

# The examples in the docstrings draw.
collect_ignore = [] if find_spec("matplotlib") else ["sknn_adam/inspection"]
