"""
Training that ended too early
=============================

The epochs, or the patience, were over while the loss was falling.
"""

import matplotlib.pyplot as plt
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknn_adam import MLPClassifier
from sknn_adam.inspection import diagnose

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, stratify=y, random_state=0)

# %%
# What is wrong
# -------------

broken = MLPClassifier((64,), max_iter=4, random_state=0)
broken.fit(X_train, y_train)
findings = diagnose(broken)
print(findings)
assert findings[0].kind == "stopped_early"

# %%
# The cure
# --------
# The parameters of the findings, set and fitted again.

cured = clone(broken).set_params(**findings.params)
cured.fit(X_train, y_train)
print(f"broken {broken.score(X_test, y_test):.2f}, cured {cured.score(X_test, y_test):.2f}")
assert "stopped_early" not in [finding.kind for finding in diagnose(cured)]
assert cured.score(X_test, y_test) > 0.9

# %%
# How it looks
# ------------
# The loss was on its way down.

COLORS = {"broken": "#D55E00", "cured": "#0072B2"}
figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
axis.plot(cured.loss_curve_, color=COLORS["cured"], ls="--", label="cured")
axis.plot(broken.loss_curve_, "o-", color=COLORS["broken"], label="broken: ends here")
axis.set(xlabel="epoch", ylabel="training loss")
axis.legend()

plt.show()

# %%
# Why, and what else helps
# ------------------------
# ``stop_reason_`` tells which limit it was.
#
# * ``"max_iter"``: more epochs. Spending them is no failure in itself; the finding comes only where
#   the loss was falling by more than a hundredth of that of guessing in every epoch.
# * ``"tol"`` or ``"early_stopping"``: a smaller ``tol``, a larger ``n_iter_no_change``.
