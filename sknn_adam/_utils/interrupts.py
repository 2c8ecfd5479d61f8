"""Ctrl-C, noticed where a run is consistent."""

import signal
import threading
from typing import Any

__all__ = ["Interrupts"]


class Interrupts:
    """Context manager: Ctrl-C is noticed between two steps, never within one."""

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
        if self.by_user:  # the second time the user means it
            raise KeyboardInterrupt
        self.by_user = True

    def __exit__(self, error: Any, *_: Any) -> None:
        if self._handler is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._handler)
        if self.by_user and error is None:
            raise KeyboardInterrupt
