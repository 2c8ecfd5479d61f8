"""The threads of BLAS, and the threads that train the members of a network."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from typing import Any

from joblib import cpu_count
from threadpoolctl import ThreadpoolController

__all__ = ["THREADED_WORK", "available_threads", "libraries", "one_blas_thread", "share", "team"]

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


def available_threads() -> int:
    """Return the number of threads that this process may use.

    It is the number of processors that the process may use, taking quotas into account, or the
    limit of OpenMP if it is lower, which ``OMP_NUM_THREADS``, joblib and threadpoolctl set. The
    environment variable ``SKNN_ADAM_NUM_THREADS`` overrides both.
    """
    wanted = os.environ.get("SKNN_ADAM_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    openmp = libraries().select(user_api="openmp").lib_controllers
    return max(1, min([cpu_count(), *(library.num_threads for library in openmp)]))


class _Threads:
    """The threads that fits of this process use at the moment."""

    def __init__(self) -> None:
        self._reset()
        # The lock of a forked process could be held by a thread that it does not have.
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._lock, self._in_use = threading.Lock(), 0

    def take(self, n_wanted: int) -> int:
        """Return a number of threads from 1 to `n_wanted`, which are in use until `give_back`."""
        limit = available_threads() if n_wanted > 1 else 1
        with self._lock:
            n_threads = max(1, min(n_wanted, limit - self._in_use))
            self._in_use += n_threads
            return n_threads

    def give_back(self, n_threads: int) -> None:
        """End the use of threads."""
        with self._lock:
            self._in_use -= n_threads


_threads = _Threads()
_of_fit = threading.local()


@contextmanager
def team() -> Iterator[None]:
    """Let calls of `share` in the current thread reuse threads, which end with the context."""
    outer = getattr(_of_fit, "pool", None)
    with ThreadPoolExecutor() as pool:
        _of_fit.pool = pool
        try:
            yield
        finally:
            _of_fit.pool = outer


def share(tasks: Sequence[Callable[[], Any]]) -> list[Any]:
    """Return the results of all tasks, done by as many threads as are available.

    Outside of `team`, all tasks are done by the current thread.
    """
    pool = getattr(_of_fit, "pool", None)
    n_threads = _threads.take(len(tasks)) if pool else 1
    results: list[Any] = [None] * len(tasks)
    left, lock = iter(range(len(tasks))), threading.Lock()

    def work() -> None:
        while True:
            with lock:
                i = next(left, None)
            if i is None:
                return
            results[i] = tasks[i]()

    try:
        others = [pool.submit(work) for _ in range(n_threads - 1)] if pool else []
        try:
            work()
        finally:
            wait(others)
        for other in others:
            other.result()
        return results
    finally:
        if pool:
            _threads.give_back(n_threads)
