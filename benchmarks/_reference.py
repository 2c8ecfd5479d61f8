"""Check out another commit for benchmarks that compare this tree with it."""

import tempfile
from contextlib import contextmanager
from pathlib import Path

from benchmarks._records import git


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
