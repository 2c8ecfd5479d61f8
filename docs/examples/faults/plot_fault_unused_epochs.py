"""
Unused epochs
=============

Training goes on long after the validation score has stopped improving.
"""

from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknn_adam import Adam, MLPClassifier
from sknn_adam.inspection import diagnose

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, stratify=y, random_state=0)

# %%
# The diagnosis
# -------------
# With unlimited patience, early stopping waits until ``max_iter``. It still keeps the best weights,
# so the score does not suffer.

broken = MLPClassifier(
    optimizer=Adam(0.004),
    early_stopping=True,
    n_iter_no_change=np.inf,
    max_iter=250,
    random_state=0,
)
start = perf_counter()
broken.fit(X_train, y_train)
seconds = {"broken": perf_counter() - start}
findings = diagnose(broken)
print(findings)
assert findings[0].kind == "unused_epochs"

# %%
# The cure
# --------
# Set the parameters that the findings suggest, and fit again.

cured = clone(broken).set_params(**findings.params)
start = perf_counter()
cured.fit(X_train, y_train)
seconds["cured"] = perf_counter() - start
for name, model in (("broken", broken), ("cured", cured)):
    score = model.score(X_test, y_test)
    print(f"{name}: accuracy {score:.2f}, {model.n_iter_} epochs, {seconds[name]:.1f} s")
assert "unused_epochs" not in [finding.kind for finding in diagnose(cured)]
assert cured.score(X_test, y_test) > broken.score(X_test, y_test) - 0.02
assert cured.n_iter_ < broken.n_iter_ / 3

# %%
# Symptoms
# --------
# The validation loss is flat, or rises slowly, over most of the epochs.

figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
for name, model, color in (("broken", broken, "#D55E00"), ("cured", cured, "#0072B2")):
    epochs = np.arange(1, model.n_iter_ + 1)
    axis.plot(epochs, -np.array(model.validation_scores_), label=name, color=color)
axis.set(xlabel="epoch", ylabel="validation loss", yscale="log")
axis.legend()

plt.show()

# %%
# Causes and other cures
# ----------------------
# * A large ``n_iter_no_change``, or a small ``tol`` that counts tiny improvements.
# * A fixed number of epochs without ``early_stopping``: the diagnosis sees this only with ``X_val``
#   and ``y_val``.
# * With a schedule that ends at zero, such as ``"cosine"``, choose ``max_iter`` instead: the last
#   epochs, with their small steps, are often the best.
