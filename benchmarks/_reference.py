"""Check out another commit for benchmarks that compare this tree with it."""

import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from benchmarks._records import ROOT, git

# The package comes from the current directory, and the benchmarks from this tree.
CHILD = "import sys, sknn_adam; sys.path.insert(0, {root!r}); import {module}; {module}.{call}"


@contextmanager
def reference_tree(commit: str):
    """Check out a commit in a temporary directory and yield its path and its full hash."""
    commit = git("rev-parse", commit)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "reference"
        git("worktree", "add", "--detach", str(tree), commit)
        try:
            yield tree, commit
        finally:
            git("worktree", "remove", "--force", str(tree))


def start(tree: Path, module: str, call: str, **variables: str) -> subprocess.Popen:
    """Start a process that calls a function of a benchmark with the package from `tree`.

    `variables` are environment variables. The process has pipes for its input and output.
    """
    env = {**os.environ, "PYTHONPATH": str(tree), "OPENBLAS_NUM_THREADS": "1", **variables}
    code = CHILD.format(root=str(ROOT), module=module, call=call)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code], env=env, cwd=tree, **pipes)
