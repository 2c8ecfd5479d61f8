"""Files that are whole or not there: written under a temporary name, then renamed."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["replacing"]


@contextmanager
def replacing(path: str | os.PathLike[Any]) -> Iterator[BinaryIO]:
    """Open a file to be written in the place of `path`; after an error that is as it was.

    Several processes and threads may write at once, each to a temporary name of its own.
    """
    target = Path(path)
    own = f".{os.getpid()}-{threading.get_ident()}.part"
    temporary = target.with_name(target.name + own)
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
