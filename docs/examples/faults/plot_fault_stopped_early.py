"""
Training that ended too early
=============================

The limit on epochs or the patience was reached while the loss was still falling.
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
# The diagnosis
# -------------

broken = MLPClassifier((64,), max_iter=4, random_state=0)
broken.fit(X_train, y_train)
findings = diagnose(broken)
print(findings)
assert findings[0].kind == "stopped_early"

# %%
# The cure
# --------
# Set the parameters that the findings suggest, and fit again.

cured = clone(broken).set_params(**findings.params)
cured.fit(X_train, y_train)
print(f"broken {broken.score(X_test, y_test):.2f}, cured {cured.score(X_test, y_test):.2f}")
assert "stopped_early" not in [finding.kind for finding in diagnose(cured)]
assert cured.score(X_test, y_test) > 0.9

# %%
# Symptoms
# --------
# The loss was still falling when training ended.

COLORS = {"broken": "#D55E00", "cured": "#0072B2"}
figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
axis.plot(cured.loss_curve_, color=COLORS["cured"], ls="--", label="cured")
axis.plot(broken.loss_curve_, "o-", color=COLORS["broken"], label="broken: ends here")
axis.set(xlabel="epoch", ylabel="training loss")
axis.legend()

plt.show()

# %%
# Causes and other cures
# ----------------------
# ``stop_reason_`` names the limit that was reached.
#
# * ``"max_iter"``: train for more epochs. Reaching ``max_iter`` is not a fault in itself. It is
#   reported only if the loss was still falling by more than a hundredth of the loss of a constant
#   prediction per epoch.
# * ``"tol"`` or ``"early_stopping"``: use a smaller ``tol`` or a larger ``n_iter_no_change``.
