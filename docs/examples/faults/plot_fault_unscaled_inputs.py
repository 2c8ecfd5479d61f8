"""
Inputs that are not scaled
==========================

The columns differ greatly in scale, and the large ones dominate the gradient.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline

from sknn_adam import MLPClassifier
from sknn_adam.inspection import diagnose

X, y = load_wine(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

# %%
# The diagnosis
# -------------

broken = Pipeline([("mlp", MLPClassifier(max_iter=60, random_state=0))])
broken.fit(X_train, y_train)
findings = diagnose(broken)
print(findings)
assert findings[0].kind == "unscaled_inputs"

# %%
# The cure
# --------
# Set the parameters that the findings suggest, and fit again.

cured = clone(broken).set_params(**findings.params)
cured.fit(X_train, y_train)
print(f"broken {broken.score(X_test, y_test):.2f}, cured {cured.score(X_test, y_test):.2f}")
assert "unscaled_inputs" not in [finding.kind for finding in diagnose(cured)]
assert cured.score(X_test, y_test) > 0.95

# %%
# Symptoms
# --------
# One column is a thousand times as large as some others (left).

COLORS = {"broken": "#D55E00", "cured": "#0072B2"}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for place, (model, name) in enumerate(((broken, "broken"), (cured, "cured"))):
    inputs = model[:-1].transform(X_train) if len(model.steps) > 1 else X_train
    size = np.sqrt(np.mean(inputs**2, axis=0))
    left.bar(np.arange(13) + 0.4 * place - 0.2, size, 0.4, label=name, color=COLORS[name])
left.set(xlabel="column of X", ylabel="root mean square", yscale="log")
left.legend()
right.plot(broken["mlp"].loss_curve_, color=COLORS["broken"], label="broken")
right.plot(cured["mlp"].loss_curve_, color=COLORS["cured"], ls="--", label="cured")
right.set(xlabel="epoch", ylabel="training loss", yscale="log")
right.legend()

plt.show()

# %%
# Causes and other cures
# ----------------------
# The gradient of a weight is proportional to its input. If some columns have values around 1000 and
# others around 1, no learning rate suits both, and the initial outputs are huge [1]_. This is the
# most frequent fault of all and the cheapest to cure.
#
# * Use ``make_pipeline(StandardScaler(), MLPClassifier())``. For a Pipeline, as here, the finding
#   includes the scaler as a parameter. For a bare network it only recommends scaling in its text.
# * For sparse matrices, use ``StandardScaler(with_mean=False)`` or ``MaxAbsScaler()``.
# * For heavy tails, use ``QuantileTransformer(output_distribution="normal")``, see :doc:`/scaling`.
#
# .. [1] LeCun, Y., Bottou, L., Orr, G., Müller, K.-R. (1998). Efficient BackProp. Section 4.3.
