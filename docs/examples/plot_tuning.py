"""
Tuning: defaults, grid, random, Bayes
=====================================

"How to choose hyperparameters?" A common answer is: *"Start with reasonable defaults, then
systematically experiment, keeping track of your results."* This example follows the advice in
rounds, and compares the cost and the gain of each search method. :doc:`plot_hyperparameters` covers
the effects of the individual settings.

The data are scikit-learn's digits, and networks train for at most 20 epochs. Half of the images are
used for tuning by three-fold cross-validation. The other half is used only once, for the final
accuracy. The result of a single search depends on chance, so the random and Bayesian searches run
with three seeds each.
"""

import time
from math import prod

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    train_test_split,
)
from skopt import BayesSearchCV
from skopt.space import Categorical, Real

from sknn_adam import MLPClassifier

# The palette of Okabe and Ito, which is safe for colour-blind readers.
COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"]
DASHES = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1))]
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True})
plt.rcParams.update({"grid.alpha": 0.3, "legend.fontsize": "small", "axes.titlesize": "medium"})

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, train_size=0.5, stratify=y, random_state=0
)
FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)
SEEDS = range(3)

# %%
# Keeping track
# -------------
# Every candidate of every search becomes a row of one table, with the search, the parameters, the
# mean score over the folds and its standard error, and the fit time in seconds. All searches with
# the interface of scikit-learn have ``cv_results_``, so one function can read them all.

log = []


def record(stage, seed, search):
    """Append the candidates of a search to the log, and return its best parameters."""
    results = search.cv_results_
    for i, params in enumerate(results["params"]):
        row = {
            "stage": stage,
            "seed": seed,
            **{name.removeprefix("optimizer__"): value for name, value in params.items()},
            "score": results["mean_test_score"][i],
            "error": results["std_test_score"][i] / np.sqrt(FOLDS.get_n_splits() - 1),
            "seconds": results["mean_fit_time"][i],
            "params": dict(params),
        }
        log.append(row)
    return dict(search.best_params_)


def rows_of(stage, seed):
    """Return the rows of a search in the order in which they were tried."""
    return [row for row in log if (row["stage"], row["seed"]) == (stage, seed)]


# %%
# Round 0: the defaults
# ---------------------
# The defaults are Adam with a learning rate of 0.001, one hidden layer of 200 units, and batches of
# 64.

defaults = MLPClassifier(max_iter=20, random_state=0)
record("defaults", 0, GridSearchCV(defaults, {"alpha": ["auto"]}, cv=FOLDS).fit(X_train, y_train))
print(f"defaults: {log[0]['score']:.4f} ± {log[0]['error']:.4f}")

# %%
# Early stopping within a search
# ------------------------------
# *"Early Stopping: This isn't a hyperparameter itself, but a technique to prevent overfitting."* In
# a search it also saves time, because it ends the training of a candidate that makes no progress.
# It is a parameter of the estimator, so all searches below can use it. A tenth of the training
# samples is held out, and training stops when their loss has not fallen for more than four epochs.

network = MLPClassifier(max_iter=20, early_stopping=True, n_iter_no_change=4, random_state=0)

# %%
# Round 1: a grid
# ---------------
# *"You define a range of values for each hyperparameter and try all possible combinations. It's
# thorough but can be computationally expensive."*
#
# Five hyperparameters are tuned here. The number of combinations is the product of the numbers of
# values.

RATE = "optimizer__learning_rate"
# The sizes are strings because scikit-optimize does not accept tuples.
SIZES = ["32", "64", "128", "64-64", "128-64"]
BATCHES = [16, 32, 64, 128, 256]
SCHEDULES = ["constant", "cosine"]
GRID = {
    RATE: [0.001, 0.01, 0.1],
    "hidden_layer_sizes": ["32", "128-64"],
    "batch_size": [32, 128],
    "alpha": [1e-5, 1e-3],
    "schedule": ["cosine"],
}

start = time.perf_counter()
grid = GridSearchCV(network, GRID, cv=FOLDS, refit=False).fit(X_train, y_train)
seconds = (time.perf_counter() - start) / prod(map(len, GRID.values()))
record("grid", 0, grid)
print("values for each of 5   candidates   fits of 3 folds    time here")
for values in (2, 3, 5, 10):
    count = values**5
    print(f"{values:22}   {count:10}   {3 * count:15}   {count * seconds / 60:6.1f} min")

# %%
# **Holds: a grid is costly.** The grid used here has 24 candidates and therefore only one to three
# values for each hyperparameter.

N_TRIES = prod(map(len, GRID.values()))
HALF = N_TRIES // 2

# %%
# Round 2: random and Bayesian search
# -----------------------------------
# *"Instead of trying all combinations, you randomly sample values from the defined ranges. This is
# often more efficient than grid search, especially when you have many hyperparameters."* (Bergstra
# and Bengio, 2012.)
#
# *"Bayesian Optimization: This is a more intelligent approach that uses past evaluations to guide
# the search for optimal hyperparameters. It builds a probabilistic model of the objective
# function."* (Snoek et al., 2012.) ``BayesSearchCV`` fits a Gaussian process to the scores so far,
# after six random candidates.
#
# Each search gets as many candidates as the grid, 24, and therefore as many fits. Two further
# searches have two rounds: twelve random candidates from the wide space, then twelve from a space
# narrowed around the best of them, chosen either at random or by the Gaussian process. Comparing
# the two separates the effect of narrowing from the effect of the model.

WIDE = {
    RATE: (1e-4, 1.0),
    "alpha": (1e-6, 1e-1),
    "hidden_layer_sizes": SIZES,
    "batch_size": BATCHES,
    "schedule": SCHEDULES,
}


def narrowed(best):
    """Return a space around the best parameters, with nearby numbers and adjacent list entries."""
    space = {}
    for name, values in WIDE.items():
        if isinstance(values, tuple):
            fold = 3 if name == RATE else 10
            space[name] = best[name] / fold, best[name] * fold
        else:
            place = values.index(best[name])
            space[name] = values[max(0, place - 1) : place + 2]
    return space


def random_search(space, n_iter, seed):
    """Return a fitted random search."""
    space = {
        name: loguniform(*values) if isinstance(values, tuple) else values
        for name, values in space.items()
    }
    options = {"n_iter": n_iter, "random_state": seed, "refit": False}
    return RandomizedSearchCV(network, space, cv=FOLDS, **options).fit(X_train, y_train)


def bayes_search(space, n_iter, seed):
    """Return a fitted Bayesian search."""
    space = {
        name: Real(*values, prior="log-uniform")
        if isinstance(values, tuple)
        else Categorical(values)
        for name, values in space.items()
    }
    # If three candidates are proposed at a time, the Gaussian process is fitted less often.
    options = {"n_iter": n_iter, "n_points": 3, "random_state": seed, "refit": False}
    options["optimizer_kwargs"] = {"n_initial_points": 6, "acq_optimizer": "sampling"}
    return BayesSearchCV(network, space, cv=FOLDS, **options).fit(X_train, y_train)


took = dict.fromkeys(("random", "Bayes", "random, narrowed", "Bayes, narrowed"), 0.0)
for seed in SEEDS:
    for stage, search in (("random", random_search), ("Bayes", bayes_search)):
        start = time.perf_counter()
        record(stage, seed, search(WIDE, N_TRIES, seed))
        took[stage] += (time.perf_counter() - start) / len(SEEDS)
    coarse = max(rows_of("random", seed)[:HALF], key=lambda row: row["score"])["params"]
    near = narrowed(coarse)
    for stage, search in (("random, narrowed", random_search), ("Bayes, narrowed", bayes_search)):
        start = time.perf_counter()
        record(stage, seed, search(near, HALF, seed + 100))
        took[stage] += (time.perf_counter() - start) / len(SEEDS)


def scores_of(stage, seed):
    """Return the scores in order, starting with the coarse candidates for a narrowed search."""
    scores = [row["score"] for row in rows_of(stage, seed)]
    if stage.endswith("narrowed"):
        scores = [row["score"] for row in rows_of("random", seed)[:HALF]] + scores
    return np.array(scores)


# %%
# The table summarizes the log. "Best" is the best mean score over the folds after all 24
# candidates, and "halfway" is the best after 12. "Tries" is the mean score over all candidates of
# the search, without the first round of a narrowed search. "Held out" is the accuracy of the best
# candidate on the held-out images after training on all tuning images, and "seconds" is the
# duration of the search.


def held_out(row):
    """Return the mean accuracy of a candidate on the held-out half over three seeds."""
    model = clone(network).set_params(**row["params"])
    models = (clone(model).set_params(random_state=seed) for seed in SEEDS)
    return np.mean([m.fit(X_train, y_train).score(X_test, y_test) for m in models])


print("search            seed    best   halfway   tries  held out  seconds")
SUMMARY = {}
for stage in ("defaults", "grid", *took):
    for seed in SEEDS if stage in took else [0]:
        rows, scores = rows_of(stage, seed), scores_of(stage, seed)
        best = max(rows, key=lambda row: row["score"])
        test = held_out({"params": {"early_stopping": False}} if stage == "defaults" else best)
        tries = np.mean([row["score"] for row in rows])
        SUMMARY[stage, seed] = scores.max(), scores[:HALF].max(), tries, test
        cells = "".join(f"{value:9.4f}" for value in SUMMARY[stage, seed])
        print(f"{stage:18} {seed:2}{cells}   {took.get(stage, np.nan):6.1f}")

KEYS = ["stage", "seed", "learning_rate", "hidden_layer_sizes", "batch_size", "alpha", "schedule"]
print(f"\nThe best three of the {len(log)} rows of the log")
for row in sorted(log, key=lambda row: -row["score"])[:3]:
    print("  ", {key: row.get(key) for key in KEYS}, f"{row['score']:.4f} ± {row['error']:.4f}")

figure, axes = plt.subplots(1, 2, figsize=(12, 4.4), layout="constrained")
stages = ["grid", *took]
for stage, color, dash, marker in zip(stages, COLORS, DASHES, "os^Dv", strict=True):
    seeds = SEEDS if stage in took else [0]
    runs = np.array([np.maximum.accumulate(scores_of(stage, seed)) for seed in seeds])
    tries = np.arange(1, runs.shape[1] + 1)
    axes[0].plot(tries, runs.mean(axis=0), color=color, ls=dash, label=stage)
    axes[0].fill_between(tries, runs.min(axis=0), runs.max(axis=0), color=color, alpha=0.1)
    rows = [row for row in log if row["stage"] == stage]
    rates = [row["learning_rate"] for row in rows]
    axes[1].semilogx(rates, [r["score"] for r in rows], marker, color=color, alpha=0.6, label=stage)
axes[0].set(title="Best score so far, and its range over seeds", ylim=(0.9, 0.97))
axes[0].set(xlabel="candidates tried", ylabel="cross-validated accuracy")
axes[1].set(title="All candidates in the log", xlabel="learning rate of Adam", ylim=(0, 1))
axes[0].legend(loc="lower right")
axes[1].legend(loc="lower left")

# %%
# **Random against grid.** With equal numbers of candidates, the two reach about the same score. The
# learning rate matters most (right panel). The grid tries three learning rates, and random search
# tries 24. The three values of the grid were well chosen here. A grid of 0.0001, 0.001 and 0.003
# would have missed the best range.
#
# **Narrowing holds.** After a coarse round, the space around the best candidate contains hardly any
# bad candidates: the mean of all tries rises from about 0.63 to 0.95. The best score rises only a
# little, because the coarse round had already found a good candidate.
#
# **Bayes: not with 24 candidates.** In the wide space, its candidates are not better than random
# ones, and the model takes more time than the fits. The method works as described, but modelling
# five hyperparameters needs more than 24 evaluations, and the names in a list have no distances
# that the model could use. In the narrowed space it is as good as random search.

mean = {
    stage: np.mean([SUMMARY[stage, seed] for seed in (SEEDS if stage in took else [0])], axis=0)
    for stage in stages
}
assert max(abs(mean[stage][0] - mean["grid"][0]) for stage in stages) < 0.02
for stage in ("random", "Bayes"):
    assert mean[f"{stage}, narrowed"][2] > mean[stage][2] + 0.15
assert mean["Bayes"][2] < mean["random"][2] + 0.1

# %%
# **Defaults.** On the held-out images, every search halves the error of the defaults, from 7 % to
# about 3 %. Twenty epochs are few for a learning rate of 0.001.

gains = {stage: mean[stage][3] - SUMMARY["defaults", 0][3] for stage in stages}
print("gain over the defaults, held out:", {stage: f"{gain:+.3f}" for stage, gain in gains.items()})
assert min(gains.values()) > 0.01

# %%
# **Early stopping within a search.** The random candidates of the first seed are fitted again, with
# and without early stopping.


def epochs_and_score(row, early_stopping):
    params = {**row["params"], "early_stopping": early_stopping, "n_iter_no_change": 4}
    model = clone(network).set_params(**params, tol=1e-4).fit(X_train, y_train)
    return model.n_iter_, model.score(X_test, y_test)


with_, without = (
    np.array([epochs_and_score(row, early) for row in rows_of("random", 0)])
    for early in (True, False)
)
saved = 1 - with_[:, 0].sum() / without[:, 0].sum()
good = without[:, 1] > 0.9
lost = (without[good, 1] - with_[good, 1]).mean()
print(f"epochs saved: {saved:.0%}; accuracy lost by good candidates: {lost:.3f}")
assert saved > 0
assert lost < 0.03

# %%
# Early stopping saves a tenth of the epochs, on candidates that make no progress. It does not
# reduce the accuracy of the good candidates, although they train on a tenth fewer samples.
#
# Summary
# -------
# ============================================  ===================================================
# claim                                         result
# ============================================  ===================================================
# a grid is thorough but costly                 holds: ten values for each of five hyperparameters
#                                               need 100,000 candidates
# random search is often more efficient         as good with 24 candidates; tries more values of the
#                                               important parameter
# Bayesian search chooses promising candidates  not with 24 candidates; takes three times as long
# early stopping within a search                holds: saves epochs without harm to good candidates
# start with defaults, then experiment          holds: defaults are within four points of the best
# iterate: narrow the space                     holds: hardly any bad candidate in the second round
# keep track of the results                     one table of all searches provides the plots above
# ============================================  ===================================================

plt.show()
