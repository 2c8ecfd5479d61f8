"""
Exploding gradients
===================

The gradient grows from layer to layer in the backward pass, and the first steps ruin the weights.
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

broken = MLPClassifier((64,) * 5, initializer=RandomNormal(0.8), max_iter=30, random_state=0)
broken.fit(X_train, y_train)
findings = diagnose(broken)
print(findings)
assert "exploding_gradients" in [finding.kind for finding in findings]

# %%
# The cure
# --------
# Set the parameters that the findings suggest, and fit again.

cured = clone(broken).set_params(**findings.params)
cured.fit(X_train, y_train)
print(f"broken {broken.score(X_test, y_test):.2f}, cured {cured.score(X_test, y_test):.2f}")
assert "exploding_gradients" not in [finding.kind for finding in diagnose(cured)]
assert cured.score(X_test, y_test) > 0.9

# %%
# Symptoms
# --------
# Gradients reach hundreds of times the size of the weights (left), and the initial loss is far too
# high.

COLORS = {"broken": "#D55E00", "cured": "#0072B2"}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for model, name, style in ((broken, "broken", "o-"), (cured, "cured", "s--")):
    layers = model.history_.layers
    ratio = np.divide(layers["loss_gradient_norm"][0], layers["weight_norm"][0])
    left.semilogy(np.arange(1, model.n_layers_), ratio, style, label=name, color=COLORS[name])
left.axhline(10, color="0.5", ls=":", label="threshold of the diagnosis")
left.set(xlabel="layer", ylabel="gradient norm / weight norm, first step")
left.legend()
right.plot(broken.loss_curve_, color=COLORS["broken"], label="broken")
right.plot(cured.loss_curve_, color=COLORS["cured"], ls="--", label="cured")
right.set(xlabel="epoch", ylabel="training loss", yscale="log")
right.legend()

plt.show()

# %%
# Causes and other cures
# ----------------------
# Weights that are too large for the fan-in amplify the signal in the forward pass and the gradient
# in the backward pass, by a factor that grows exponentially with depth [1]_, [2]_.
#
# * Use the initializer that suits the activation: ``initializer="auto"``.
# * If that initializer is already in use, normalize the layers and clip: ``gradient_clip=1.0``.
# * See :ref:`sphx_glr_auto_examples_plot_exploding_gradients.py` for more.
#
# .. [1] Pascanu, R., Mikolov, T., Bengio, Y. (2013). On the difficulty of training recurrent neural
#    networks. ICML.
# .. [2] He, K., Zhang, X., Ren, S., Sun, J. (2015). Delving deep into rectifiers. ICCV.
