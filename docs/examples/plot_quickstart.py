"""
Quickstart: three searches over one pipeline
============================================

A pipeline of a scaler and a network is tuned by scikit-learn's ``GridSearchCV`` and
``RandomizedSearchCV`` and by scikit-optimize's ``BayesSearchCV``. All three vary the scaler, the
optimizer, its learning rate, the initializer, the hidden layers and the batch size. The data are
scikit-learn's digits: 1797 pictures of 8 by 8 pixels.

Run it as a script: it shows its progress, prints one table and saves the curves of the searches as
``quickstart.png`` in the current directory.
"""

import os
import threading
import time
from contextlib import contextmanager
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
# The pipeline, and what is searched
# ----------------------------------
# Optimizers and initializers are given by name or as instances, side by side. The learning rate
# belongs to the optimizer, so its name is ``mlp__optimizer__learning_rate``, and it can be searched
# together with the optimizer, whether that is a name or an instance.

FOLDS = 3
SCALERS = [StandardScaler(), MinMaxScaler(), MinMaxScaler((-1, 1))]
OPTIMIZERS = ["adam", "rmsprop", SGD(momentum=0.9)]
INITIALIZERS = ["he_normal", "glorot_uniform", VarianceScaling(scale=0.5)]
SIZES = ["32", "64", "64-64", "128-64"]  # strings, because scikit-optimize takes no tuples

pipeline = Pipeline([("scale", StandardScaler()), ("mlp", MLPClassifier(max_iter=30))])
pipeline.set_params(mlp__random_state=0)


def grid_search(scoring):
    """Return a search over every combination of a few values, and how many there are."""
    grid = {
        "scale": SCALERS,
        "mlp__optimizer": ["adam", SGD(momentum=0.9)],
        "mlp__optimizer__learning_rate": [0.001, 0.01],
        "mlp__initializer": ["he_normal", VarianceScaling(scale=0.5)],
        "mlp__hidden_layer_sizes": ["32", "128-64"],
        "mlp__batch_size": [32, 256],
    }
    search = GridSearchCV(pipeline, grid, scoring=scoring, cv=FOLDS, n_jobs=2)
    return search, int(np.prod([len(values) for values in grid.values()]))


def random_search(scoring, n_iter=96):
    """Return a search that draws from distributions, and how often it draws."""
    distributions = {
        "scale": SCALERS,
        "mlp__optimizer": OPTIMIZERS,
        "mlp__optimizer__learning_rate": loguniform(1e-4, 1e-1),
        "mlp__initializer": INITIALIZERS,
        "mlp__hidden_layer_sizes": SIZES,
        "mlp__batch_size": randint(32, 257),
    }
    options = {"scoring": scoring, "cv": FOLDS, "n_jobs": 2, "random_state": 0}
    return RandomizedSearchCV(pipeline, distributions, n_iter=n_iter, **options), n_iter


def bayes_search(scoring, n_iter=40):
    """Return a search that learns from its earlier candidates, and how many it may try."""
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
    options = {"scoring": scoring, "cv": FOLDS, "n_jobs": 2, "random_state": 0}
    # Two candidates at a time keep both workers busy. Sampling where to look next, instead of
    # optimizing it, halves the time that the search itself takes.
    options |= {"n_points": 2, "optimizer_kwargs": {"acq_optimizer": "sampling"}}
    return BayesSearchCV(pipeline, space, n_iter=n_iter, **options), n_iter


# %%
# Progress
# --------
# The folds of a candidate are scored in other processes. A scorer that writes the time of each call
# to a file lets this one see how far they are, and later when each candidate was done.


class TimedAccuracy:
    """Accuracy, as a scorer that adds a line with the time to a file."""

    def __init__(self, path):
        self.path = path
        self.path.touch()

    def __call__(self, estimator, X, y):
        """Score the estimator on one fold."""
        accuracy = estimator.score(X, y)
        with self.path.open("a") as file:
            file.write(f"{time.time()}\n")
        return accuracy

    def times(self):
        """Return when the scores so far were computed."""
        return np.sort(np.array(self.path.read_text().split(), dtype=float))


@contextmanager
def progress(name, scorer, total):
    """Show how many of the `total` scores are there, until the block ends."""
    ended = threading.Event()

    def follow(show):
        while not ended.wait(0.2):
            show(len(scorer.times()))
        show(len(scorer.times()))

    with display(name, total) as show:
        follower = threading.Thread(target=follow, args=[show])
        follower.start()
        try:
            yield
        finally:
            ended.set()
            follower.join()


@contextmanager
def display(name, total):
    """Give a function that shows a count: as a bar on a terminal, elsewhere as a few lines."""
    try:
        from rich import console, progress
    except ImportError:
        terminal = False
    else:
        terminal = console.Console().is_terminal
    if terminal:
        columns = ("{task.description:18}", progress.BarColumn(), progress.MofNCompleteColumn())
        with progress.Progress(*columns, "fits", progress.TimeElapsedColumn()) as bar:
            task = bar.add_task(name, total=total)
            yield lambda count: bar.update(task, completed=count)
        return
    quarters = [total * part // 4 for part in range(1, 5)]

    def show(count):
        while quarters and count >= quarters[0]:
            print(f"{name}: {quarters.pop(0)} of {total} fits", flush=True)

    yield show


# %%
# Run the searches
# ----------------


def short(search):
    """Describe the best candidate in a few words."""
    best = search.best_estimator_
    mlp, scaler = best["mlp"], best["scale"]
    return (
        f"{scaler}, {type(mlp.optimizer_).__name__} {mlp.optimizer_.learning_rate:.2g}, "
        f"{mlp.initializer}, {mlp.hidden_layer_sizes}, batch {mlp.batch_size}"
    )


def run(name, make, X_train, X_test, y_train, y_test):
    """Run one search; return a row of the table with the course of the search, or None."""
    with TemporaryDirectory() as folder:
        scorer = TimedAccuracy(Path(folder) / "times")
        try:
            search, n_candidates = make(scorer)
        except ImportError as error:
            print(f"{name} is left out: it needs the package scikit-optimize ({error}).")
            return None
        start = time.time()
        with progress(name, scorer, FOLDS * n_candidates), threadpool_limits(1, "blas"):
            search.fit(X_train, y_train)
        seconds = time.time() - start
        candidate_done = scorer.times()[FOLDS - 1 :: FOLDS] - start
    return {
        "search": name,
        "candidates": n_candidates,
        "seconds": seconds,
        "CV accuracy": search.best_score_,
        "held-out": search.best_estimator_.score(X_test, y_test),
        "best parameters": short(search),
        "course": np.maximum.accumulate(search.cv_results_["mean_test_score"]),
        "times": candidate_done,
    }


digits = train_test_split(*load_digits(return_X_y=True), test_size=0.25, random_state=0)
makers = {
    "GridSearchCV": grid_search,
    "RandomizedSearchCV": random_search,
    "BayesSearchCV": bayes_search,
}
rows = [row for name, make in makers.items() if (row := run(name, make, *digits))]

# %%
# The table
# ---------
# Accuracies are those of the best candidate: the mean over the folds that chose it, and that on a
# quarter of the pictures that no search has seen.

columns = {
    "search": "{:<18}",
    "candidates": "{:>10}",
    "seconds": "{:>7.1f}",
    "CV accuracy": "{:>11.4f}",
    "held-out": "{:>8.4f}",
    "best parameters": "{}",
}
headings = [
    form.replace(".1f", "").replace(".4f", "").format(name) for name, form in columns.items()
]
print("\n" + "  ".join(headings))
for row in rows:
    print("  ".join(form.format(row[name]) for name, form in columns.items()))

# %%
# The curves
# ----------
# The best mean accuracy found so far, against the candidates tried and against the time. A model of
# earlier results needs fewer candidates, but spends time of its own on choosing each.

STYLES = [("#0072B2", "-"), ("#E69F00", "--"), ("#009E73", "-.")]  # Okabe and Ito's colours

figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
for row, (color, dashes) in zip(rows, STYLES, strict=False):
    counts = np.arange(1, len(row["course"]) + 1)
    for axis, x in zip(axes, [counts, row["times"]], strict=True):
        axis.step(x, row["course"], dashes, where="post", color=color, label=row["search"])
axes[0].set(xlabel="Candidates tried", ylabel="Best cross-validated accuracy so far")
axes[1].set(xlabel="Seconds")
axes[1].legend(loc="lower right")
figure.savefig("quickstart.png.part", format="png", dpi=150)
os.replace("quickstart.png.part", "quickstart.png")
print("\nThe curves are in quickstart.png.")
