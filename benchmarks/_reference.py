"""A checkout of another commit, for benchmarks that compare this tree with it."""

import tempfile
from contextlib import contextmanager
from pathlib import Path

from benchmarks._records import git


@contextmanager
def reference_tree(commit: str):
    """Check a commit out into a temporary directory and yield the path and the full hash."""
    commit = git("rev-parse", commit)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "reference"
        git("worktree", "add", "--detach", str(tree), commit)
        try:
            yield tree, commit
        finally:
            git("worktree", "remove", "--force", str(tree))
