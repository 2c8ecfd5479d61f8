"""
Too few steps
=============

The data set is so small that an epoch has only one or a few steps.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sknn_adam import MLPClassifier
from sknn_adam.inspection import diagnose

X, y = load_iris(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    StandardScaler().fit_transform(X), y, train_size=60, stratify=y, random_state=0
)

# %%
# The diagnosis
# -------------
# With all 60 samples in one batch, 100 epochs are only 100 steps.

broken = MLPClassifier(batch_size=60, random_state=0)
broken.fit(X_train, y_train)
findings = diagnose(broken)
print(findings)
assert findings[0].kind == "too_few_steps"

# %%
# The cure
# --------
# Set the parameters that the findings suggest, and fit again.

cured = clone(broken).set_params(**findings.params)
cured.fit(X_train, y_train)
print(f"broken {broken.score(X_test, y_test):.2f}, cured {cured.score(X_test, y_test):.2f}")
assert "too_few_steps" not in [finding.kind for finding in diagnose(cured)]
assert cured.score(X_test, y_test) > broken.score(X_test, y_test)

# %%
# Symptoms
# --------
# Plotted against epochs (right), the broken training seems slow. Plotted against steps (left), it
# has only just begun.

COLORS = {"broken": "#D55E00", "cured": "#0072B2"}
figure, (left, right) = plt.subplots(1, 2, sharey=True, figsize=(9, 3.6), layout="constrained")
for axis, unit in ((left, "step"), (right, "epoch")):
    for model, name, style in ((broken, "broken", "-"), (cured, "cured", "--")):
        per_epoch = model.n_steps_ / model.n_iter_ if unit == "step" else 1
        at = per_epoch * np.arange(1, model.n_iter_ + 1)
        axis.plot(at, model.loss_curve_, style, label=name, color=COLORS[name])
    axis.set(xlabel=unit, yscale="log")
left.set(ylabel="training loss")
left.legend()

plt.show()

# %%
# Causes and other cures
# ----------------------
# Adam changes each weight by about the learning rate per step, so a hundred steps at 0.001 cannot
# change a weight by more than about 0.1.
#
# * Smaller batches give more steps per epoch at about the same cost.
# * If you want full-batch training, use more epochs.
# * More steps also fit noise: if the score on held-out samples falls, use ``early_stopping=True``.
