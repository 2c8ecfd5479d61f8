"""
Prediction intervals
====================

Out-of-fold errors of a cross-fitted network become intervals that contain the target in 90 % of all
cases. With a loss that predicts quantiles or standard deviations, they are wide where the targets
are noisy, and narrow elsewhere.
"""

import matplotlib.pyplot as plt
import numpy as np

from sknn_adam import Adam, MLPRegressor
from sknn_adam.conformal import ConformalRegressor
from sknn_adam.losses import QuantileLoss

# %%
# The noise grows from left to right.

rng = np.random.default_rng(0)
X = np.sort(rng.uniform(-2, 2, (3000, 1)), axis=0)
y = np.sin(3 * X[:, 0]) + rng.normal(size=3000) * (0.35 + 0.15 * X[:, 0])
train, test = np.arange(3000) % 3 == 0, np.arange(3000) % 3 > 0

# %%
# Three losses, the same network
# ------------------------------
# ``cv=8`` trains eight networks. Each predicts the eighth of the samples that it has not seen.

network = MLPRegressor(
    (64, 64), optimizer=Adam(0.005), max_iter=100, cv=8, early_stopping=True, random_state=0
)
losses = {
    "squared error": "squared_error",
    "gaussian": "gaussian",
    "quantiles": QuantileLoss([0.05, 0.5, 0.95]),
}
figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), sharey=True, layout="constrained")
print(f"{'':<15}coverage  left half  right half  mean width")
for axis, (name, loss) in zip(axes, losses.items(), strict=True):
    model = ConformalRegressor(network, method="mean").set_params(estimator__loss=loss)
    low, high = model.fit(X[train], y[train]).predict_interval(X[test], coverage=0.9).T
    inside = (low <= y[test]) & (y[test] <= high)
    left = X[test][:, 0] < 0
    parts = inside.mean(), inside[left].mean(), inside[~left].mean(), (high - low).mean()
    print(f"{name:<15}" + "      ".join(f"{part:.2f}" for part in parts))
    assert 0.86 < inside.mean() < 0.94
    axis.plot(X[test], y[test], ".", color="0.6", markersize=2)
    axis.fill_between(X[test][:, 0], low, high, color="#0072B2", alpha=0.35)
    axis.set(title=name, xlabel="x")
axes[0].set(ylabel="y")

plt.show()

# %%
# All three have about the stated coverage on average. With the squared error, intervals are too
# wide where the noise is small, and too narrow where it is large.
