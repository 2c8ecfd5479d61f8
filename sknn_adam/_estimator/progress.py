"""A progress bar for long fits on an interactive terminal."""

import multiprocessing
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from sknn_adam._training.plan import Plan
from sknn_adam._training.run import Run

__all__ = ["progress_shown"]

# Fits that end sooner have no bar.
SHORTEST = 5.0
SECONDS_BETWEEN_UPDATES = 0.25
RECENT_EPOCHS = 9


@contextmanager
def progress_shown(run: Run, plan: Plan) -> Iterator[None]:
    """Within this context, show a bar as soon as the fit cannot end within five seconds.

    There is no bar without rich, without an interactive terminal, in worker processes and in
    threads other than the main thread. A thread reads the run a few times per second, so training
    is the same with and without the bar. The bar is removed at the end.
    """
    console = _console()
    if console is None:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_follow, args=(run, plan, console, ended), daemon=True)
    try:
        thread.start()
        yield
    finally:
        ended.set()
        if thread.is_alive():
            thread.join()


def _console() -> Any:
    """Return rich's console, or None if nothing may be shown."""
    if threading.current_thread() is not threading.main_thread():
        return None
    # joblib and Dask start their worker processes with multiprocessing.
    if multiprocessing.parent_process() is not None:
        return None
    # rich treats a pipe as a terminal if FORCE_COLOR is set. It also redirects both streams.
    if not (_is_terminal(sys.stdout) and _is_terminal(sys.stderr)):
        return None
    try:
        from rich import get_console
    except ImportError:
        return None
    console = get_console()
    return console if console.is_interactive else None


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    # The user has replaced the stream by another object, or closed it.
    except (AttributeError, ValueError):
        return False


def _follow(run: Run, plan: Plan, console: Any, ended: threading.Event) -> None:
    """Wait until the fit turns out to be long, then show its progress until it has ended."""
    from rich.errors import LiveError
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    begin = perf_counter()
    while not ended.wait(SECONDS_BETWEEN_UPDATES):
        if perf_counter() - begin + _least_seconds_left(run, plan) > SHORTEST:
            break
    else:
        return
    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    bar = Progress(*columns, console=console, transient=True, auto_refresh=False)
    task = bar.add_task("", total=plan.max_iter)

    def update() -> None:
        bar.update(task, description=_description(run, plan), completed=_epochs_done(run))

    update()
    try:
        with bar:
            while not ended.wait(SECONDS_BETWEEN_UPDATES):
                update()
                bar.refresh()
    # Another bar is shown in the same console, or the terminal has been closed.
    except (LiveError, OSError):
        pass


def _least_seconds_left(run: Run, plan: Plan) -> float:
    """Return the time until patience or epochs run out; 0 if the pace is unknown.

    Only divergence, a callback or L-BFGS can end a fit sooner.
    """
    done = run.clock.epoch - run.first_epoch
    # The first epoch may contain the compilation of loops.
    if done < 2:
        return 0.0
    seconds = median(run.history["seconds"][-min(done - 1, RECENT_EPOCHS) :])
    patience = plan.n_iter_no_change + 1 - float(np.min(run.waited))
    return seconds * max(0.0, min(plan.max_iter - done, patience))


def _epochs_done(run: Run) -> float:
    """Return the number of epochs in this fit, including the fraction of the current one."""
    n_rows, batch_size = run.shape
    current = run.batch * batch_size / max(1, n_rows)
    return run.clock.epoch - run.first_epoch + min(1.0, current)


def _description(run: Run, plan: Plan) -> str:
    done, columns = run.clock.epoch - run.first_epoch, run.history.columns
    text = f"epoch {done}/{plan.max_iter}"
    if done:
        text += f"  loss {run.clock.loss:.4g}"
    if done and columns.get("validation_score"):
        text += f"  validation {columns['validation_score'][-1]:.4g}"
    return text
