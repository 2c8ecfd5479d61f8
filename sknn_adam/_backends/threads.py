"""The number of BLAS threads."""

import threading
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["THREADED_WORK", "libraries", "one_blas_thread"]

# Products with fewer multiplications are no faster on two threads, and much slower if another
# process is busy.
THREADED_WORK = 2**24


@cache
def libraries() -> ThreadpoolController:
    """Return the controller of the threaded libraries; finding them takes time."""
    return ThreadpoolController()


class _OneBlasThread:
    """Context manager that limits BLAS to one thread while any context in the process is open.

    The limits of threadpoolctl apply to the whole process. Two of its contexts that overlap would
    restore each other's limits and could leave BLAS at one thread forever. Here the first context
    to be entered sets the limit, and the last one to exit restores it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = 0
        self._limit: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._open == 0:
                self._free()
                self._limit = libraries().limit(limits=1, user_api="blas")
            self._open += 1

    def __exit__(self, *exc_info: Any) -> None:
        with self._lock:
            self._open -= 1
            if self._open == 0:
                self._free()
                self._limit.restore_original_limits()
                self._limit = None
                self._free()

    def _free(self) -> None:
        """Let any thread set limits.

        threadpoolctl 3.8 ignores limits set by any thread but the first one that set them.
        """
        for library in libraries().lib_controllers:
            if hasattr(library, "clear_controlling_thread"):
                library.clear_controlling_thread(force=True)


one_blas_thread = _OneBlasThread()
