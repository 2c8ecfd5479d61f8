"""
Learning rate, batch size, layers, early stopping
=================================================

This example varies the main settings of a network one by one. Each section quotes common advice,
tests it in an experiment and gives a verdict: **holds**, **partly**, or **not here**.
:doc:`plot_tuning` covers the search for good settings.

The data are scikit-learn's digits (1797 images of 8 by 8 pixels, ten classes) and its diabetes
study (442 patients, a noisy regression target). The penalty on the weights and weight averaging are
switched off, so that only the setting in question limits a network.
"""

import warnings
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import NullLocator
from sklearn.datasets import load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold, StratifiedKFold, cross_validate, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from sknn_adam import Adam, MLPClassifier, MLPRegressor
from sknn_adam.inspection import TrainingCurveDisplay
from sknn_adam.schedules import Step

# The palette of Okabe and Ito, which is safe for colour-blind readers.
COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"]
DASHES = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1))]
MARKERS = ["o", "s", "^", "D", "v"]
STYLES = [
    {"color": color, "ls": dashes, "marker": marker, "ms": 4}
    for color, dashes, marker in zip(COLORS, DASHES, MARKERS, strict=True)
]
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True})
plt.rcParams.update({"grid.alpha": 0.3, "legend.fontsize": "small", "axes.titlesize": "medium"})

# Train without a penalty, and for all epochs: do not stop on a tolerance.
PLAIN = {"alpha": 0.0, "averaging": None, "record": False}
PLAIN |= {"tol": 0.0, "n_iter_no_change": np.inf}


@cache
def digits(seed):
    """Return the digits split into training (1024), validation (323) and test samples (450)."""
    X, y = load_digits(return_X_y=True)
    rest = train_test_split(X / 16, y, train_size=1024, stratify=y, random_state=seed)
    X_train, X_rest, y_train, y_rest = rest
    rest = train_test_split(X_rest, y_rest, train_size=323, stratify=y_rest, random_state=seed)
    X_val, X_test, y_val, y_test = rest
    return X_train, y_train, X_val, y_val, X_test, y_test


@cache
def diabetes(seed):
    """Return standardized diabetes data: 256 training, 64 validation, and the test samples."""
    X, y = load_diabetes(return_X_y=True)
    X_train, X_rest, y_train, y_rest = train_test_split(X, y, train_size=256, random_state=seed)
    X_val, X_test, y_val, y_test = train_test_split(
        X_rest, y_rest, train_size=64, random_state=seed
    )
    scaler = StandardScaler().fit(X_train)
    X_train, X_val, X_test = map(scaler.transform, (X_train, X_val, X_test))
    return X_train, y_train, X_val, y_val, X_test, y_test


def trained(data, seed, *, watch=False, optimizer="adam", rate=0.01, **params):
    """Return a network of 64 hidden units fitted to a split, and the split."""
    split = data(seed)
    estimator = MLPClassifier if data is digits else MLPRegressor
    mlp = estimator(64, optimizer=optimizer, random_state=seed, **(PLAIN | params))
    mlp.set_params(optimizer__learning_rate=rate)
    with warnings.catch_warnings():
        # Divergence is one of the results.
        warnings.simplefilter("ignore", ConvergenceWarning)
        mlp.fit(*split[:2], **({"X_val": split[2], "y_val": split[3]} if watch else {}))
    return mlp, split


def mark(axis, values):
    """Label only these values on a logarithmic axis."""
    axis.set_ticks(values, [f"{value:g}" for value in values])
    axis.set_minor_locator(NullLocator())


def mean_and_error(values):
    """Return the mean over the first axis, and its standard error."""
    values = np.asarray(values, float)
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))


# %%
# The learning rate: too low, too high, just right
# ------------------------------------------------
# *"Too high, and it'll overshoot the optimal solution and diverge. Too low, and it'll learn slowly.
# A good starting point for Adam is around 0.001, and for SGD, maybe 0.01."*
#
# Each network trains for 20 epochs with batches of 64 samples. The plots show its final training
# loss against the learning rate, which varies in steps of half a decade.

RATES = np.logspace(-5, 1, 13)


def final_loss(data, optimizer, rate, max_iter=20, seeds=3):
    """Return the median over seeds of the final training loss, or nan if any seed diverged."""
    losses = []
    for seed in range(seeds):
        mlp, _ = trained(
            data, seed, optimizer=optimizer, rate=rate, batch_size=64, max_iter=max_iter
        )
        losses.append(np.nan if mlp.stop_reason_ == "diverged" else mlp.loss_)
    return np.median(losses)


ends = {
    (data, optimizer): np.array([final_loss(data, optimizer, rate) for rate in RATES])
    for data in (digits, diabetes)
    for optimizer in ("adam", "sgd")
}

figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
for rate, style in zip([1e-5, 1e-3, 1e-2, 1.0], STYLES, strict=False):
    mlp, _ = trained(digits, 0, rate=rate, batch_size=64, max_iter=20)
    axes[0].plot(mlp.history_["epoch"], mlp.history_["loss"], label=f"{rate:g}", **style)
axes[0].set(yscale="log", xlabel="epoch", ylabel="training loss", title="Adam on the digits")
axes[0].legend(title="learning rate")
for axis, data in zip(axes[1:], (digits, diabetes), strict=True):
    for optimizer, start, style in zip(("adam", "sgd"), (1e-3, 1e-2), STYLES, strict=False):
        loss = ends[data, optimizer]
        axis.loglog(RATES, loss, label={"adam": "Adam", "sgd": "SGD"}[optimizer], **style)
        axis.axvline(start, color=style["color"], ls=style["ls"], lw=1)
        diverged = np.isnan(loss)
        height = {"adam": 0.9, "sgd": 0.97}[optimizer]
        axis.plot(
            RATES[diverged],
            np.full(diverged.sum(), height),
            "x",
            color=style["color"],
            transform=axis.get_xaxis_transform(),
        )
    axis.set(xlabel="learning rate", ylabel="training loss after 20 epochs")
    axis.set_title(f"{data.__name__.capitalize()} (vertical: advised rate, ×: diverged)")
axes[1].legend(loc="lower left")
plt.show()

# %%
# The advised starting points are compared with the best rate of the scan, after 20 and after 100
# epochs.

STARTS = {"adam": 1e-3, "sgd": 1e-2}


def accuracy(optimizer, rate, max_iter):
    """Return the mean test accuracy on the digits over three splits."""
    scores = []
    for seed in range(3):
        options = {"optimizer": optimizer, "rate": rate, "batch_size": 64}
        mlp, split = trained(digits, seed, max_iter=max_iter, **options)
        scores.append(mlp.score(*split[4:]))
    return np.mean(scores)


print("optimizer  rate               accuracy after 20 epochs   after 100")
best_rates, start_scores = {}, {}
for optimizer, start in STARTS.items():
    best = best_rates[optimizer] = RATES[np.nanargmin(ends[digits, optimizer])]
    for name, rate in (("advised", start), ("best of scan", best)):
        scores = [accuracy(optimizer, rate, max_iter) for max_iter in (20, 100)]
        start_scores[optimizer, name] = scores
        print(f"{optimizer:9}  {rate:<6.2g} {name:12}  {scores[0]:23.3f}  {scores[1]:10.3f}")

for loss in ends.values():
    best = np.nanmin(loss)
    assert loss[0] > 2 * best, "too low learns slowly"
    assert np.isnan(loss[-1]) or loss[-1] > 2 * best, "too high is no better"
assert np.isnan(ends[diabetes, "sgd"][-1]), "too high diverges"
assert 1e-3 < best_rates["adam"] < best_rates["sgd"]
assert start_scores["adam", "advised"][0] > start_scores["sgd", "advised"][0] + 0.05

# %%
# **Holds: too low is slow, too high overshoots.** Each curve has a minimum between the two. With
# the squared error on the diabetes data, gradient descent really diverges to infinity above its
# limit. The log loss has bounded gradients, and with it the loss jumps to a high value and stays
# there.
#
# **Partly: the starting points.** 0.001 for Adam works everywhere, but it is conservative. On these
# small data sets the best rate is ten to thirty times as high, and 0.001 has nearly caught up after
# 100 epochs. Plain SGD at 0.01 is far too slow on the digits, where its best rate is near 1. On the
# standardized diabetes data, 0.01 is a fair starting point. In general, SGD needs a higher rate
# than Adam, and a scan over a few decades takes only seconds.

# %%
# Decay
# -----
# *"It's also common practice to decay the learning rate over time, gradually reducing it as
# training progresses."*
#
# A schedule multiplies the learning rate by a factor that changes from epoch to epoch, or from step
# to step. The experiment combines five schedules, five peak rates and eight splits of the digits,
# with 20 epochs in batches of 32. The cosine schedule is by Loshchilov and Hutter (2017), the
# one-cycle schedule by Smith and Topin (2018).

SCHEDULES = {
    "constant": "constant",
    "step": Step(drop=0.3, every=5),
    "linear": "linear",
    "cosine": "cosine",
    "one-cycle": "one_cycle",
}
PEAKS = [0.001, 0.003, 0.01, 0.03, 0.1]
SEEDS = range(8)


def decay_run(schedule, rate, seed):
    """Return rates and validation losses per epoch, and the final validation and test losses."""
    options = {"schedule": schedule, "batch_size": 32, "max_iter": 20}
    mlp, split = trained(digits, seed, rate=rate, watch=True, **options)
    losses = -np.array(mlp.validation_scores_)
    test = log_loss(split[5], mlp.predict_proba(split[4]))
    return mlp.history_["learning_rate"], losses, losses[-1], test


decay = {
    (name, rate): [decay_run(schedule, rate, seed) for seed in SEEDS]
    for name, schedule in SCHEDULES.items()
    for rate in PEAKS
}

figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
SHOWN = 0.03
for name, style in zip(SCHEDULES, STYLES, strict=True):
    runs = decay[name, SHOWN]
    epochs = np.arange(1, 21)
    axes[0].plot(epochs, np.array(runs[0][0]) / SHOWN, label=name, **style)
    axes[1].plot(epochs, np.mean([run[1] for run in runs], axis=0), **style)
    centre, error = np.transpose([mean_and_error([r[2] for r in decay[name, p]]) for p in PEAKS])
    axes[2].errorbar(PEAKS, centre, error, capsize=2, **style)
axes[0].set(xlabel="epoch", ylabel="factor on the learning rate", title="The schedules")
axes[0].legend()
axes[1].set(xlabel="epoch", ylabel="validation loss", yscale="log")
axes[1].set_title(f"Adam at a peak rate of {SHOWN} (mean of 8 splits)")
axes[2].set(xscale="log", yscale="log", xlabel="peak learning rate")
axes[2].set(ylabel="final validation loss", title="After 20 epochs, by peak rate")
mark(axes[1].yaxis, [0.1, 0.2, 0.5, 1, 2])
mark(axes[2].yaxis, [0.1, 0.2, 0.5])
plt.show()

HIGH = 0.1
print("schedule    best peak   its test loss        test loss at 0.1")
decayed = {}
for name in SCHEDULES:
    best = min(PEAKS, key=lambda rate: np.mean([run[2] for run in decay[name, rate]]))
    losses = [mean_and_error([run[3] for run in decay[name, rate]]) for rate in (best, HIGH)]
    decayed[name] = [mean for mean, _ in losses]
    cells = "        ".join(f"{mean:.3f} ± {error:.3f}" for mean, error in losses)
    print(f"{name:10}  {best:9}   {cells}")

for name in ("step", "linear", "cosine", "one-cycle"):
    assert decayed[name][1] < 0.75 * decayed["constant"][1], "decay makes a high rate usable"
    assert decayed[name][0] < 1.1 * decayed["constant"][0], "decay does no harm at its best rate"
    slow, fast = (np.mean([run[2] for run in decay[n, 0.001]]) for n in (name, "constant"))
    assert slow > 1.3 * fast, "decay makes a low rate slower still"

# %%
# **Partly.** Decay adds tolerance to high rates. If the initial rate is too high, the constant
# schedule keeps jumping around the minimum. Every decaying schedule removes the jumps and extends
# the range of usable rates by a factor of three to ten. At its own best rate, each decaying
# schedule is slightly better than the constant one, by about as much as the standard errors. If the
# initial rate is too low, decay slows training down further, so a decaying schedule should start
# from a higher rate.

# %%
# Batch size: noise and time
# --------------------------
# *"Small batches (like 32-128) introduce more noise ... Large batches (256+) train faster."*
#
# The first experiment measures the noise. An optimizer is a class with a ``step`` method, so a
# subclass of Adam can record every gradient it receives. With a learning rate of 1e-30 the weights
# stay the same, and a call to ``partial_fit`` yields the gradients of all batches of an epoch at
# the same weights. Their mean is the full gradient :math:`G`, and the noise is the mean of
# :math:`|g - G|^2 / |G|^2`. According to McCandlish et al. (2018, section 2.2), it should be
# inversely proportional to the batch size :math:`B`. The batches of an epoch are disjoint here, so
# it should be proportional to :math:`1/B - 1/1024`.

BATCHES = [32, 64, 128, 256, 512, 1024]
recorded = []


class RecordingAdam(Adam):
    """Adam that records the gradients."""

    def step(self, theta, grad, state, lr_scale=1.0):
        """Update `theta` as Adam does."""
        recorded.append(grad.astype(float))
        super().step(theta, grad, state, lr_scale)


def noise_at(epochs):
    """Return the relative variance of the gradients for each batch size after some epochs."""
    mlp, split = trained(digits, 0, optimizer=RecordingAdam(), rate=0.003, max_iter=epochs)
    mlp.set_params(optimizer__learning_rate=1e-30)
    noise = []
    for batch_size in BATCHES:
        recorded.clear()
        mlp.set_params(batch_size=batch_size)
        for _ in range(10):
            mlp.partial_fit(*split[:2])
        gradients = np.array(recorded)
        full = gradients.mean(axis=0)
        noise.append(np.square(gradients - full).sum(axis=1).mean() / (full @ full))
    return np.array(noise)


noise = {epochs: noise_at(epochs) for epochs in (1, 5, 20)}

# %%
# The second experiment measures the time. Each batch size is combined with five learning rates and
# five splits, for 40 epochs of Adam. The time to a training loss of 0.1 is the number of epochs at
# the rate that gets there first, multiplied by the median duration of an epoch.

TARGET = 0.1
SCAN = [0.001, 0.003, 0.01, 0.03, 0.1]
SPLITS = range(5)


def outcome(data, seed, **params):
    """Return losses, scores, the epochs to the target loss and the seconds per epoch."""
    mlp, split = trained(data, seed, **params)
    loss = np.array(mlp.history_["loss"])
    below = np.flatnonzero(loss < TARGET)
    return {
        "validation": log_loss(split[3], mlp.predict_proba(split[2])) if data is digits else None,
        "test": mlp.score(*split[4:]),
        "train": mlp.score(*split[:2]),
        "loss": loss[-1],
        "epochs": below[0] + 1 if len(below) else np.inf,
        "seconds": np.median(mlp.history_["seconds"]),
    }


def average(outcomes, name):
    """Return the mean of an entry over the splits."""
    return np.mean([outcome[name] for outcome in outcomes])


scans = {
    (batch_size, rate): [
        outcome(digits, seed, rate=rate, batch_size=batch_size, max_iter=40) for seed in SPLITS
    ]
    for batch_size in BATCHES
    for rate in SCAN
}
epoch_time = [
    np.median([result["seconds"] for rate in SCAN for result in scans[batch_size, rate]])
    for batch_size in BATCHES
]
to_target = [
    min(average(scans[batch_size, rate], "epochs") for rate in SCAN) for batch_size in BATCHES
]
target_time = np.multiply(epoch_time, to_target)

print("batch  noise (after 5 epochs)  ms per epoch  epochs to target  updates  ms to target")
for batch_size, var, seconds, epochs in zip(BATCHES, noise[5], epoch_time, to_target, strict=True):
    updates = epochs * 1024 / batch_size
    print(
        f"{batch_size:5}  {var:22.2f}  {1e3 * seconds:12.2f}  {epochs:16.1f}  {updates:7.0f}"
        f"  {1e3 * seconds * epochs:12.1f}"
    )

for variance in noise.values():
    assert 5 < variance[0] / variance[3] < 18, "the noise falls as 1/B: 10.3 expected"
assert to_target[-1] > 2 * to_target[0], "large batches need more epochs"

# %%
# **Holds: small batches are noisier**, as the theory predicts. In batches of 32 the noise is
# already larger than the gradient after one epoch, and its relative size grows as the full gradient
# shrinks.
#
# **Not here: large batches are faster.** In a compiled loop, an update costs little beyond its
# arithmetic, so an epoch takes about as long with small batches. It has fewer updates with large
# ones, so more epochs are needed. Up to a point, larger batches with larger learning rates reach
# the target in fewer updates. Beyond that point they only increase the cost. Shallue et al. (2019)
# describe the same transition. Batches of up to 256 take about the same time here, so *"a sweet
# spot ... between 64 and 256"* **holds** for the speed on these data, but 32 is as fast.
#
# Batch size: generalization
# --------------------------
# *"... which can actually help the model generalize better and avoid getting stuck in local minima.
# Large batches ... can lead to overfitting."* (See Keskar et al., 2017.)
#
# The answer depends on the quantity that is kept equal. On the digits, the comparison uses equal
# epochs at one learning rate, equal epochs with the best rate for each batch size (selected by the
# validation loss), and equal numbers of updates. On the noisy diabetes data, where overfitting is
# easy, it uses equal epochs, equal updates, and early stopping on the validation loss.

UPDATES = 640
EPOCHS = 40
SMALLER = [8, 16, 32, 64, 128, 256]
TEN = range(10)


def own_rate(batch_size):
    """Return the runs at the rate with the best validation loss."""
    return min((scans[batch_size, rate] for rate in SCAN), key=lambda r: average(r, "validation"))


on_digits = {
    "40 epochs, rate 0.003": [scans[batch_size, 0.003] for batch_size in BATCHES],
    "40 epochs, own rate": [own_rate(batch_size) for batch_size in BATCHES],
    "640 updates, rate 0.01": [
        [
            outcome(digits, seed, batch_size=batch_size, max_iter=UPDATES * batch_size // 1024)
            for seed in SPLITS
        ]
        for batch_size in BATCHES
    ],
}

STOPPING = {"watch": True, "early_stopping": True, "n_iter_no_change": 30}
BUDGETS = {
    "40 epochs": lambda batch_size: {"max_iter": EPOCHS},
    "640 updates": lambda batch_size: {"max_iter": UPDATES * batch_size // 256},
    "early stopping": lambda batch_size: {"max_iter": UPDATES, **STOPPING},
}
on_diabetes = {
    budget: [
        [
            outcome(diabetes, seed, rate=0.003, batch_size=batch_size, **options(batch_size))
            for seed in TEN
        ]
        for batch_size in SMALLER
    ]
    for budget, options in BUDGETS.items()
}

figure, axes = plt.subplots(2, 2, figsize=(10, 8), layout="constrained")
(noisy, timed), (held_out, overfit) = axes
law = 1 / np.array(BATCHES) - 1 / 1024
for (epochs, variance), style in zip(noise.items(), STYLES, strict=False):
    noisy.loglog(BATCHES[:-1], variance[:-1], label=f"after {epochs} epochs", **style)
    noisy.loglog(BATCHES[:-1], variance[0] * law[:-1] / law[0], color="0.5", lw=1, zorder=0)
noisy.set(xlabel="batch size", ylabel="relative variance of the gradient")
noisy.set_title("Noise (thin: falling as 1/B - 1/1024)")
timed.loglog(BATCHES, 1e3 * np.array(epoch_time), label="one epoch", **STYLES[0])
timed.loglog(BATCHES, 1e3 * target_time, label=f"to a training loss of {TARGET}", **STYLES[1])
timed.axvspan(64, 256, color="0.9", zorder=0)
timed.set(xlabel="batch size", ylabel="time [ms]", title="Time (shaded: 64 to 256)")
mark(timed.yaxis, [0.3, 0.5, 1, 2, 5, 10])
for (name, rows), style in zip(on_digits.items(), STYLES, strict=False):
    error = np.transpose([mean_and_error([100 * (1 - s["test"]) for s in r]) for r in rows])
    held_out.errorbar(BATCHES, *error, label=name, capsize=2, **style)
held_out.set(xscale="log", xlabel="batch size", ylabel="test error [%]")
held_out.set(title="Held-out digits (bars: standard error)", ylim=(0, None))
for (name, rows), style in zip(on_diabetes.items(), STYLES, strict=False):
    score = np.transpose([mean_and_error([s["test"] for s in r]) for r in rows])
    overfit.errorbar(SMALLER, *score, label=f"{name}: test", capsize=2, **style)
    train = [average(r, "train") for r in rows]
    overfit.plot(SMALLER, train, **(style | {"marker": None}), lw=1, alpha=0.7)
overfit.set(xscale="log", xlabel="batch size", ylabel="R²", ylim=(-0.3, 1.02))
overfit.set_title("Diabetes (thin: on the training samples)")
for axis, batches in zip(axes.flat, (BATCHES, BATCHES, BATCHES, SMALLER), strict=True):
    mark(axis.xaxis, batches)
    axis.legend()
plt.show()

print("digits: test error in % (and training loss)")
print("batch   " + "   ".join(f"{name:>24}" for name in on_digits))
for i, batch_size in enumerate(BATCHES):
    cells = []
    for rows in on_digits.values():
        mean, error = mean_and_error([100 * (1 - row["test"]) for row in rows[i]])
        cells.append(f"{mean:.1f} ± {error:.1f} ({average(rows[i], 'loss'):.4f})")
    print(f"{batch_size:5}   " + "   ".join(f"{cell:>24}" for cell in cells))
print()
print("diabetes: R² on training and on test samples")
print("batch   " + "   ".join(f"{name:>21}" for name in on_diabetes))
for i, batch_size in enumerate(SMALLER):
    cells = []
    for rows in on_diabetes.values():
        mean, error = mean_and_error([row["test"] for row in rows[i]])
        cells.append(f"{average(rows[i], 'train'):.2f}   {mean:5.2f} ± {error:.2f}")
    print(f"{batch_size:5}   " + "   ".join(f"{cell:>21}" for cell in cells))

equal_updates, equal_epochs = on_digits["640 updates, rate 0.01"], on_diabetes["40 epochs"]
assert average(equal_updates[-1], "loss") < 0.5 * average(equal_updates[0], "loss"), "not stuck"
errors = [1 - average(rows, "test") for rows in equal_updates]
assert max(errors) - min(errors) < 0.02, "equal updates, about equal errors"
small, large = (on_diabetes["640 updates"][i] for i in (0, -1))
assert average(small, "test") > average(large, "test") + 0.15, "large batches overfit"
assert average(large, "train") > average(small, "train") + 0.15
gap = [average(rows, "train") - average(rows, "test") for rows in equal_epochs]
assert gap[-1] < gap[0] - 0.05, "not with equal epochs"

# %%
# **Partly: small batches generalize better.** On the digits they do at equal epochs, most clearly
# at a common learning rate. The training losses in parentheses show the reason: the large batches
# have made too few updates and have not learned enough. With the best rate for each batch size,
# most of the difference disappears, and with equal numbers of updates all of it does. On the
# diabetes data with early stopping, all batch sizes reach the same score.
#
# **Not here: getting stuck.** With equal numbers of updates, the largest batches reach the smallest
# training loss. No batch size gets stuck in a bad minimum.
#
# **Partly: large batches overfit.** With as many updates as the small ones, they overfit badly:
# without gradient noise, Adam fits the noise in the data, and every sample has been used 32 times
# as often as in batches of 8. With equal epochs, the opposite is true, and the small batches
# overfit. The cause of overfitting is too much training without early stopping. Hoffer et al.
# (2017) and Shallue et al. (2019) reach the same conclusion: compare batch sizes at equal updates
# or tuned, and report which.

# %%
# Layers and neurons
# ------------------
# *"Too few layers or neurons, and your model will underfit ... Too many, and you risk overfitting
# and making the model computationally expensive. The best approach is to start small and gradually
# increase until you see diminishing returns in performance."*
#
# This advice is applied as a rule: start with one hidden layer of one unit, double the width until
# the score of a five-fold cross-validation gains less than one standard error, and keep the smaller
# network. Then double the number of layers in the same way. The curves continue beyond the stopping
# point to show the gains that the rule misses.


def folds_scores(data, hidden_layer_sizes):
    """Return training scores, held-out scores and seconds of five folds."""
    options = {"batch_size": 32, "random_state": 0, **PLAIN}
    if data == "digits":
        X, y = load_digits(return_X_y=True)
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        mlp = MLPClassifier(hidden_layer_sizes, optimizer=Adam(0.003), max_iter=40, **options)
        model = make_pipeline(MinMaxScaler(), mlp)
    else:
        X, y = load_diabetes(return_X_y=True)
        folds = KFold(5, shuffle=True, random_state=0)
        mlp = MLPRegressor(hidden_layer_sizes, optimizer=Adam(0.01), max_iter=100, **options)
        model = make_pipeline(StandardScaler(), mlp)
    results = cross_validate(model, X, y, cv=folds, return_train_score=True)
    return results["train_score"], results["test_score"], results["fit_time"]


def stop_of_rule(scores):
    """Return the index at which doubling the size gains less than one standard error."""
    for i in range(len(scores) - 1):
        mean, error = mean_and_error(scores[i][1])
        if np.mean(scores[i + 1][1]) < mean + error:
            return i
    return len(scores) - 1


WIDTHS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
DEPTHS = [1, 2, 4, 8]
sizes = {"digits": [folds_scores("digits", (width,)) for width in WIDTHS]}
sizes["diabetes"] = [folds_scores("diabetes", (width,)) for width in WIDTHS]
chosen = WIDTHS[stop_of_rule(sizes["digits"])]
sizes["depth"] = [folds_scores("digits", (chosen,) * depth) for depth in DEPTHS]
chosen_depth = DEPTHS[stop_of_rule(sizes["depth"])]

figure, axes = plt.subplots(2, 2, figsize=(10, 7.5), layout="constrained")
PANELS = [
    ("digits", WIDTHS, "units in one hidden layer", "accuracy", "Digits"),
    ("depth", DEPTHS, f"hidden layers of {chosen} units", "accuracy", "Digits, deeper"),
    ("diabetes", WIDTHS, "units in one hidden layer", "R²", "Diabetes"),
]
for axis, (name, counts, count_name, score_name, title) in zip(axes.flat, PANELS, strict=False):
    for j, label in enumerate(["training folds", "held-out fold"]):
        values = np.transpose([mean_and_error(result[j]) for result in sizes[name]])
        axis.errorbar(counts, *values, label=label, capsize=2, **STYLES[j])
    stop = counts[stop_of_rule(sizes[name])]
    axis.axvline(stop, color="0.3", ls=":", label=f"the rule stops: {stop}")
    axis.set(xlabel=count_name, ylabel=score_name, title=title)
    axis.legend()
axes[0, 1].set_ylim(0.9, 1.005)
for (name, counts, *_), style, label in zip(
    PANELS, STYLES, ["digits, by width", "digits, by depth", "diabetes, by width"], strict=False
):
    seconds = [np.median(result[2]) for result in sizes[name]]
    axes[1, 1].plot(counts, seconds, label=label, **style)
axes[1, 1].set(xlabel="units or layers", ylabel="fit time [s]", yscale="log", title="Cost")
axes[1, 1].legend()
mark(axes[1, 1].yaxis, [0.03, 0.05, 0.1, 0.2, 0.3])
for axis, counts in zip(axes.flat, (WIDTHS, DEPTHS, WIDTHS, WIDTHS), strict=True):
    axis.set_xscale("log")
    mark(axis.xaxis, counts)
plt.show()

for name, counts, *_ in PANELS:
    print(f"{name:8}  training   held out          seconds")
    for count, (train, test, seconds) in zip(counts, sizes[name], strict=True):
        mean, error = mean_and_error(test)
        cells = f"{np.mean(train):8.3f}   {mean:.3f} ± {error:.3f}"
        print(f"{count:8}  {cells}   {np.median(seconds):10.3f}")

held = {name: np.array([np.mean(result[1]) for result in rows]) for name, rows in sizes.items()}
fitted = {name: np.array([np.mean(result[0]) for result in rows]) for name, rows in sizes.items()}
assert fitted["digits"][1] < 0.8, "two units underfit"
assert 8 <= chosen <= 64
assert chosen_depth <= 2
assert held["digits"][-1] > held["digits"].max() - 0.01, "no overfitting by width on the digits"
assert held["diabetes"][-1] < held["diabetes"].max() - 0.1, "but on the diabetes data"
assert fitted["diabetes"][-1] > fitted["diabetes"][0] + 0.15

# %%
# **Holds: too few underfit.** Networks with one or two units have low scores even on the training
# samples.
#
# **Partly: too many overfit.** On the noisy diabetes data they do: from 4 to 256 units the training
# score rises and the held-out score falls, and one or two units are best. On the digits, networks
# with 64 or more units memorize the training samples, but the held-out score never falls with the
# width. It does fall with the depth if the layers have only 16 units.
#
# **Holds: too many are costly.** The fit time grows slowly at first, while the overhead of Python
# dominates, and then with the number of weights.
#
# **Holds, with a caveat: start small and double.** The rule finds networks that are good and cheap.
# However, it stops at small gains, and small gains add up: from 16 to 512 units the score on the
# digits gains about two standard errors, although no single doubling gains one.

# %%
# Early stopping
# --------------
# *"This isn't a hyperparameter itself, but a technique to prevent overfitting. You monitor the
# validation loss during training and stop when it starts to increase, even if the training loss is
# still decreasing."*
#
# ``fit`` accepts validation data. Without ``early_stopping``, the validation loss is recorded but
# does not affect training, so the complete curve can be plotted. With ``early_stopping``, training
# stops when the loss has not fallen for more than ``n_iter_no_change`` epochs, and the weights of
# the best epoch are restored.

RUN_OPTIONS = {"watch": True, "scoring": "loss", "rate": 0.003, "batch_size": 32, "max_iter": 150}
PATIENCE = [1, 5, 10, 30]
SHOWN_SPLIT = 7


def stopping_run(seed, patience=None):
    """Return a network, trained for all epochs or with early stopping, and its test score."""
    stop = {} if patience is None else {"early_stopping": True, "n_iter_no_change": patience}
    mlp, split = trained(diabetes, seed, **RUN_OPTIONS, **stop)
    return mlp, mlp.score(*split[4:])


runs_by_patience = {
    patience: [stopping_run(seed, patience) for seed in TEN] for patience in (None, *PATIENCE)
}
complete, stopped = (runs_by_patience[patience][SHOWN_SPLIT][0] for patience in (None, 10))

figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
TrainingCurveDisplay.from_estimator(complete, ax=axes[0])
axes[0].axvline(stopped.best_iter_, color=COLORS[2], ls="-.", label="epoch restored")
axes[0].axvline(stopped.n_iter_, color=COLORS[3], ls=":", label="training stopped")
axes[0].legend()
axes[0].set_title("Training without stopping on the diabetes data")
pairs = np.array([[score for _, score in runs_by_patience[patience]] for patience in (None, 10)])
axes[1].plot([0, 1], pairs, "o-", color=COLORS[0], ms=4, lw=1)
axes[1].plot([0, 1], pairs.mean(axis=1), "s--", color=COLORS[1], ms=8, lw=2, label="mean")
axes[1].set_xticks([0, 1], ["all 150 epochs", "early stopping"])
axes[1].set(ylabel="test R²", title="Ten splits", xlim=(-0.4, 1.4))
axes[1].legend(loc="lower right")
plt.show()

print("patience     epochs   restored   test R²")
for patience, runs in runs_by_patience.items():
    mean, error = mean_and_error([score for _, score in runs])
    epochs = np.mean([mlp.n_iter_ for mlp, _ in runs])
    best = "" if patience is None else f"{np.mean([mlp.best_iter_ for mlp, _ in runs]):.1f}"
    print(f"{patience or 'no stop':>8}   {epochs:8.1f}   {best:>8}   {mean:.2f} ± {error:.2f}")

rises, falls = [], []
for mlp, _ in runs_by_patience[None]:
    validation, training = -np.array(mlp.validation_scores_), np.array(mlp.history_["loss"])
    rises.append(validation[-1] / validation.min())
    falls.append(training[-1] / training[validation.argmin()])
gain, error = mean_and_error(pairs[1] - pairs[0])
print(f"factors from the best to the last epoch: validation loss {np.mean(rises):.2f}, ", end="")
print(f"training loss {np.mean(falls):.2f}")
print(f"gain by stopping with patience 10: {gain:.2f} ± {error:.2f}")

assert np.mean(rises) > 1.15, "the validation loss rises"
assert np.mean(falls) < 0.6, "while the training loss falls"
assert gain > max(0.08, 2 * error), "stopping prevents overfitting"
assert np.mean([mlp.n_iter_ for mlp, _ in runs_by_patience[10]]) < 75, "and saves epochs"

# %%
# **Holds.** After its minimum, the validation loss rises by a third while the training loss falls
# to a third. Early stopping raises the test score from 0.24 to 0.45, at a fifth of the epochs.
# There are three caveats. First, stopping literally *"when it starts to increase"* (a patience of
# 1) stops at the first random fluctuation on some splits. Second, early stopping therefore has a
# hyperparameter of its own, ``n_iter_no_change``, although it has little effect here on average.
# Third, the validation samples must come from somewhere: without ``X_val``, a tenth of the training
# samples is held out.
#
# Summary
# -------
# ====================================================== ==========================================
# Claim                                                  Result
# ====================================================== ==========================================
# Too high a rate diverges, too low a rate is slow       holds (diverges with the squared error)
# Start Adam at 0.001, SGD at 0.01                       partly: 0.01 is too low for SGD on digits
# Decay the learning rate                                partly: it makes high rates usable
# Small batches introduce more noise                     holds: inverse to the batch size
# The noise improves generalization                      partly: at equal epochs only
# The noise helps to escape bad minima                   not here
# Large batches train faster                             not here: they need more epochs
# Large batches can lead to overfitting                  at equal updates; at equal epochs, small do
# The sweet spot is between 64 and 256                   holds for speed, but 32 is as fast
# Too few units underfit                                 holds
# Too many overfit                                       partly: diabetes yes, digits no
# Too many are costly                                    holds
# Start small and increase                               holds, but many small gains are missed
# Early stopping prevents overfitting                    holds
# ====================================================== ==========================================
#
# References
# ----------
# * Hoffer, E., Hubara, I., Soudry, D. (2017). Train longer, generalize better. NeurIPS.
# * Keskar, N. S., et al. (2017). On large-batch training for deep learning. ICLR.
# * Loshchilov, I., Hutter, F. (2017). SGDR: stochastic gradient descent with warm restarts. ICLR.
# * McCandlish, S., et al. (2018). An empirical model of large-batch training. arXiv:1812.06162.
# * Shallue, C. J., et al. (2019). Measuring the effects of data parallelism on neural network
#   training. Journal of Machine Learning Research 20.
# * Smith, L. N., Topin, N. (2018). Super-convergence. arXiv:1708.07120.
