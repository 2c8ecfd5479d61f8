"""
Exploding gradients: two causes and their cures
===============================================

    Gradients can become excessively large, causing the weights to grow uncontrollably. This leads
    to unstable training, and the model can diverge, meaning it's getting worse instead of better.
    Common causes include large initial weight values or a learning rate that's too high.

    Gradient Clipping: This involves setting a threshold for the gradient's magnitude. If the
    gradient exceeds the threshold, it's scaled down to keep it within bounds.

    Smaller Weight Initialization: Using careful weight initialization techniques, like Xavier or
    He initialization, can help to prevent gradients from becoming too large in the first place.

This example tests both causes on scikit-learn's digits, with weights ten times too large and a
learning rate a hundred times too high, and applies each cure to each cause. All networks have five
hidden layers of 64 units and are trained by full-batch gradient descent. An epoch is then a single
step, so the history shows every step.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sknn_adam import SGD, MLPClassifier
from sknn_adam.clipping import ClipByNorm, ClipByValue
from sknn_adam.initializers import VarianceScaling

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=1280, stratify=y, random_state=0
)
scaler = StandardScaler().fit(X_train)
X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)

EPOCHS = 150
HE = "he_normal"
# He initialization with normal weights has variance 2 / fan_in.
HE_3 = VarianceScaling(2.0 * 3**2)
HE_10 = VarianceScaling(2.0 * 10**2)


def network(learning_rate=0.1, initializer=HE, activation="relu", **more):
    """Return a network that takes one step per epoch and records its layers at each step."""
    return MLPClassifier(
        "64x5",
        activation,
        initializer=initializer,
        optimizer=SGD(learning_rate=learning_rate),
        batch_size=len(X_train),
        max_iter=EPOCHS,
        alpha=0,
        averaging=None,
        tol=0,
        n_iter_no_change=np.inf,
        record="all",
        random_state=0,
        **more,
    )


def fit(model):
    """Fit, and return the model and the message of the divergence warning, if any."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(X_train, y_train)
    return model, str(caught[0].message) if caught else ""


def weight_norms(model):
    """Return the norm of all weights at every recorded step."""
    return np.linalg.norm(model.history_.layers["weight_norm"], axis=1)


# %%
# Large weights make large gradients
# ----------------------------------
# The gradient of a layer is a product that contains the weights of all five other layers: earlier
# layers enter through the forward pass, later layers through the backward pass. Weights ten times
# as large make it :math:`10^5` times as large. The backward pass starts with the gradient of the
# log loss, which is bounded. With a squared error, this gradient would grow too, and the factor
# would be even larger.

figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
STYLES = [
    ("#0072B2", "-", "o"),
    ("#D55E00", "--", "s"),
    ("#009E73", "-.", "^"),
    ("#CC79A7", ":", "D"),
    ("#000000", "-", "v"),
    ("#E69F00", "--", "P"),
]


def tidy(axis):
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)


WEIGHTS = {"He": HE, "three times He": HE_3, "ten times He": HE_10}
starts = {}
for axis, activation in zip(axes, ["relu", "tanh"], strict=True):
    for (name, initializer), (color, dashes, marker) in zip(WEIGHTS.items(), STYLES, strict=False):
        # The learning rate is nearly zero because only the gradient is needed.
        model = network(1e-12, initializer, activation).set_params(max_iter=1)
        norms = fit(model)[0].history_.layers["gradient_norm"][0]
        starts[activation, name] = np.linalg.norm(norms)
        saturated = np.mean(model.history_.layers["saturated"][0][:-1])
        axis.semilogy(range(1, 7), norms, color=color, ls=dashes, marker=marker, label=name)
        print(
            f"{activation:5} {name:17} norm of the gradient {starts[activation, name]:9.2g}, "
            f"saturated units {saturated:.0%}"
        )
    axis.set(title=activation, xlabel="layer (6 is the output layer)")
    tidy(axis)
axes[0].set_ylabel("gradient norm of the weights\nat the first step")
axes[1].legend()

assert starts["relu", "ten times He"] > 1e4 * starts["relu", "He"]
assert starts["tanh", "ten times He"] > 5 * starts["tanh", "He"]

# %%
# Gradients explode less with tanh, which is often blamed for vanishing gradients: its outputs stay
# within :math:`\pm1`, and its slope is small near these limits. A unit counts as saturated if its
# mean slope is below a twentieth of the largest slope.
#
# Divergence
# ----------
# The learning rate 0.1 suits the network with He initialization. At 100 times that rate, or with
# weights ten times too large, training breaks down after at most three steps.

WIDTHS = "{:33} {:10} {:>6} {:>17} {:>8} {:>7} {:>6}"
TITLE = WIDTHS.format("", "stopped by", "epochs", "loss", "weights", "clipped", "acc.")


def report(name, model):
    """Print the results of a training run."""
    losses, norms = model.history_["loss"], weight_norms(model)
    finite = np.isfinite(model.predict_proba(X_test)).all()
    clipped = f"{np.mean(model.history_['clip_rate']):.0%}" if model.gradient_clip else ""
    change, growth = f"{losses[0]:.2g} -> {losses[-1]:.2g}", f"{norms[-1] / norms[0]:.2f}x"
    accuracy = f"{model.score(X_test, y_test):.3f}"
    print(WIDTHS.format(name, model.stop_reason_, model.n_iter_, change, growth, clipped, accuracy))
    assert finite, "predictions are always finite"
    return model


FAULTS = {
    "sound": network(),
    "rate x 100": network(10.0),
    "weights x 10": network(initializer=HE_10),
    "weights x 10, rate / 100": network(0.001, HE_10),
    "tanh, sound": network(activation="tanh"),
    "tanh, rate x 100": network(10.0, activation="tanh"),
    "tanh, weights x 10": network(initializer=HE_10, activation="tanh"),
}
print(TITLE)
messages = {}
for name, model in FAULTS.items():
    messages[name] = fit(model)[1]
    report(name, model)
print("\nThe warning:", messages["rate x 100"])

for name in ["rate x 100", "weights x 10", "weights x 10, rate / 100"]:
    assert FAULTS[name].stop_reason_ == "diverged", name
    assert "diverged" in messages[name], name
assert FAULTS["rate x 100"].history_["loss"][-1] > 100 * FAULTS["rate x 100"].history_["loss"][0]
for name in ["sound", "tanh, sound"]:
    assert FAULTS[name].stop_reason_ == "max_iter", name
    assert FAULTS[name].score(X_test, y_test) > 0.85, name

# %%
# Both causes have the claimed effect. Here, "diverged" means that the loss was not finite or had
# grown by a factor of :math:`10^{10}`. The estimator issues a warning, keeps finite weights and
# returns finite predictions, so a search over learning rates survives such candidates. Their
# accuracy is that of a constant prediction.
#
# Tanh with the high rate fails more slowly. No value overflows, ``stop_reason_`` is ``"max_iter"``,
# and there is no warning. However, the weights grow from epoch to epoch until they are dozens of
# times as large, and the loss rises and never recovers: training is "unstable" and "getting worse
# instead of better". With weights ten times too large, tanh does not diverge, but it learns badly.

tanh_fast = FAULTS["tanh, rate x 100"]
assert weight_norms(tanh_fast)[-1] > 5 * weight_norms(tanh_fast)[0]
assert max(tanh_fast.history_["loss"]) > 10 * tanh_fast.history_["loss"][0]
assert min(tanh_fast.history_["loss"][1:]) > tanh_fast.history_["loss"][0]
assert tanh_fast.score(X_test, y_test) < 0.85

figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
names = [
    "sound",
    "rate x 100",
    "weights x 10, rate / 100",
    "tanh, rate x 100",
    "tanh, weights x 10",
]
for name, (color, dashes, _) in zip(names, STYLES, strict=False):
    model = FAULTS[name]
    style = {"color": color, "ls": dashes, "lw": 2, "label": name}
    if model.stop_reason_ == "diverged":
        style |= {"marker": "X", "ms": 9, "label": f"{name} (diverged)"}
    norms, losses = weight_norms(model), model.history_["loss"]
    epochs = np.arange(1, len(norms) + 1)
    axes[0].loglog(epochs, norms / norms[0], **style)
    axes[1].loglog(epochs[: len(losses)], losses[: len(epochs)], **style)
axes[0].set(xlabel="epoch", ylabel="norm of the weights, relative to the initial norm")
axes[1].set(xlabel="epoch", ylabel="training loss")
axes[1].legend(fontsize=9)
for axis in axes:
    tidy(axis)

# %%
# Cures for a high learning rate
# ------------------------------
# Clipping by norm shortens the gradient and keeps its direction (Pascanu, Mikolov and Bengio 2013,
# algorithm 1). Clipping by value limits each element separately. ``clip_rate`` in the history is
# the fraction of steps per epoch in which the threshold was exceeded.

CLIPS = {
    "norm 1": ClipByNorm(1.0),
    "norm 0.1": ClipByNorm(0.1),
    "value 0.01": ClipByValue(0.01),
    "value 0.001": ClipByValue(0.001),
}
print(TITLE)
clipped = {}
for name, clip in CLIPS.items():
    for activation in ["relu", "tanh"]:
        model = fit(network(10.0, activation=activation, gradient_clip=clip))[0]
        clipped[activation, name] = report(f"{activation}, rate x 100, {name}", model)

assert all(model.stop_reason_ == "max_iter" for model in clipped.values())
for key in [("relu", "norm 0.1"), ("relu", "value 0.001"), ("tanh", "norm 0.1")]:
    assert clipped[key].score(X_test, y_test) > 0.85, key
assert clipped["relu", "norm 1"].score(X_test, y_test) < 0.5

# %%
# Every threshold prevents divergence, but only a sufficiently small one rescues the training. The
# decisive quantity is the largest remaining step, threshold times learning rate. With norm 1 it is
# 10, which is still far too large for ReLU: the network ends at chance level. With norm 0.1 or
# value 0.001, the learning rate that is 100 times too high trains as well as the sound one.
# Clipping is then not a rare event: it acts in most of the first epochs and hardly any later ones.

figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
for name, (color, dashes, _) in zip(CLIPS, STYLES, strict=False):
    rates = np.convolve(clipped["relu", name].history_["clip_rate"], np.ones(10) / 10, "valid")
    axis.plot(np.arange(10, EPOCHS + 1), rates, color=color, ls=dashes, lw=2, label=name)
axis.set(
    xlabel="epoch",
    ylabel="fraction of clipped steps\n(mean of the last 10 epochs)",
    title="ReLU, learning rate 100 times too high",
)
axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), title="clipped by")
tidy(axis)

# %%
# Cures for large weights
# -----------------------

CURES = {
    "weights x 10, norm 1": network(initializer=HE_10, gradient_clip=ClipByNorm(1.0)),
    "weights x 10, value 0.01": network(initializer=HE_10, gradient_clip=ClipByValue(0.01)),
    "weights x 10, value 0.1": network(initializer=HE_10, gradient_clip=ClipByValue(0.1)),
    "He initialization": network(),
    "Xavier initialization": network(initializer="xavier_normal"),
    "weights x 10, batch norm.": network(initializer=HE_10, normalization="batch"),
}
print(TITLE)
for name, model in CURES.items():
    report(name, fit(model)[0])

sound = CURES["He initialization"].score(X_test, y_test)
for name, model in CURES.items():
    assert model.stop_reason_ == "max_iter", name
    if "norm 1" in name or "value" in name:
        assert model.score(X_test, y_test) < sound - 0.05, name
assert sound > 0.85
assert CURES["Xavier initialization"].score(X_test, y_test) > 0.85

# %%
# If the weights are too large, clipping prevents divergence but does not help beyond that. The
# steps are small relative to the weights, which have hardly changed after 150 epochs. The network
# may even memorize its training samples, but it predicts badly. The right cure here is He or Xavier
# initialization, which makes clipping unnecessary. Batch normalization, which is usually
# recommended for vanishing gradients only, also prevents the explosion, because it cancels the
# scale of the weights. However, the steps are then small relative to the weights as well, so the
# network learns slowly.
#
# The last experiment combines the high learning rate with Xavier initialization.

print(TITLE)
small = fit(network(10.0, "xavier_normal"))[0]
report("rate x 100, Xavier initialization", small)
assert small.score(X_test, y_test) < 0.5

# %%
# Careful initialization does not help if the learning rate is too high. Clipping does, and so does,
# of course, a smaller learning rate. Each cure works for one of the causes.
#
# Summary
# -------
# =============================================  =================================================
# claim                                          result
# =============================================  =================================================
# gradients excessively large                    holds: 200,000 times as large with weights x 10
# weights grow uncontrollably                    holds: by a factor of 170 within three steps with
#                                                ReLU, 40 in 150 epochs with tanh
# unstable, diverges, gets worse                 ReLU diverges; tanh gets worse without overflow
# cause: large initial weights                   holds for ReLU; tanh learns badly but stays finite
# cause: learning rate too high                  holds
# cure: gradient clipping                        works for a high learning rate if the threshold is
#                                                small enough; for large weights, it only prevents
#                                                divergence
# cure: Xavier or He initialization              works for large weights, but not for a high
#                                                learning rate
# =============================================  =================================================

plt.show()
