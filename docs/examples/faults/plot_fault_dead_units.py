"""
Dead units
==========

Units that output 0 for every sample get no gradient and cannot recover.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from sknn_adam import MLPClassifier
from sknn_adam.initializers import Constant
from sknn_adam.inspection import diagnose

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, stratify=y, random_state=0)
# The faulty fit below is meant to fail.
warnings.simplefilter("ignore", ConvergenceWarning)

# %%
# The diagnosis
# -------------

broken = MLPClassifier((64, 32), bias_initializer=Constant(-8.0), max_iter=30, random_state=0)
broken.fit(X_train, y_train)
findings = diagnose(broken)
print(findings)
assert findings[0].kind == "dead_units"

# %%
# The cure
# --------
# Set the parameters that the findings suggest, and fit again.

cured = clone(broken).set_params(**findings.params)
cured.fit(X_train, y_train)
print(f"broken {broken.score(X_test, y_test):.2f}, cured {cured.score(X_test, y_test):.2f}")
assert "dead_units" not in [finding.kind for finding in diagnose(cured)]
assert cured.score(X_test, y_test) > 0.9

# %%
# Symptoms
# --------
# Nearly all units are dead (left), and the loss stays at that of a constant prediction.

COLORS = {"broken": "#D55E00", "cured": "#0072B2"}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for place, (model, name) in enumerate(((broken, "broken"), (cured, "cured"))):
    dead = model.history_.layers["dead"][-1][:-1]
    left.bar(np.array([1, 2]) + 0.4 * place - 0.2, dead, 0.4, label=name, color=COLORS[name])
left.set(xlabel="hidden layer", ylabel="fraction of dead units", xticks=[1, 2], xlim=(0.6, 3.2))
left.legend(loc="right")
right.plot(broken.loss_curve_, color=COLORS["broken"], label="broken")
right.plot(cured.loss_curve_, color=COLORS["cured"], ls="--", label="cured")
right.set(xlabel="epoch", ylabel="training loss", yscale="log")
right.legend()

plt.show()

# %%
# Causes and other cures
# ----------------------
# ReLU is 0 with slope 0 for every negative input. A unit whose input is negative for all samples no
# longer receives a gradient. Large negative biases have this effect, and so does a single step that
# is too large. The usual cause is therefore a learning rate that is too high [1]_.
#
# * Use an activation that is not flat anywhere: ``activation="leaky_relu"``.
# * Initialize the biases to 0, and lower the learning rate.
# * Some dead units, even a few in ten, are common and harmless.
#
# .. [1] Maas, A. L., Hannun, A. Y., Ng, A. Y. (2013). Rectifier nonlinearities improve neural
#    network acoustic models. ICML.
