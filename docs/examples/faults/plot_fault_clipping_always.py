"""
Clipping in every step
======================

The clipping threshold is so low that it determines the length of every step.
"""

import matplotlib.pyplot as plt
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknn_adam import MLPClassifier
from sknn_adam.inspection import diagnose
from sknn_adam.optimizers import SGD

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, stratify=y, random_state=0)

# %%
# The diagnosis
# -------------

broken = MLPClassifier((64,), optimizer=SGD(0.1), gradient_clip=0.01, max_iter=40, random_state=0)
broken.fit(X_train, y_train)
findings = diagnose(broken)
print(findings)
assert findings[0].kind == "clipping_always"

# %%
# The cure
# --------
# Set the parameters that the findings suggest, and fit again.

cured = clone(broken).set_params(**findings.params)
cured.fit(X_train, y_train)
print(f"broken {broken.score(X_test, y_test):.2f}, cured {cured.score(X_test, y_test):.2f}")
assert "clipping_always" not in [finding.kind for finding in diagnose(cured)]
assert cured.score(X_test, y_test) > 0.9

# %%
# Symptoms
# --------
# The gradient norm is above the threshold in every epoch (left).

COLORS = {"broken": "#D55E00", "cured": "#0072B2"}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
norms = broken.history_["gradient_norm"]
left.semilogy(norms, label="gradient before clipping")
left.axhline(0.01, color=COLORS["broken"], ls="--", label="broken: gradient_clip=0.01")
limit = cured.gradient_clip
left.axhline(limit, color=COLORS["cured"], ls=":", label=f"cured: gradient_clip={limit}")
left.set(xlabel="epoch", ylabel="norm")
left.legend(loc="center right")
right.plot(broken.loss_curve_, color=COLORS["broken"], label="broken")
right.plot(cured.loss_curve_, color=COLORS["cured"], ls="--", label="cured")
right.set(xlabel="epoch", ylabel="training loss", yscale="log")
right.legend()

plt.show()

# %%
# Causes and other cures
# ----------------------
# Clipping is meant for the rare step with a gradient far larger than usual [1]_. If it acts in
# nearly every step, the threshold becomes the effective learning rate, usually one that is too low.
# Clipping by value changes the direction as well. ``history_["clip_rate"]`` contains the fraction
# of clipped steps.
#
# * Set the threshold to a few times the usual norm, which ``history_["gradient_norm"]`` records, or
#   do not clip at all.
# * Adam and its variants are insensitive to the scale of the gradients, so clipping harms them
#   less.
#
# .. [1] Pascanu, R., Mikolov, T., Bengio, Y. (2013). On the difficulty of training recurrent neural
#    networks. ICML.
