"""
Underfitting
============

Something holds the network back: a penalty, dropout, or a layer of too few units.
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
# What is wrong
# -------------

broken = MLPClassifier((64, 2, 64), max_iter=60, random_state=0)
broken.fit(X_train, y_train)
findings = diagnose(broken)
print(findings)
assert findings[0].kind == "underfitting"

# %%
# The cure
# --------
# The parameters of the findings, set and fitted again.

cured = clone(broken).set_params(**findings.params)
cured.fit(X_train, y_train)
print(f"broken {broken.score(X_test, y_test):.2f}, cured {cured.score(X_test, y_test):.2f}")
assert "underfitting" not in [finding.kind for finding in diagnose(cured)]
assert cured.score(X_test, y_test) > 0.9

# %%
# How it looks
# ------------
# The loss of the broken network ends high: ten classes have to pass through two units.

COLORS = {"broken": "#D55E00", "cured": "#0072B2"}
figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
axis.plot(broken.loss_curve_, color=COLORS["broken"], label="broken")
axis.plot(cured.loss_curve_, color=COLORS["cured"], ls="--", label="cured")
axis.axhline(np.log(10), color="0.5", ls=":", label="guessing")
axis.set(xlabel="epoch", ylabel="training loss", yscale="log")
axis.legend()

plt.show()

# %%
# Why, and what else helps
# ------------------------
# A training loss that stays high has two possible reasons: noise, which no network can learn, or a
# network that is held back. The finding names what holds it back; where nothing does, there is no
# finding.
#
# * A penalty far above ``alpha="auto"``; dropout above a half.
# * A layer of fewer units than there are classes: nothing behind it can bring back what it has
#   lost.
