"""
Underfitting
============

The network is constrained too much, by a penalty, by dropout, or by a layer with too few units.
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

broken = MLPClassifier((64, 2, 64), max_iter=60, random_state=0)
broken.fit(X_train, y_train)
findings = diagnose(broken)
print(findings)
assert findings[0].kind == "underfitting"

# %%
# The cure
# --------
# Set the parameters that the findings suggest, and fit again.

cured = clone(broken).set_params(**findings.params)
cured.fit(X_train, y_train)
print(f"broken {broken.score(X_test, y_test):.2f}, cured {cured.score(X_test, y_test):.2f}")
assert "underfitting" not in [finding.kind for finding in diagnose(cured)]
assert cured.score(X_test, y_test) > 0.9

# %%
# Symptoms
# --------
# The final loss of the broken network is high: two units have to encode ten classes.

COLORS = {"broken": "#D55E00", "cured": "#0072B2"}
figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
axis.plot(broken.loss_curve_, color=COLORS["broken"], label="broken")
axis.plot(cured.loss_curve_, color=COLORS["cured"], ls="--", label="cured")
axis.axhline(np.log(10), color="0.5", ls=":", label="constant prediction")
axis.set(xlabel="epoch", ylabel="training loss", yscale="log")
axis.legend()

plt.show()

# %%
# Causes and other cures
# ----------------------
# A training loss that stays high has two possible causes: noise that no network can learn, or a
# network that is constrained too much. The finding names the constraint. Without one, underfitting
# is not reported. Typical constraints are:
#
# * a penalty far above ``alpha="auto"``, or dropout above a half;
# * a layer with fewer units than classes: later layers cannot recover the information it loses.
