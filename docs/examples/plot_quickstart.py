"""
Quickstart: three searches over one pipeline
============================================

This example tunes a pipeline of a scaler and a network with scikit-learn's ``GridSearchCV`` and
``RandomizedSearchCV`` and scikit-optimize's ``BayesSearchCV``. All three vary the scaler, the
optimizer, its learning rate, the initializer, the hidden layers and the batch size. The data are
scikit-learn's digits: 1797 images of 8 by 8 pixels.

When run as a script, it reports its progress, prints a table, and saves the curves of the searches
to ``quickstart.png`` in the current directory.
"""

import os
import threading
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import loguniform, randint
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from threadpoolctl import threadpool_limits

from sknn_adam import SGD, MLPClassifier
from sknn_adam.initializers import VarianceScaling

# %%
# The search spaces
# -----------------
# Optimizers and initializers can be given by name or as instances, even in the same list. The
# learning rate is a parameter of the optimizer, so its name in a search space is
# ``mlp__optimizer__learning_rate``, whether the optimizer of a candidate is a name or an instance.

mlp = MLPClassifier(max_iter=20, schedule="cosine", random_state=0)
pipeline = Pipeline([("scale", StandardScaler()), ("mlp", mlp)])

SCALERS = [StandardScaler(), MinMaxScaler(), MinMaxScaler((-1, 1))]
OPTIMIZERS = ["adam", "rmsprop", SGD(momentum=0.9)]
INITIALIZERS = ["he_normal", "glorot_uniform", VarianceScaling(scale=0.5)]
# The sizes are strings because scikit-optimize does not accept tuples.
SIZES = ["32", "64", "64-64", "128-64"]
FOLDS = 3
OPTIONS = {"cv": FOLDS, "n_jobs": 2}


def grid_search(scoring):
    """Return a search over all combinations of a few values, and their number."""
    grid = {
        "scale": SCALERS,
        "mlp__optimizer": ["adam", SGD(momentum=0.9)],
        "mlp__optimizer__learning_rate": [0.001, 0.01],
        "mlp__initializer": ["he_normal", VarianceScaling(scale=0.5)],
        "mlp__hidden_layer_sizes": ["32", "64-64"],
        "mlp__batch_size": [32, 256],
    }
    return GridSearchCV(pipeline, grid, scoring=scoring, **OPTIONS), 96


def random_search(scoring, n_iter=96):
    """Return a search that samples from distributions, and the number of candidates."""
    distributions = {
        "scale": SCALERS,
        "mlp__optimizer": OPTIMIZERS,
        "mlp__optimizer__learning_rate": loguniform(1e-4, 1e-1),
        "mlp__initializer": INITIALIZERS,
        "mlp__hidden_layer_sizes": SIZES,
        "mlp__batch_size": randint(32, 257),
    }
    options = {"n_iter": n_iter, "random_state": 0, **OPTIONS}
    return RandomizedSearchCV(pipeline, distributions, scoring=scoring, **options), n_iter


def bayes_search(scoring, n_iter=32):
    """Return a search that learns from previous candidates, and the number of candidates."""
    from skopt import BayesSearchCV
    from skopt.space import Categorical, Integer, Real

    space = {
        "scale": Categorical(SCALERS),
        "mlp__optimizer": Categorical(OPTIMIZERS),
        "mlp__optimizer__learning_rate": Real(1e-4, 1e-1, prior="log-uniform"),
        "mlp__initializer": Categorical(INITIALIZERS),
        "mlp__hidden_layer_sizes": Categorical(SIZES),
        "mlp__batch_size": Integer(32, 256, prior="log-uniform"),
    }
    # Two candidates at a time keep both workers busy. Choosing the next ones among random points,
    # instead of optimizing from those points, halves the overhead of the search.
    options = {"n_points": 2, "optimizer_kwargs": {"acq_optimizer": "sampling"}}
    options |= {"n_iter": n_iter, "random_state": 0, **OPTIONS}
    return BayesSearchCV(pipeline, space, scoring=scoring, **options), n_iter


# %%
# Progress
# --------
# The folds are scored in other processes. The scorer appends the time of each call to a file. From
# this file, the main process reads the progress of a search and, at the end, the time at which each
# candidate was finished.


class TimedAccuracy:
    """Accuracy scorer that appends the time of each call to a file."""

    def __init__(self, path):
        self.path = path
        path.touch()

    def __call__(self, estimator, X, y):
        """Score the estimator on one fold."""
        accuracy = estimator.score(X, y)
        with self.path.open("a") as file:
            file.write(f"{time.time()}\n")
        return accuracy

    def times(self):
        """Return the times of the calls so far."""
        return np.sort(np.array(self.path.read_text().split(), dtype=float))


def terminal_bar():
    """Return a progress bar from rich, or None without rich or without a terminal."""
    try:
        from rich import console, progress
    except ImportError:
        return None
    if not console.Console().is_terminal:
        return None
    columns = ["{task.description:6}", progress.BarColumn(), progress.MofNCompleteColumn()]
    return progress.Progress(*columns, "fits", progress.TimeElapsedColumn())


@contextmanager
def progress(name, scorer, total):
    """Report progress from a thread: a bar on a terminal, otherwise a line after each quarter."""
    bar, ended = terminal_bar(), threading.Event()
    task = bar.add_task(name, total=total) if bar else None

    def follow():
        quarters = [total * quarter // 4 for quarter in (1, 2, 3, 4)]
        last = False
        while not last:
            last = ended.wait(0.2)
            count = len(scorer.times())
            if bar:
                bar.update(task, completed=count)
            while not bar and quarters and count >= quarters[0]:
                print(f"{name}: {quarters.pop(0)} of {total} fits", flush=True)

    with bar or nullcontext():
        follower = threading.Thread(target=follow)
        follower.start()
        try:
            yield
        finally:
            ended.set()
            follower.join()


# %%
# Run the searches
# ----------------


def run(name, make, X_train, X_test, y_train, y_test):
    """Run a search, and return its results, or None if its package is not installed."""
    with TemporaryDirectory() as folder:
        scorer = TimedAccuracy(Path(folder) / "times")
        try:
            search, candidates = make(scorer)
        except ImportError as error:
            print(f"Skipping {name}, which requires the package scikit-optimize: {error}")
            return None
        start = time.time()
        with progress(name, scorer, FOLDS * candidates), threadpool_limits(1, "blas"):
            search.fit(X_train, y_train)
        seconds = time.time() - start
        candidate_done = scorer.times()[FOLDS - 1 :: FOLDS] - start
    best, mlp = search.best_estimator_, search.best_estimator_["mlp"]
    return {
        "search": name,
        "tried": candidates,
        "seconds": f"{seconds:.1f}",
        "CV accuracy": f"{search.best_score_:.4f}",
        "held out": f"{best.score(X_test, y_test):.4f}",
        "best parameters": f"{best['scale']}, {type(mlp.optimizer_).__name__} "
        f"{mlp.optimizer_.learning_rate:.2g}, {mlp.initializer}, {mlp.hidden_layer_sizes}, "
        f"batch {mlp.batch_size}".replace("feature_range=", ""),
        "curve": np.maximum.accumulate(search.cv_results_["mean_test_score"]),
        "times": candidate_done,
    }


digits = train_test_split(*load_digits(return_X_y=True), test_size=0.25, random_state=0)
makers = {"grid": grid_search, "random": random_search, "Bayes": bayes_search}
rows = [row for name, make in makers.items() if (row := run(name, make, *digits))]

# %%
# The table
# ---------
# The table shows two accuracies of the best candidate: the mean over the folds, which selected it,
# and the accuracy on a held-out quarter of the images.

columns = ["search", "tried", "seconds", "CV accuracy", "held out", "best parameters"]
print()
for row in [dict(zip(columns, columns, strict=True)), *rows]:
    print("{:6}  {:>5}  {:>7}  {:>11}  {:>8}  {}".format(*(row[column] for column in columns)))

# %%
# The curves
# ----------
# The curves show the best mean accuracy so far against the number of candidates and against time.
# The Bayesian search needs time to choose each candidate, which is visible here because a fit takes
# only tenths of a second.

# The palette of Okabe and Ito, which is safe for colour-blind readers.
STYLES = [("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", "-.")]

figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
for row, (color, dashes) in zip(rows, STYLES, strict=False):
    counts = np.arange(1, len(row["curve"]) + 1)
    for axis, x in zip(axes, [counts, row["times"]], strict=True):
        axis.step(x, row["curve"], dashes, where="post", color=color, lw=2, label=row["search"])
axes[0].set(xlabel="candidates tried", ylabel="best cross-validated accuracy so far")
axes[1].set(xlabel="seconds")
axes[1].legend(title="search", loc="lower right")
for axis in axes:
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
figure.savefig("quickstart.png.part", format="png", dpi=150)
os.replace("quickstart.png.part", "quickstart.png")
print("\nSaved the curves to quickstart.png.")
