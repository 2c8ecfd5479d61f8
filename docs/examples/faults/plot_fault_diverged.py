"""
Training that diverged
======================

The loss explodes until it is no longer finite.
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
# The faulty fit below is meant to fail.
warnings.simplefilter("ignore", ConvergenceWarning)

# %%
# The diagnosis
# -------------

broken = MLPRegressor((64,), optimizer=SGD(0.9, momentum=0.9), max_iter=60, random_state=0)
broken.fit(X_train, y_train)
findings = diagnose(broken)
print(findings)
assert "diverged" in [finding.kind for finding in findings]

# %%
# The cure
# --------
# Set the parameters that the findings suggest, and fit again.

cured = clone(broken).set_params(**findings.params)
cured.fit(X_train, y_train)
print(f"broken {broken.score(X_test, y_test):.2f}, cured {cured.score(X_test, y_test):.2f}")
assert "diverged" not in [finding.kind for finding in diagnose(cured)]
assert cured.score(X_test, y_test) > 0.7

# %%
# Symptoms
# --------
# The figure shows the loss until training diverged, and the loss with the suggested parameters.

COLORS = {"broken": "#D55E00", "cured": "#0072B2"}
figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
steps = np.maximum(1, len(broken.loss_curve_))
axis.plot(broken.loss_curve_ or [np.nan], "o-", color=COLORS["broken"], label="broken: ends here")
axis.plot(cured.loss_curve_, color=COLORS["cured"], ls="--", label="cured")
axis.set(xlabel="epoch", ylabel="training loss", yscale="log")
axis.legend()

plt.show()

# %%
# Causes and other cures
# ----------------------
# Each step overshoots by more than the one before. ``fit`` stops, restores the best finite weights
# and issues a warning, but it does not determine the cause. The diagnosis looks for one and
# suggests a cure for it: unscaled inputs or targets, initial weights that are too large, or a
# learning rate that is too high.
#
# * Scale the data, and lower the learning rate.
# * ``gradient_clip=1.0`` bounds the length of the gradient.
