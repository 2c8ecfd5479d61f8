"""Files that are written whole or not at all, and a directory that only the user can write."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["private_directory", "replacing"]

WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
# O_EXCL fails on an existing file or symbolic link instead of writing to it.
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


@contextmanager
def replacing(path: str | os.PathLike[Any], mode: int = 0o666) -> Iterator[BinaryIO]:
    """Open a file to be written in the place of `path`; after an error `path` is unchanged.

    Several processes and threads may write at once: each has a temporary file of its own, with
    a name that cannot be guessed. `mode` are the permissions, less those that the umask removes.
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
    """Return the directory `name` in `base`, made if need be; None if others could write to it.

    The directory must belong to the effective user and be closed to the writing of all others.
    So must the directories above it, except that they may belong to root, or be sticky as /tmp
    is: otherwise others could put a directory of their own in its place. Files in it that others
    may have written are removed. Systems without user ids, such as Windows, protect the user's
    own directories by access lists; there nothing is checked.
    """
    if not os.path.isabs(base):
        return None
    path = Path(base, name, "__pycache__")  # where Numba keeps the machine code of sources
    try:
        _make_directory(path)
        if not hasattr(os, "geteuid"):
            return path.parent
        for directory in (path.parent, path):
            if not _is_private(os.lstat(directory)):
                return None
            for entry in os.scandir(directory):
                found = entry.stat(follow_symlinks=False)
                if entry.name != path.name and not _is_own_file(found):
                    os.unlink(entry)
        above = {*path.parent.parents, *Path(os.path.realpath(path.parent)).parents}
        if not all(_is_guarded(os.lstat(directory)) for directory in above):
            return None
    except OSError:
        return None
    return path.parent if os.access(path, os.W_OK) else None


def _make_directory(path: Path) -> None:
    """Make a directory and those above it, for the user alone."""
    if not path.is_dir():
        if path.parent != path:
            _make_directory(path.parent)
        path.mkdir(0o700, exist_ok=True)


def _is_private(found: os.stat_result) -> bool:
    own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return own and not found.st_mode & WRITABLE_BY_OTHERS


def _is_own_file(found: os.stat_result) -> bool:
    own = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1
    return own and not found.st_mode & WRITABLE_BY_OTHERS


def _is_guarded(found: os.stat_result) -> bool:
    """Return whether only the user and root can rename what is in a directory above."""
    if found.st_uid not in (0, os.geteuid()):
        return False
    if stat.S_ISLNK(found.st_mode):  # its permissions mean nothing, and its target is checked too
        return True
    return bool(found.st_mode & stat.S_ISVTX) or not found.st_mode & WRITABLE_BY_OTHERS
