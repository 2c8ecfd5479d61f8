"""
Overfitting
===========

The network memorizes the training samples, and the loss on new samples rises.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import make_friedman1
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale

from sknn_adam import MLPRegressor
from sknn_adam.inspection import diagnose

X, y = make_friedman1(400, noise=4.0, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(scale(X), y, test_size=0.5, random_state=0)

# %%
# The diagnosis
# -------------

broken = MLPRegressor(
    (256, 256), alpha=0.0, averaging=None, max_iter=150, n_iter_no_change=150, random_state=0
)
broken.fit(X_train, y_train, X_val=X_test, y_val=y_test)
findings = diagnose(broken)
print(findings)
assert findings[0].kind == "overfitting"

# %%
# The cure
# --------
# Set the parameters that the findings suggest, and fit again.

cured = clone(broken).set_params(**findings.params)
cured.fit(X_train, y_train, X_val=X_test, y_val=y_test)
print(f"broken {broken.score(X_test, y_test):.2f}, cured {cured.score(X_test, y_test):.2f}")
assert "overfitting" not in [finding.kind for finding in diagnose(cured)]
assert cured.score(X_test, y_test) > 0.1

# %%
# Symptoms
# --------
# The validation loss reaches its minimum after a few epochs and rises from there.

COLORS = {"broken": "#D55E00", "cured": "#0072B2"}
figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
for model, name in ((broken, "broken"), (cured, "cured")):
    loss = np.negative(model.validation_scores_)
    axis.plot(loss, "--", color=COLORS[name], label=f"{name}: validation loss")
axis.plot(broken.loss_curve_, color=COLORS["broken"], label="broken: training loss")
axis.axvline(cured.best_iter_ - 1, color="0.5", ls=":", label="cured: selected epoch")
axis.set(xlabel="epoch", ylabel="loss", ylim=(-0.01, 0.75))
axis.legend(loc="upper right")

plt.show()

# %%
# Causes and other cures
# ----------------------
# With enough parameters a network can learn the noise in its training samples. The training loss
# does not reveal this, but the loss on held-out samples does. Pass ``X_val`` and ``y_val`` to
# ``fit``, or pass new samples to the diagnosis: ``diagnose(model, X_test, y_test)``.
#
# * ``early_stopping=True`` keeps the weights of the best epoch [1]_.
# * Other cures are a stronger penalty (``alpha``), ``dropout``, weight averaging, a smaller network
#   and, above all, more samples.
#
# .. [1] Prechelt, L. (1998). Early stopping, but when? In: Neural networks: tricks of the trade.
