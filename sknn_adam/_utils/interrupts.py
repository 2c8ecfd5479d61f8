"""Handling of Ctrl-C that leaves a run in a consistent state."""

import signal
import threading
from typing import Any

__all__ = ["Interrupts"]


class Interrupts:
    """Context manager that records Ctrl-C, so that training can stop between two steps."""

    def __init__(self) -> None:
        self.by_user = False

    def __enter__(self) -> "Interrupts":
        self._handler = None
        if threading.current_thread() is threading.main_thread():
            self._handler = signal.getsignal(signal.SIGINT)
            if self._handler is signal.default_int_handler:
                signal.signal(signal.SIGINT, self._notice)
        return self

    def _notice(self, signum: int, frame: Any) -> None:
        # A second Ctrl-C interrupts immediately.
        if self.by_user:
            raise KeyboardInterrupt
        self.by_user = True

    def __exit__(self, error: Any, *_: Any) -> None:
        if self._handler is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._handler)
        if self.by_user and error is None:
            raise KeyboardInterrupt
