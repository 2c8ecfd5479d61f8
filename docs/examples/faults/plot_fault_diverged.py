"""
Training that diverged
======================

The loss explodes until it is no number.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import make_friedman1
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale

from sknn_adam import MLPRegressor
from sknn_adam.inspection import diagnose
from sknn_adam.optimizers import SGD

X, y = make_friedman1(800, noise=1.0, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(scale(X), y, random_state=0)
warnings.simplefilter("ignore", ConvergenceWarning)  # fit says that it failed

# %%
# What is wrong
# -------------

broken = MLPRegressor((64,), optimizer=SGD(0.9, momentum=0.9), max_iter=60, random_state=0)
broken.fit(X_train, y_train)
findings = diagnose(broken)
print(findings)
assert "diverged" in [finding.kind for finding in findings]

# %%
# The cure
# --------
# The parameters of the findings, set and fitted again.

cured = clone(broken).set_params(**findings.params)
cured.fit(X_train, y_train)
print(f"broken {broken.score(X_test, y_test):.2f}, cured {cured.score(X_test, y_test):.2f}")
assert "diverged" not in [finding.kind for finding in diagnose(cured)]
assert cured.score(X_test, y_test) > 0.7

# %%
# How it looks
# ------------
# What was recorded before the end, and the training with the parameters of the findings.

COLORS = {"broken": "#D55E00", "cured": "#0072B2"}
figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
steps = np.maximum(1, len(broken.loss_curve_))
axis.plot(broken.loss_curve_ or [np.nan], "o-", color=COLORS["broken"], label="broken: ends here")
axis.plot(cured.loss_curve_, color=COLORS["cured"], ls="--", label="cured")
axis.set(xlabel="epoch", ylabel="training loss", yscale="log")
axis.legend()

plt.show()

# %%
# Why, and what else helps
# ------------------------
# Each step overshoots by more than the one before. ``fit`` stops, returns to the best finite
# weights and warns; what it cannot know is why. The diagnosis looks for a cause, and cures that:
# inputs or targets that are not scaled, weights that start too large, a learning rate that is too
# high.
#
# * Scale, and lower the learning rate.
# * ``gradient_clip=1.0`` bounds the length of a step.
# * ``on_divergence="raise"`` makes an error of it.
