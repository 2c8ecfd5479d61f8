"""
Vanishing gradients
===================

The gradient shrinks from layer to layer in the backward pass, and the first layers do not learn.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from sknn_adam import MLPClassifier
from sknn_adam.inspection import diagnose

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, stratify=y, random_state=0)
# The faulty fit below is meant to fail.
warnings.simplefilter("ignore", ConvergenceWarning)

# %%
# The diagnosis
# -------------

broken = MLPClassifier((32,) * 8, "logistic", max_iter=40, random_state=0)
broken.fit(X_train, y_train)
findings = diagnose(broken)
print(findings)
assert "vanishing_gradients" in [finding.kind for finding in findings]

# %%
# The cure
# --------
# Set the parameters that the findings suggest, and fit again.

cured = clone(broken).set_params(**findings.params)
cured.fit(X_train, y_train)
print(f"broken {broken.score(X_test, y_test):.2f}, cured {cured.score(X_test, y_test):.2f}")
assert "vanishing_gradients" not in [finding.kind for finding in diagnose(cured)]
assert cured.score(X_test, y_test) > 0.9

# %%
# Symptoms
# --------
# The gradient of the broken network shrinks from layer to layer (left), and its loss does not
# change.

COLORS = {"broken": "#D55E00", "cured": "#0072B2"}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for model, name, style in ((broken, "broken", "o-"), (cured, "cured", "s--")):
    layers = model.history_.layers
    left.semilogy(
        np.arange(1, model.n_layers_),
        layers["loss_gradient_norm"][0],
        style,
        label=name,
        color=COLORS[name],
    )
left.set(xlabel="layer", ylabel="gradient norm at the first step")
left.legend()
right.plot(broken.loss_curve_, color=COLORS["broken"], label="broken")
right.plot(cured.loss_curve_, color=COLORS["cured"], ls="--", label="cured")
right.set(xlabel="epoch", ylabel="training loss", yscale="log")
right.legend()

plt.show()

# %%
# Causes and other cures
# ----------------------
# In the backward pass, each layer multiplies the gradient by its weights and by the slope of its
# activation. The slope of the sigmoid is at most 1/4, and weights that are too small shrink the
# gradient further. The product of many such factors is almost zero [1]_, [2]_.
#
# * Use an activation of slope 1 (ReLU) with the initializer that suits it, and no more layers than
#   needed.
# * If the depth must stay, use ``normalization="batch"``.
# * :ref:`sphx_glr_auto_examples_plot_vanishing_gradients.py` tests each cure on its own.
#
# .. [1] Hochreiter, S. (1991). Untersuchungen zu dynamischen neuronalen Netzen. Diploma thesis.
# .. [2] Glorot, X., Bengio, Y. (2010). Understanding the difficulty of training deep feedforward
#    neural networks. AISTATS.
