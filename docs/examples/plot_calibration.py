"""
Calibrated probabilities
========================

If a classifier gives a probability of 0.8, the class should be right in 80 % of such cases. A
reliability diagram shows whether it is. Networks that are trained for too long are too confident;
the recipes for tables hardly are, and calibration then changes little.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.datasets import make_classification
from sklearn.metrics import brier_score_loss, log_loss
from sklearn.model_selection import train_test_split

from sknn_adam import MLPClassifier, make_tabular_pipeline

# %%
# One class in five is wrong: no classifier can be right in more than about 90 % of all cases.

X, y = make_classification(
    11_000, 12, n_informative=6, n_clusters_per_class=3, flip_y=0.2, random_state=0
)
X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=1000, random_state=0)

models = {
    "200 epochs without a penalty": MLPClassifier(
        (128, 128), alpha=0.0, averaging=None, max_iter=200, n_iter_no_change=np.inf, random_state=0
    ),
    "recipe fast": make_tabular_pipeline("classifier", recipe="fast", random_state=0),
    "recipe default": make_tabular_pipeline("classifier", random_state=0),
}

# %%
# Reliability diagrams
# --------------------
# Each point is a group of test samples with similar probabilities. If points are below the diagonal
# at high probabilities, and above it at low ones, the classifier is too confident.

figure, axes = plt.subplots(1, 3, figsize=(11, 4), sharey=True, layout="constrained")
print(f"{'':<29}{'':<13}log loss  Brier score")
losses = {}
for axis, (name, model) in zip(axes, models.items(), strict=True):
    calibrated = CalibratedClassifierCV(clone(model), ensemble=False, cv=5)
    for label, each, color in (
        ("as it is", model, "#0072B2"),
        ("calibrated", calibrated, "#D55E00"),
    ):
        probability = each.fit(X_train, y_train).predict_proba(X_test)[:, 1]
        CalibrationDisplay.from_predictions(
            y_test, probability, n_bins=10, strategy="quantile", ax=axis, name=label, color=color
        )
        losses[name, label] = log_loss(y_test, probability)
        brier = brier_score_loss(y_test, probability)
        print(f"{name:<29}{label:<13}{losses[name, label]:.3f}     {brier:.3f}")
    axis.set(title=name, xlabel="predicted probability", ylabel="fraction of class 1")

plt.show()

# %%
# What to do
# ----------
# * Early stopping, a penalty and averages over several networks give calibrated probabilities as a
#   side effect. ``CalibratedClassifierCV`` repairs a network that lacks them, but cannot make it as
#   good as one that has them.
# * ``class_weight`` and a threshold change the decisions; class weights spoil the probabilities.
# * With few samples of a class, calibration itself is noisy: ``method="sigmoid"`` needs fewer than
#   ``"isotonic"``.

assert losses["200 epochs without a penalty", "as it is"] > losses["recipe default", "as it is"]
assert losses["recipe default", "as it is"] < losses["recipe default", "calibrated"] + 0.01
