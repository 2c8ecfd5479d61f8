"""
A search space in one line, and the results of a search
=======================================================

*"Choosing the right hyperparameters … systematically experiment, keeping track of your results."*
Here :func:`sknn_adam.search.search_space` creates the search space, three searches explore it, and
two displays show their results. The data are scikit-learn's breast cancer data, and the score is
the log loss, which penalizes overconfidence as well as errors."""

import matplotlib.pyplot as plt
from sklearn.datasets import load_breast_cancer
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GridSearchCV,
    HalvingRandomSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknn_adam import MLPClassifier
from sknn_adam.search import ComparisonDisplay, SearchDisplay, results_frame, search_space

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
model = make_pipeline(StandardScaler(), MLPClassifier(random_state=0))
options = {
    "scoring": "neg_log_loss",
    "cv": StratifiedKFold(3, shuffle=True, random_state=0),
}

# %%
# The search space
# ----------------
# The names start with the name of the pipeline step. The ranges are declared by the components.

space = search_space(model, exclude="max_iter")
for name, values in space.items():
    shown = values if isinstance(values, list) else f"{values.support()}, logarithmic"
    print(f"{name.removeprefix('mlpclassifier__'):<26}{shown}")

# %%
# Three searches
# --------------
# A grid search and a random search try 24 candidates each. A halving search starts with 48
# candidates and few epochs.

grid = GridSearchCV(model, search_space(model, "grid", size="small"), **options)
random = RandomizedSearchCV(model, space, n_iter=24, random_state=0, **options)
halving = HalvingRandomSearchCV(
    model,
    space,
    resource="mlpclassifier__max_iter",
    n_candidates=48,
    min_resources=11,
    max_resources=100,
    factor=3,
    random_state=0,
    **options,
)
searches = {"grid": grid, "random": random, "halving": halving}
for search in searches.values():
    search.fit(X_train, y_train)

# %%
# Comparison of the searches
# --------------------------
# The curves show the best score so far against the number of candidates (left) and the computing
# time (right). Candidates from the early rounds of halving add time but do not count as results.

ComparisonDisplay.from_searches(searches)
plt.show()

# %%
# Results of the random search
# ----------------------------
# The panels show the score over the course of the search, the permutation importance of each
# parameter, and the score against each parameter.

display = SearchDisplay.from_search(random)
plt.show()

# %%
# The best candidates as a table
# ------------------------------

frame = results_frame(random).sort_values("rank")
for column in ("optimizer__learning_rate", "dropout", "alpha", "hidden_layer_sizes__width"):
    print(f"{column:<26}", list(frame[f"mlpclassifier__{column}"].head(4)))

# %%
# Held-out samples
# ----------------
# The log loss on held-out samples shows whether the cross-validated results generalize.

default = log_loss(y_test, model.fit(X_train, y_train).predict_proba(X_test))
print(f"default  {default:.4f}")
for name, search in searches.items():
    print(f"{name:<9}{log_loss(y_test, search.predict_proba(X_test)):.4f}")

assert grid.best_score_ < 0
assert len(results_frame(grid)) == 24
assert random.best_score_ > results_frame(random)["score"].median()
