"""
A learning rate that is too high
================================

The steps are so large that they overshoot every minimum.
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

broken = MLPClassifier((64,), max_iter=40, random_state=0)
broken.set_params(optimizer__learning_rate=0.5).fit(X_train, y_train)
findings = diagnose(broken)
print(findings)
assert findings[0].kind == "learning_rate_high"

# %%
# The cure
# --------
# Set the parameters that the findings suggest, and fit again.

cured = clone(broken).set_params(**findings.params)
cured.fit(X_train, y_train)
print(f"broken {broken.score(X_test, y_test):.2f}, cured {cured.score(X_test, y_test):.2f}")
assert "learning_rate_high" not in [finding.kind for finding in diagnose(cured)]
assert cured.score(X_test, y_test) > 0.9

# %%
# Symptoms
# --------
# Each step of the broken training changes the weights completely (left), and the loss fluctuates.

COLORS = {"broken": "#D55E00", "cured": "#0072B2"}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for model, name, style in ((broken, "broken", "o-"), (cured, "cured", "s--")):
    layers = model.history_.layers
    left.semilogy(
        layers["epoch"],
        np.median(layers["update_ratio"], axis=1),
        style,
        label=name,
        color=COLORS[name],
    )
left.axhline(1e-3, color="0.5", ls=":", label="usual")
left.set(xlabel="epoch", ylabel="relative change of the weights per step")
left.legend()
right.plot(broken.loss_curve_, color=COLORS["broken"], label="broken")
right.plot(cured.loss_curve_, color=COLORS["cured"], ls="--", label="cured")
right.set(xlabel="epoch", ylabel="training loss", yscale="log")
right.legend()

plt.show()

# %%
# Causes and other cures
# ----------------------
# A gradient describes the loss only near the current weights. A step that is large relative to the
# weights leaves the region in which the gradient is valid. Usual steps change the weights by about
# a thousandth of their norm.
#
# * Use the optimizer's default, or the learning rate that
#   :func:`sknn_adam.inspection.learning_rate_range` suggests [1]_.
# * Use a decreasing schedule, such as ``schedule="cosine"``, or a warm-up.
#
# .. [1] Smith, L. N. (2017). Cyclical learning rates for training neural networks. WACV.
