"""
Batches that are too large
==========================

The batches contain so many samples that an epoch has only a few steps.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknn_adam import MLPClassifier
from sknn_adam.inspection import diagnose

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, stratify=y, random_state=0)

# %%
# The diagnosis
# -------------

broken = MLPClassifier((64,), batch_size=1347, max_iter=40, random_state=0)
broken.fit(X_train, y_train)
findings = diagnose(broken)
print(findings)
assert findings[0].kind == "batch_too_large"

# %%
# The cure
# --------
# Set the parameters that the findings suggest, and fit again.

cured = clone(broken).set_params(**findings.params)
cured.fit(X_train, y_train)
print(f"broken {broken.score(X_test, y_test):.2f}, cured {cured.score(X_test, y_test):.2f}")
assert "batch_too_large" not in [finding.kind for finding in diagnose(cured)]
assert cured.score(X_test, y_test) > 0.9

# %%
# Symptoms
# --------
# Plotted against steps (left), the broken training is not slower. It just takes too few steps.

COLORS = {"broken": "#D55E00", "cured": "#0072B2"}
figure, (left, right) = plt.subplots(1, 2, sharey=True, figsize=(9, 3.6), layout="constrained")
for axis, unit in ((left, "step"), (right, "epoch")):
    for model, name, style in ((broken, "broken", "-"), (cured, "cured", "--")):
        per_epoch = model.n_steps_ / model.n_iter_ if unit == "step" else 1
        at = per_epoch * np.arange(1, model.n_iter_ + 1)
        axis.plot(at, model.loss_curve_, style, label=name, color=COLORS[name])
    axis.set(xlabel=unit, yscale="log")
left.set(ylabel="training loss", xscale="log")
left.legend()

plt.show()

# %%
# Causes and other cures
# ----------------------
# The gradient over a hundred samples has nearly the same direction as the gradient over a thousand,
# at a tenth of the cost. Most networks have learned little after fewer than a few hundred steps
# [1]_.
#
# * Use ``batch_size="auto"``, or 32 on small tables.
# * If you need large batches for speed, train for more epochs with a higher learning rate.
#
# .. [1] Masters, D., Luschi, C. (2018). Revisiting small batch training for deep neural networks.
#    arXiv:1804.07612.
