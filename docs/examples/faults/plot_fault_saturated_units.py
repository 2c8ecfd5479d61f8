"""
Saturated units
===============

Sigmoid and tanh are flat at both ends, and units that operate there hardly learn.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from sknn_adam import MLPClassifier
from sknn_adam.initializers import RandomNormal
from sknn_adam.inspection import diagnose

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, stratify=y, random_state=0)
# The faulty fit below is meant to fail.
warnings.simplefilter("ignore", ConvergenceWarning)

# %%
# The diagnosis
# -------------

broken = MLPClassifier((64,), "tanh", initializer=RandomNormal(10.0), max_iter=30, random_state=0)
broken.fit(X_train, y_train)
findings = diagnose(broken)
print(findings)
assert findings[0].kind == "saturated_units"

# %%
# The cure
# --------
# Set the parameters that the findings suggest, and fit again.

cured = clone(broken).set_params(**findings.params)
cured.fit(X_train, y_train)
print(f"broken {broken.score(X_test, y_test):.2f}, cured {cured.score(X_test, y_test):.2f}")
assert "saturated_units" not in [finding.kind for finding in diagnose(cured)]
assert cured.score(X_test, y_test) > 0.9

# %%
# Symptoms
# --------
# The hidden outputs of the broken network are close to -1 and 1 (left), where tanh is flat. ReLU is
# flat on one side only.

COLORS = {"broken": "#D55E00", "cured": "#0072B2"}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
inputs = [(X_test @ model.coefs_[0] + model.intercepts_[0]).ravel() for model in (broken, cured)]
outputs = [np.tanh(inputs[0]), np.maximum(inputs[1], 0)]
left.hist(outputs, 30, density=True, label=list(COLORS), color=list(COLORS.values()))
left.set(xlabel="output of hidden units", ylabel="density")
left.legend()
right.plot(broken.loss_curve_, color=COLORS["broken"], label="broken")
right.plot(cured.loss_curve_, color=COLORS["cured"], ls="--", label="cured")
right.set(xlabel="epoch", ylabel="training loss", yscale="log")
right.legend()

plt.show()

# %%
# Causes and other cures
# ----------------------
# The slope of tanh at 3 is a hundredth of its slope at 0. The inputs of units become that large if
# the weights are too large for the fan-in, or if the columns of X are not scaled [1]_.
#
# * Scale the columns, and use the initializer that suits the activation: ``initializer="auto"``.
# * ``normalization="batch"`` keeps the inputs of units in the range where the slope is large.
# * Use an activation with at most one flat end, such as ReLU or SiLU.
#
# .. [1] Glorot, X., Bengio, Y. (2010). Understanding the difficulty of training deep feedforward
#    neural networks. AISTATS.
