"""Atomic replacement of files, and a directory that only the user can write to."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["private_directory", "replacing"]

WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
# O_EXCL fails on an existing file or symbolic link instead of writing to it.
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


@contextmanager
def replacing(path: str | os.PathLike[Any], mode: int = 0o666) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` after a successful write; on error, `path` is unchanged.

    Several processes and threads may write at once, each to a temporary file with an unpredictable
    name. `mode` gives the permissions before the umask is applied.
    """
    target = Path(path)
    temporary = target.with_name(f"{target.name}.{secrets.token_hex(8)}.part")
    descriptor = os.open(temporary, NEW_FILE, mode)
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@cache
def private_directory(base: str, name: str) -> Path | None:
    """Return the directory `name` in `base`, created if missing; None if others could write to it.

    The directory must belong to the effective user, and no one else may be able to write to it. The
    same holds for its parent directories, except that they may belong to root or be sticky like
    /tmp. Otherwise other users could replace the directory by one of their own. Files in it that
    others may have written are removed. On systems without user ids, such as Windows, access
    control lists protect the user's directories, and permissions are not checked.
    """
    if not os.path.isabs(base):
        return None
    # Numba stores the machine code in this subdirectory.
    path = Path(base, name, "__pycache__")
    try:
        _make_directory(path)
        if not hasattr(os, "geteuid"):
            return path.parent
        for directory in (path.parent, path):
            if not _is_private(os.lstat(directory)):
                return None
            for entry in os.scandir(directory):
                # Other threads and processes may rename or remove their files at any time.
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if entry.name != path.name and not _is_own_file(status):
                        os.unlink(entry)
        above = {*path.parent.parents, *Path(os.path.realpath(path.parent)).parents}
        if not all(_is_guarded(os.lstat(directory)) for directory in above):
            return None
    except OSError:
        return None
    return path.parent if os.access(path, os.W_OK) else None


def _make_directory(path: Path) -> None:
    """Create a directory and its parents with access for the user only."""
    if not path.is_dir():
        if path.parent != path:
            _make_directory(path.parent)
        path.mkdir(0o700, exist_ok=True)


def _is_private(status: os.stat_result) -> bool:
    own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    return own and not status.st_mode & WRITABLE_BY_OTHERS


def _is_own_file(status: os.stat_result) -> bool:
    own = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1
    return own and not status.st_mode & WRITABLE_BY_OTHERS


def _is_guarded(status: os.stat_result) -> bool:
    """Return whether only the user and root can rename the entries of a parent directory.

    In a sticky directory, others cannot rename the user's entries.
    """
    if status.st_uid not in (0, os.geteuid()):
        return False
    # The permissions of a link have no effect, and its target is checked separately.
    if stat.S_ISLNK(status.st_mode):
        return True
    return bool(status.st_mode & stat.S_ISVTX) or not status.st_mode & WRITABLE_BY_OTHERS
