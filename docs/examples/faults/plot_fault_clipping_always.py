"""
Clipping in every step
======================

A limit so low that it decides the length of every step.
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
# What is wrong
# -------------

broken = MLPClassifier((64,), optimizer=SGD(0.1), gradient_clip=0.01, max_iter=40, random_state=0)
broken.fit(X_train, y_train)
findings = diagnose(broken)
print(findings)
assert findings[0].kind == "clipping_always"

# %%
# The cure
# --------
# The parameters of the findings, set and fitted again.

cured = clone(broken).set_params(**findings.params)
cured.fit(X_train, y_train)
print(f"broken {broken.score(X_test, y_test):.2f}, cured {cured.score(X_test, y_test):.2f}")
assert "clipping_always" not in [finding.kind for finding in diagnose(cured)]
assert cured.score(X_test, y_test) > 0.9

# %%
# How it looks
# ------------
# Every gradient lies above the limit (left).

COLORS = {"broken": "#D55E00", "cured": "#0072B2"}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
norms = broken.history_["gradient_norm"]
left.semilogy(norms, label="gradient, before it is clipped")
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
# Why, and what else helps
# ------------------------
# Clipping is for the rare step whose gradient is far larger than usual [1]_. Where it acts in
# nearly every step, it is a learning rate in disguise, and mostly one that is too low; clipping by
# value changes the direction as well. ``history_["clip_rate"]`` has the share of clipped steps.
#
# * A limit a few times the usual norm, which ``history_["gradient_norm"]`` tells, or none.
# * Adam and its kin do not mind the size of gradients: there the harm is small.
#
# .. [1] Pascanu, R., Mikolov, T., Bengio, Y. (2013). On the difficulty of training recurrent neural
#    networks. ICML.
