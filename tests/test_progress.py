"""The progress bar of long fits, on a pseudo-terminal."""

import os
import subprocess
import sys
import threading

import pytest

from sknn_adam import MLPClassifier
from sknn_adam.convert import to_sklearn

pty = pytest.importorskip("pty")
pytest.importorskip("rich")

# The first epochs are so slow that the fit cannot end soon; the others take almost no time.
SLOW_FIT = """
import signal, sys, threading, time
import numpy as np
from sknn_adam import MLPRegressor

X = np.linspace(-1, 1, 40)[:, None]
y = X[:, 0]

def slow(epochs=4, then=None):
    count = 0
    def score(estimator, X, y):
        nonlocal count
        count += 1
        if count <= epochs:
            time.sleep(0.35)
        elif then is not None:
            then()
        return 0.25
    return score

def fit(scoring=None, max_iter=200, n_iter_no_change=np.inf, **params):
    params |= {"scoring": scoring or slow()}
    params |= {"max_iter": max_iter, "n_iter_no_change": n_iter_no_change, "random_state": 0}
    model = MLPRegressor((4,), **params)
    return model.fit(X, y, X_val=X, y_val=y)
"""
HIDE_CURSOR, SHOW_CURSOR, ERASE_LINE = "\x1b[?25l", "\x1b[?25h", "\x1b[2K"


def on_terminal(code, **variables):
    """Run code in a process with a terminal of its own, and return the text on the terminal."""
    terminal, end = pty.openpty()
    variables = {"TERM": "xterm", "COLUMNS": "100"} | variables
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_FIT + code],
        stdin=end,
        stdout=end,
        stderr=end,
        env=environment() | variables,
    )
    os.close(end)
    chunks = []

    def read():
        # Linux raises an error when the process closes the terminal, macOS returns nothing.
        try:
            while chunk := os.read(terminal, 4096):
                chunks.append(chunk)
        except OSError:
            pass

    reader = threading.Thread(target=read)
    reader.start()
    process.wait(timeout=120)
    reader.join(timeout=10)
    os.close(terminal)
    text = b"".join(chunks).decode()
    assert process.returncode == 0, text
    return text


def environment():
    names = ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
    return {name: value for name, value in os.environ.items() if name not in names}


ENDS = {
    "fitted": "fit()",
    "error": """
def then():
    raise ZeroDivisionError
try:
    fit(slow(then=then))
except ValueError as error:
    assert isinstance(error.__cause__, ZeroDivisionError)
""",
    "interrupt": """
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    fit(slow(then=lambda: signal.raise_signal(signal.SIGINT)))
except KeyboardInterrupt:
    pass
""",
}


def test_bar_is_shown_and_removed():
    text = on_terminal("".join(f"{code}\nprint('{end} ')\n" for end, code in ENDS.items()))
    for end in ENDS:
        shown, _, text = text.partition(f"{end} ")
        assert "/200  loss " in shown, end
        assert "  validation 0.25 " in shown, end
        assert shown.count(HIDE_CURSOR) == shown.count(SHOW_CURSOR) == 1, end
        assert shown.endswith(ERASE_LINE), end
    assert not text.strip()


def test_bar_does_not_change_training():
    text = on_terminal(
        "pair = [fit(slow(), verbose=verbose, batch_size=8) for verbose in ('auto', False)]\n"
        "print(*(np.array_equal(*layers) for layers in zip(*(m.coefs_ for m in pair))))"
    )
    assert "loss" in text
    assert text.rpartition(ERASE_LINE)[2].split() == ["True", "True"]


def test_printed_lines_stay_above_the_bar():
    text = on_terminal("fit(slow(then=lambda: print('a line', file=sys.stderr)))")
    # rich removes the bar, prints the line, and draws the bar below it.
    assert text.count(f"{ERASE_LINE}a line\r\n") == text.count("a line") == 196


SILENT = {
    "verbose=False": "fit(verbose=False)",
    "short fit": "fit(max_iter=3)",
    "patience ends soon": "fit(max_iter=10**6, n_iter_no_change=3, tol=1e9)",
    "partial_fit": """
from sknn_adam.schedules import Schedule
class Slow(Schedule):
    def __call__(self, clock, state):
        time.sleep(0.35)
        return 1.0
model = MLPRegressor((4,), schedule=Slow(), max_iter=10**6)
for _ in range(3):
    model.partial_fit(X, y)
""",
    "thread": "thread = threading.Thread(target=fit); thread.start(); thread.join()",
    "worker process": """
import os, tempfile
from joblib import Parallel, delayed
from sklearn.model_selection import cross_val_score
class Slow(MLPRegressor):
    def fit(self, X, y):
        return super().fit(X, y, X_val=X, y_val=y)
model = Slow((4,), scoring=slow(), max_iter=200, n_iter_no_change=np.inf)
cross_val_score(model, X, y, cv=2, n_jobs=2)
""",
    "redirected output": """
import contextlib, io
with contextlib.redirect_stdout(io.StringIO()):
    fit()
""",
    "output without isatty": """
before, sys.stdout = sys.stdout, object()
fit()
sys.stdout = before
""",
}


def test_nothing_is_printed():
    text = on_terminal("".join(f"{code}\nprint('{case}')\n" for case, code in SILENT.items()))
    assert text.splitlines() == list(SILENT)


def test_nothing_is_printed_on_a_terminal_without_escape_sequences():
    assert on_terminal("fit()", TERM="dumb") == ""


def test_nothing_is_printed_to_a_pipe():
    done = subprocess.run(
        [sys.executable, "-c", SLOW_FIT + "fit()"],
        env=environment() | {"FORCE_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_bar_of_scikit_learn_replaces_ours():
    pytest.importorskip("sklearn.callback")
    text = on_terminal(
        "from sklearn.callback import ProgressBar\n"
        "from sklearn.pipeline import make_pipeline\n"
        "class Slow(MLPRegressor):\n"
        "    def fit(self, X, y):\n"
        "        return super().fit(X, y, X_val=X, y_val=y)\n"
        "for depth in (0, 1):\n"
        "    model = Slow((4,), scoring=slow(), max_iter=200, n_iter_no_change=np.inf)\n"
        "    pipe = make_pipeline('passthrough', model)\n"
        "    pipe.set_callbacks(ProgressBar(max_propagation_depth=depth)).fit(X, y)\n"
    )
    assert "Pipeline" in text
    assert "Slow" in text
    assert "loss" not in text


def test_verbose_is_validated_and_converted():
    with pytest.raises(ValueError, match="'verbose'"):
        MLPClassifier(verbose="bar").fit([[0.0], [1.0]], [0, 1])
    model = MLPClassifier(max_iter=1).fit([[0.0], [1.0]], [0, 1])
    for verbose, theirs in (("auto", False), (False, False), (0, False), (True, True), (2, True)):
        assert to_sklearn(model.set_params(verbose=verbose)).verbose is theirs
