"""
A learning rate that is too low
===============================

The steps are so small that training ends long before it reaches a minimum.
"""

import matplotlib.pyplot as plt
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknn_adam import MLPClassifier
from sknn_adam.inspection import LearningRateFinderDisplay, diagnose

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, stratify=y, random_state=0)

# %%
# The diagnosis
# -------------

broken = MLPClassifier((64,), max_iter=40, random_state=0)
broken.set_params(optimizer__learning_rate=1e-5).fit(X_train, y_train)
findings = diagnose(broken)
print(findings)
assert findings[0].kind == "learning_rate_low"

# %%
# The cure
# --------
# Set the parameters that the findings suggest, and fit again.

cured = clone(broken).set_params(**findings.params)
cured.fit(X_train, y_train)
print(f"broken {broken.score(X_test, y_test):.2f}, cured {cured.score(X_test, y_test):.2f}")
assert "learning_rate_low" not in [finding.kind for finding in diagnose(cured)]
assert cured.score(X_test, y_test) > 0.9

# %%
# Symptoms
# --------
# The range test (left) shows the learning rate at which the loss starts to fall.

COLORS = {"broken": "#D55E00", "cured": "#0072B2"}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
LearningRateFinderDisplay.from_estimator(
    MLPClassifier((64,), random_state=0), X_train, y_train, ax=left
)
right.plot(broken.loss_curve_, color=COLORS["broken"], label="broken")
right.plot(cured.loss_curve_, color=COLORS["cured"], ls="--", label="cured")
right.set(xlabel="epoch", ylabel="training loss", yscale="log")
right.legend()

plt.show()

# %%
# Causes and other cures
# ----------------------
# The loss falls smoothly but very slowly. ``stop_reason_`` is often ``"tol"``, because the decrease
# per epoch is below the tolerance and training ends as if it had converged.
#
# * Use the optimizer's default, or the learning rate that
#   :func:`sknn_adam.inspection.learning_rate_range` suggests [1]_.
# * If you want a low learning rate, train for more epochs with ``tol=0``.
#
# .. [1] Smith, L. N. (2017). Cyclical learning rates for training neural networks. WACV.
