"""
Initialization and batch normalization: depth and speed
=======================================================

    Using careful weight initialization techniques, like Xavier or He initialization, can help to
    prevent gradients from becoming too large in the first place.

    Batch Normalization: This technique helps to stabilize activations throughout the network,
    which in turn helps stabilize gradients.

Two papers quantify these claims. He, Zhang, Ren and Sun (2015, figures 2 and 3) train networks with
ReLU activations. With 22 layers, networks with He initialization learn sooner than those with
Xavier initialization. With 30 layers, they still learn, while networks with Xavier initialization
stall. With batch normalization, Ioffe and Szegedy (2015, figures 2 and 3) reach the same accuracy
in many times fewer steps, because it tolerates larger learning rates. This example repeats both
experiments on a smaller scale, with fully connected networks on scikit-learn's digits.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sknn_adam import SGD, MLPClassifier
from sknn_adam.initializers import VarianceScaling

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=1280, stratify=y, random_state=0
)
scaler = StandardScaler().fit(X_train)
X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
STEPS_PER_EPOCH = 20


def train(sizes, learning_rate, *, momentum=0.0, seed=0, **more):
    """Return a network trained in batches of 64, with its test accuracy per epoch.

    The test samples do not affect training, which ends after ``max_iter`` epochs.
    """
    options = {"optimizer": SGD(learning_rate=learning_rate, momentum=momentum)} | more
    model = MLPClassifier(
        sizes,
        batch_size=64,
        alpha=0,
        averaging=None,
        tol=0,
        n_iter_no_change=np.inf,
        scoring="accuracy",
        record="all",
        random_state=seed,
        **options,
    )
    with warnings.catch_warnings():
        # Some learning rates are too large on purpose.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X_train, y_train, X_val=X_test, y_val=y_test)


def final_accuracy(model):
    """Return the mean accuracy of the last five epochs, or chance level after divergence."""
    return 0.1 if model.stop_reason_ == "diverged" else np.mean(model.validation_scores_[-5:])


def steps_to(accuracy, model):
    """Return the number of steps until this accuracy was first reached, or infinity."""
    reached = np.array(model.validation_scores_ or [0.0]) >= accuracy
    return (np.argmax(reached) + 1) * STEPS_PER_EPOCH if reached.any() else np.inf


def milliseconds(model):
    """Return the time per step in the median epoch, including validation."""
    return 1000 * np.median(model.history_["seconds"]) / STEPS_PER_EPOCH


# %%
# He initialization against Xavier initialization
# -----------------------------------------------
# ReLU passes half of the signal. Xavier initialization is meant for activations that pass the
# entire signal. With ReLU, its variance shrinks the signal by a factor of :math:`\sqrt{1/2}` per
# layer in both the forward and the backward pass, which is :math:`4 \cdot 10^{-5}` over 29 layers.
# He initialization has twice the variance, which avoids this loss. Both networks are trained with
# momentum 0.9, as in the paper, from three random initializations each.

INITIALIZERS = {"Xavier": "xavier_normal", "He": "he_normal"}
SEEDS = [0, 1, 2]


def compare(n_layers, epochs):
    """Train with both initializers, and return the networks by the initializer's name."""
    options = {"momentum": 0.9, "max_iter": epochs}
    return {
        name: [
            train(f"100x{n_layers}", 0.002, seed=seed, initializer=initializer, **options)
            for seed in SEEDS
        ]
        for name, initializer in INITIALIZERS.items()
    }


deep, shallow = compare(30, 50), compare(10, 50)
print(f"{'layers':>6} {'weights':8} {'first gradient':>14} {'steps to 90 %':>20} {'accuracy':>20}")
for n_layers, models in [(10, shallow), (30, deep)]:
    for name, fitted in models.items():
        gradient = np.median([model.history_.layers["gradient_norm"][0][0] for model in fitted])
        steps = " ".join(f"{steps_to(0.9, model):6.0f}" for model in fitted)
        scores = " ".join(f"{final_accuracy(model):6.3f}" for model in fitted)
        print(f"{n_layers:6} {name:8} {gradient:14.1e} {steps:>20} {scores:>20}")

for model in deep["He"]:
    assert final_accuracy(model) > 0.8
for model in deep["Xavier"]:
    assert final_accuracy(model) < 0.4
for he, xavier in zip(shallow["He"], shallow["Xavier"], strict=True):
    assert steps_to(0.8, he) < steps_to(0.8, xavier)
    assert final_accuracy(xavier) > 0.8

# %%
# These results confirm both figures of the paper. With 10 layers, the networks learn with either
# initializer, but sooner with He initialization. With 30 layers, all networks with He
# initialization learn, and none with Xavier initialization.

BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained")


def tidy(axis):
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)


for name, color, dashes, marker in [("Xavier", ORANGE, "--", "s"), ("He", BLUE, "-", "o")]:
    norms = deep[name][0].history_.layers["gradient_norm"][0]
    axes[0].semilogy(range(1, 32), norms, dashes, color=color, marker=marker, ms=4, label=name)
    for axis, models in zip(axes[1:], [shallow, deep], strict=True):
        for seed, model in enumerate(models[name]):
            label = name if seed == 0 else None
            axis.plot(model.loss_curve_, dashes, color=color, alpha=0.8, label=label)
axes[0].set(xlabel="layer", ylabel="gradient norm of the weights", title="30 layers, first step")
axes[1].set(xlabel="epoch", ylabel="training loss", title="10 layers, three seeds")
axes[2].set(xlabel="epoch", ylabel="training loss", title="30 layers, three seeds")
for axis in axes:
    tidy(axis)
    axis.legend(title="weights", loc="center right")

# %%
# Batch normalization: equal accuracy in fewer steps
# --------------------------------------------------
# Three networks train with and without batch normalization, at seven learning rates from 0.03 to
# 30, for 20 epochs of plain gradient descent. Their initial weights come from
# ``initializer="auto"``, which uses Xavier initialization for the sigmoid, and for ReLU He
# initialization except in the first layer, where it uses Xavier initialization. A learning rate
# counts as usable if the final accuracy is above 90 %.

RATES = [0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]
NETWORKS = {
    "3 x sigmoid": ("64x3", "sigmoid"),
    "6 x sigmoid": ("64x6", "sigmoid"),
    "6 x ReLU": ("64x6", "relu"),
}
NORMALIZATIONS = {"none": None, "batch": "batch"}

ROW = "{:12} {:10} {:>12} {:>13} {:>7} {:>9}"
print(ROW.format("network", "normalized", "largest rate", "steps to 90 %", "to 95 %", "ms / step"))
by_rate, largest, fewest = {}, {}, {}
for name, (sizes, activation) in NETWORKS.items():
    for normalized, normalization in NORMALIZATIONS.items():
        options = {"activation": activation, "normalization": normalization, "max_iter": 20}
        models = [train(sizes, rate, **options) for rate in RATES]
        key = name, normalized
        by_rate[key] = [final_accuracy(model) for model in models]
        usable = [rate for rate, end in zip(RATES, by_rate[key], strict=True) if end > 0.9]
        largest[key] = max(usable, default=0.0)
        fewest[key] = [min(steps_to(goal, model) for model in models) for goal in (0.9, 0.95)]
        time = f"{milliseconds(models[0]):.2f}"
        print(ROW.format(name, normalized, largest[key], *fewest[key], time))

assert not largest["6 x sigmoid", "none"]
assert largest["6 x sigmoid", "batch"] >= 1
for name in ["3 x sigmoid", "6 x ReLU"]:
    assert largest[name, "batch"] >= largest[name, "none"] > 0, name
    assert fewest[name, "batch"][1] <= fewest[name, "none"][1], name
assert largest["6 x ReLU", "batch"] > 2 * largest["6 x ReLU", "none"]
assert fewest["3 x sigmoid", "batch"][1] < 0.6 * fewest["3 x sigmoid", "none"][1]

# %%
# The claim of the paper holds qualitatively: with batch normalization, the largest usable learning
# rate is three to ten times as large, and an accuracy of 95 % takes two to four times fewer steps,
# each network at its own best learning rate. Six layers of sigmoids learn only with batch
# normalization. The paper reports learning rates up to 30 times as large and 14 times fewer steps,
# in much larger networks. Here, each step with batch normalization takes nearly twice as long, so
# little of the gain remains for ReLU.

figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained", sharey=True)
for axis, name in zip(axes, NETWORKS, strict=True):
    axis.semilogx(RATES, by_rate[name, "none"], "s--", color=ORANGE, lw=2, label="none")
    axis.semilogx(RATES, by_rate[name, "batch"], "o-", color=BLUE, lw=2, label="batch")
    axis.axhline(0.9, color="#666666", ls=":", lw=1)
    axis.set(xlabel="learning rate", title=name, ylim=(0, 1))
    tidy(axis)
axes[0].set_ylabel("test accuracy after 20 epochs")
axes[2].legend(title="normalization", loc="lower left")

# %%
# Batch normalization instead of careful initialization
# -----------------------------------------------------
# Dividing by the standard deviation of the batch cancels the scale of the weights, so a network
# with batch normalization should not depend on this scale. This is tested on six ReLU layers with
# weights 0.1, 1 and 10 times as large as those of He initialization, at the best of three learning
# rates, and on the 30 layers with Xavier initialization.

FACTORS = [0.1, 1, 10]
print(f"{'normalized':10}" + "".join(f"{f'weights x {factor}':>15}" for factor in FACTORS))
scaled = {}
for normalized, normalization in NORMALIZATIONS.items():
    for factor in FACTORS:
        options = {"initializer": VarianceScaling(2.0 * factor**2), "max_iter": 20}
        models = [
            train("64x6", r, normalization=normalization, **options) for r in (0.03, 0.1, 0.3)
        ]
        scaled[normalized, factor] = max(final_accuracy(model) for model in models)
    print(f"{normalized:10}" + "".join(f"{scaled[normalized, f]:15.3f}" for f in FACTORS))

options = {"momentum": 0.9, "max_iter": 50, "initializer": "xavier_normal"}
rescued = train("100x30", 0.002, normalization="batch", **options)
norms = rescued.history_.layers["gradient_norm"][0]
print(f"30 layers, Xavier, batch normalization: accuracy {final_accuracy(rescued):.3f}")
print(f"its initial gradients, first layer over last layer: {norms[0] / norms[-1]:.0f}")

for factor in [0.1, 10]:
    assert scaled["none", factor] < 0.3, factor
    assert scaled["batch", factor] > 0.75, factor
assert final_accuracy(rescued) > final_accuracy(deep["Xavier"][0]) + 0.3

# %%
# With batch normalization, the network depends much less on the scale, but it still does. Weights a
# tenth as large even give the best result. With weights ten times as large, the steps are too small
# in relation to the weights, because the gradient shrinks as the weights grow. The 30 layers with
# Xavier initialization, which stalled without batch normalization, now learn. However, the
# gradients of the first layer are hundreds of times as large as those of the last layer. Batch
# normalization stabilizes the activations, but gradients *grow* towards the first layers of deep
# networks (Yang, Pennington, Rao, Sohl-Dickstein and Schoenholz 2019, "A mean field theory of batch
# normalization"). He initialization alone did better.
#
# Summary
# -------
# =============================================  =================================================
# claim                                          result
# =============================================  =================================================
# He trains 30 layers, Xavier stalls             holds for three of three seeds
# He learns sooner with fewer layers             holds
# batch normalization stabilizes activations     holds: trains with weights 0.1 to 10 times He's
# ... and thereby gradients                      partly: with 30 layers they explode moderately
# fewer steps, larger learning rates             holds, with smaller factors than in the paper
# =============================================  =================================================

plt.show()
