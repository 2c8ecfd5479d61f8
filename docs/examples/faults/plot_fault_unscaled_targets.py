"""
Targets that are not scaled
===========================

With targets in the thousands, the output layer needs weights in the thousands.
"""

import matplotlib.pyplot as plt
from sklearn.base import clone
from sklearn.datasets import make_friedman1
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale

from sknn_adam import MLPRegressor
from sknn_adam.inspection import diagnose

X, y = make_friedman1(800, noise=1.0, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(scale(X), 1000 * y, random_state=0)

# %%
# The diagnosis
# -------------

broken = MLPRegressor((64,), target_scaling=False, max_iter=60, random_state=0)
broken.fit(X_train, y_train)
findings = diagnose(broken)
print(findings)
assert findings[0].kind == "unscaled_targets"

# %%
# The cure
# --------
# Set the parameters that the findings suggest, and fit again.

cured = clone(broken).set_params(**findings.params)
cured.fit(X_train, y_train)
print(f"broken {broken.score(X_test, y_test):.2f}, cured {cured.score(X_test, y_test):.2f}")
assert "unscaled_targets" not in [finding.kind for finding in diagnose(cured)]
assert cured.score(X_test, y_test) > 0.8

# %%
# Symptoms
# --------
# The predictions of the broken network are far from the targets.

figure, (left, right) = plt.subplots(1, 2, sharey=True, figsize=(9, 3.6), layout="constrained")
for axis, model, name in ((left, broken, "broken"), (right, cured, "cured")):
    axis.plot(y_test, model.predict(X_test), ".", ms=4)
    axis.axline((15000, 15000), slope=1, color="0.5", ls=":")
    axis.set(xlabel="target", title=name)
left.set_ylabel("prediction")

plt.show()

# %%
# Causes and other cures
# ----------------------
# The initial outputs of a network are about 0, and each step changes its weights only a little.
# Targets with a mean of 14,000 are out of reach in a few hundred steps of 0.001, and the squared
# error of targets in the thousands has gradients in the thousands.
#
# * The default ``target_scaling=True`` trains on targets with mean 0 and standard deviation 1 and
#   transforms the predictions back.
# * For targets that span many orders of magnitude, use a ``TransformedTargetRegressor`` with
#   ``np.log1p``, or ``loss="gamma"``.
