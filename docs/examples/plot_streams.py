r"""
Streams: learning from data that drift
======================================

    In deep learning, the objective function can change during training. Adam's adaptive learning
    rates make it more robust to these changes.

Kingma and Ba (2015) call Adam "appropriate for non-stationary objectives". A stream is the
practical case: batches arrive one after another, and the relation between X and y drifts. Here,
each batch is first predicted and then passed to ``partial_fit``, so every sample is a test sample
before it is a training sample. This is *prequential* evaluation (Gama, Sebastião and Rodrigues,
2013).

The choice of optimizer turns out to matter less than three settings that suit ``fit`` but not a
stream: averaged weights, the scaling of the targets, and decay of the learning rate.
:doc:`plot_adam_in_practice` has two further streams, of images.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.preprocessing import StandardScaler

from sknn_adam import SGD, Adam, MLPClassifier, MLPRegressor
from sknn_adam.averaging import EMA
from sknn_adam.optimizers import RMSprop, ScheduleFreeAdamW
from sknn_adam.schedules import Cosine

# The palette of Okabe and Ito, which is safe for colour-blind readers.
COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"]
DASHES = ["-", "--", "-.", (0, (4, 1, 1, 1, 1, 1)), ":"]
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 90})

N_BATCHES, BATCH_SIZE = 120, 100
# First and last batch of the gradual drift, and the batch of the abrupt change.
BEGIN, END, ABRUPT = 20, 60, 80
SEEDS = range(3)


def ramp(i):
    """Return a number that rises from 0 to 1 during the gradual drift."""
    return np.clip((i - BEGIN) / (END - BEGIN), 0, 1)


def rotating_boundary(seed):
    """Yield the batches of a stream in which the decision boundary, a parabola, rotates."""
    rng = np.random.default_rng(seed)
    for i in range(N_BATCHES):
        X = rng.normal(size=(BATCH_SIZE, 6))
        angle = np.pi / 2 * ramp(i) + np.pi * (i >= ABRUPT)
        along = np.cos(angle) * X[:, 0] + np.sin(angle) * X[:, 1]
        across = np.cos(angle) * X[:, 1] - np.sin(angle) * X[:, 0]
        wrong = rng.random(BATCH_SIZE) < 0.05
        yield X, (across > 0.5 * along**2 - 0.5) ^ wrong


def accuracies(seed, optimizer, averaging=None, **params):
    """Return the accuracy on each batch but the first, measured before training on it."""
    options = {"batch_size": BATCH_SIZE, "random_state": seed, **params}
    model = MLPClassifier((32,), optimizer=optimizer, averaging=averaging, **options)
    scores = []
    for i, (X, y) in enumerate(rotating_boundary(seed)):
        if i > 0:
            scores.append(np.mean(model.predict(X) == y))
        model.partial_fit(X, y, classes=[False, True])
    return np.array(scores)


def phases(runs, slices, title):
    """Print, and return, the means over phases of the stream; "±" is a standard deviation."""
    means = {
        name: np.array([[run[phase].mean() for phase in slices.values()] for run in values])
        for name, values in runs.items()
    }
    print(f"{title:28}" + "".join(f"{phase:>15}" for phase in slices))
    for name, by_seed in means.items():
        cells = zip(by_seed.mean(axis=0), by_seed.std(axis=0, ddof=1), strict=True)
        print(f"{name:28}" + "".join(f"{mean:8.2f} ± {spread:.2f}" for mean, spread in cells))
    return {
        name: dict(zip(slices, by_seed.mean(axis=0), strict=True))
        for name, by_seed in means.items()
    }


def draw(axis, runs, window=5):
    """Draw the mean over streams and over the last batches, one curve per entry."""
    for (name, values), color, dash in zip(runs.items(), COLORS, DASHES, strict=False):
        curve = np.convolve(np.mean(values, axis=0), np.ones(window) / window, mode="valid")
        axis.plot(np.arange(window, N_BATCHES), curve, color=color, ls=dash, label=name)
    axis.axvspan(BEGIN, END, color="0.93", zorder=0)
    axis.set(xlabel="batch; the gradual drift is shaded")


# %%
# Optimizers
# ----------
# The boundary between two classes rotates by 90 degrees during batches 20 to 60, and abruptly by
# 180 degrees at batch 80. One label in twenty is wrong, so the highest possible accuracy is 0.95.
# The network has 32 hidden units. Each batch of 100 samples gives one step, because
# ``batch_size=100`` too. Averaging is switched off until the next section.
#
# Each optimizer chooses one of three learning rates on a separate stream, and is then run on three
# other streams with other initial weights.

OPTIMIZERS = {
    "SGD": (SGD, [0.3, 1.0, 3.0]),
    "momentum": (lambda rate: SGD(rate, momentum=0.9), [0.03, 0.1, 0.3]),
    "RMSprop": (RMSprop, [0.01, 0.03, 0.1]),
    "Adam": (Adam, [0.01, 0.03, 0.1]),
    "schedule-free AdamW": (ScheduleFreeAdamW, [0.03, 0.1, 0.3]),
}
SEPARATE_STREAM = 100
RATES, RUNS = {}, {}
for name, (optimizer, rates) in OPTIMIZERS.items():
    means = [accuracies(SEPARATE_STREAM, optimizer(rate)).mean() for rate in rates]
    RATES[name] = rates[np.argmax(means)]
    RUNS[name] = [accuracies(seed, optimizer(RATES[name])) for seed in SEEDS]

# The scores start with the second batch.
PHASES = {
    "whole stream": slice(None),
    "gradual drift": slice(BEGIN - 1, END - 1),
    "10 after 80": slice(ABRUPT - 1, ABRUPT + 9),
    "the last 20": slice(-20, None),
}
labelled = {f"{name} at {RATES[name]:g}": values for name, values in RUNS.items()}
ACCURACY = phases(labelled, PHASES, "accuracy")
best = {name: ACCURACY[f"{name} at {RATES[name]:g}"] for name in RUNS}

figure, axis = plt.subplots(figsize=(10, 4), layout="constrained")
draw(axis, labelled)
axis.axvline(ABRUPT, color="0.5", lw=1)
axis.set(ylabel="accuracy before training", ylim=(0.2, 1), title="Optimizers on a drifting stream")
axis.legend(loc="lower left")

# %%
# **Adam is not special here.** Every optimizer follows the gradual drift, and their accuracies
# differ by 0.01 at most. After the abrupt change, plain descent recovers first: the gradients are
# large, and its steps are proportional to them, whereas Adam and RMSprop divide them by their root
# mean square. Schedule-free AdamW predicts with an average of its weights over the whole stream. It
# recovers last, but is the most accurate in the end.
#
# **The rate matters more.** One step per batch gives few steps, so the usual rates of ``fit`` are
# too low. At 0.001, Adam hardly learns before the concept changes.

gradual = [means["gradual drift"] for means in best.values()]
print(f"gradual drift: accuracies differ by at most {np.ptp(gradual):.2f}")
usual = np.mean([accuracies(seed, Adam(0.001)).mean() for seed in SEEDS])
print(f"Adam at 0.001: accuracy {usual:.2f}")
assert np.ptp(gradual) < 0.05
assert best["SGD"]["10 after 80"] > best["Adam"]["10 after 80"] + 0.03
assert best["Adam"]["10 after 80"] > best["schedule-free AdamW"]["10 after 80"] + 0.03
assert usual < best["Adam"]["whole stream"] - 0.1

# %%
# Averaging
# ---------
# By default, ``averaging="ema"`` predicts with an exponential moving average of the weights. A
# ``decay`` of :math:`\rho` covers about :math:`1/(1 - \rho)` **steps**: 100 with the default of
# 0.99, and 10 with ``EMA(0.9)``. After ``fit`` this is a small part of the training. On a stream
# with one step per batch, the predictions depend on the last hundred batches. (By default, a
# classifier splits a batch of fewer than 128 samples into minibatches of 32, and a regressor does
# not split it.)
#
# A second stream is a regression problem, in which the lag can be read off. During the gradual
# drift, the level of the target rises linearly from 100 to 400 and its scale grows from 10 to 50.


def rising_target(seed):
    """Yield batches, each with the scale of its targets."""
    rng = np.random.default_rng(seed)
    for i in range(N_BATCHES):
        X = rng.normal(size=(BATCH_SIZE, 5))
        level, scale = 100 + 300 * ramp(i), 10 * 5 ** ramp(i)
        signal = X[:, 0] + np.sin(2 * X[:, 1]) + 0.2 * rng.normal(size=BATCH_SIZE)
        yield X, level + scale * signal, scale


def errors(seed, first=None, scaler=None, rate=0.03, averaging=None, **params):
    """Return the error relative to the scale, and the mean target and prediction, per batch."""
    options = {"batch_size": BATCH_SIZE, "random_state": seed, **params}
    model = MLPRegressor((32,), optimizer=Adam(rate), averaging=averaging, **options)
    if first is not None:
        model.partial_fit(*first(seed))
    scaling = None if scaler is None else scaler()
    results = []
    for i, (X, y, scale) in enumerate(rising_target(seed)):
        column = y.reshape(-1, 1)
        if i > 0:
            predicted = model.predict(X)
            if scaling is not None:
                predicted = scaling.inverse_transform(predicted.reshape(-1, 1)).ravel()
            error = np.sqrt(np.mean((y - predicted) ** 2)) / scale
            results.append([error, y.mean(), predicted.mean()])
        if scaling is not None:
            y = scaling.partial_fit(column).transform(column).ravel()
        model.partial_fit(X, y)
    return np.array(results).T


AVERAGINGS = {"None": None, "EMA(0.9)": EMA(0.9), '"ema": decay 0.99': "ema"}
averaged = {
    name: RUNS["Adam"]
    if averaging is None
    else [accuracies(seed, Adam(RATES["Adam"]), averaging) for seed in SEEDS]
    for name, averaging in AVERAGINGS.items()
}
rising = {
    name: np.array([errors(seed, averaging=averaging) for seed in SEEDS])
    for name, averaging in AVERAGINGS.items()
}
AVERAGED = phases(averaged, PHASES, "accuracy, averaging")
# The second half of the drift, in batches: the residual divided by the slope of the level.
second_half = slice((BEGIN + END) // 2, END - 1)
LAG = {
    name: np.mean(runs[:, 1, second_half] - runs[:, 2, second_half]) / (300 / (END - BEGIN))
    for name, runs in rising.items()
}
print("lag behind the level of the target:")
print("   ".join(f"{name}: {lag:.0f} batches" for name, lag in LAG.items()))

figure, axes = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
draw(axes[0], averaged)
axes[0].axvline(ABRUPT, color="0.5", lw=1)
axes[0].set(ylabel="accuracy before training", ylim=(0.2, 1), title="Adam, rotating boundary")
draw(axes[1], {name: runs[:, 2] for name, runs in rising.items()}, window=1)
axes[1].plot(range(1, N_BATCHES), rising["None"][:, 1].mean(axis=0), "k", lw=1, label="target")
axes[1].set(ylabel="mean of the batch", title="Adam, rising target")
for axis in axes:
    axis.legend(title="averaging")

# %%
# **The default lags.** A drift that continues is followed :math:`\rho/(1 - \rho)` steps late: 9
# with ``EMA(0.9)``, and 99 with the default. The measured lag is larger with ``EMA(0.9)``, because
# the network itself lags, too. It is smaller with the default, because only the first 60 batches
# have been averaged at that point. On the first stream, the mean accuracy is 0.73 with the default
# and 0.86 without averaging. In the last 20 batches, the default has not yet recovered.
#
# **Recommendation:** ``averaging=None``, or a short ``EMA`` if the drift is slow: its average
# should cover fewer steps than the drift takes. Averaging removes noise, and at these high rates
# ``EMA(0.9)`` is slightly better than no averaging once it has caught up.

assert AVERAGED['"ema": decay 0.99']["whole stream"] < AVERAGED["None"]["whole stream"] - 0.08
assert AVERAGED["EMA(0.9)"]["the last 20"] > AVERAGED["None"]["the last 20"] - 0.01
assert LAG["None"] < 3 < 7 < LAG["EMA(0.9)"] < 16 < LAG['"ema": decay 0.99']

# %%
# Scaling the targets
# -------------------
# With ``target_scaling=True``, a regressor learns the mean and standard deviation of the targets in
# the first call of ``partial_fit``, and keeps them. If they changed later, the same weights would
# give other predictions. On the rising target, this scaling becomes wrong: the scaled targets move
# far away from 0. With Adam, a larger gradient does not give a larger step, so the network needs
# many steps to follow.
#
# The alternatives are a first call with other samples, raw targets, and a scaler outside of the
# network with ``target_scaling=False``. scikit-learn's ``StandardScaler`` has a ``partial_fit``,
# but weights all samples of the past equally. ``ForgettingScaler`` averages over about five
# batches.


class ForgettingScaler:
    """Standardize with exponentially weighted means and variances over batches."""

    def __init__(self, decay=0.8):
        self.decay = decay
        self.weight, self.mean, self.var = 0.0, 0.0, 0.0

    def partial_fit(self, values):
        self.weight = self.decay * self.weight + 1
        self.mean = self.mean + (values.mean(axis=0) - self.mean) / self.weight
        self.var = self.var + (((values - self.mean) ** 2).mean(axis=0) - self.var) / self.weight
        return self

    def transform(self, values):
        return (values - self.mean) / np.sqrt(self.var)

    def inverse_transform(self, values):
        return values * np.sqrt(self.var) + self.mean


def one_sample(seed):
    """Return the first sample of another stream, whose standard deviation is 0."""
    X, y, _ = next(rising_target(50 + seed))
    return X[:1], y[:1]


def past_stream(seed):
    """Return samples of a complete stream of the past, which cover the whole range of y."""
    X, y, _ = zip(*rising_target(50 + seed), strict=True)
    return np.concatenate(X)[::24], np.concatenate(y)[::24]


SETTINGS = {
    "True": {},
    "True, one sample first": {"first": one_sample},
    "True, a past stream first": {"first": past_stream},
    "False, raw targets": {"target_scaling": False},
    "False, StandardScaler": {"target_scaling": False, "scaler": StandardScaler},
    "False, ForgettingScaler": {"target_scaling": False, "scaler": ForgettingScaler},
    "True, rate 0.1": {"rate": 0.1},
    "False, Forgetting, rate 0.1": {
        "target_scaling": False,
        "scaler": ForgettingScaler,
        "rate": 0.1,
    },
}
targets = {
    name: rising["None"][:, 0]
    if name == "True"
    else np.array([errors(seed, **params)[0] for seed in SEEDS])
    for name, params in SETTINGS.items()
}
TARGET_PHASES = {
    "before": slice(9, BEGIN - 1),
    "gradual drift": slice(BEGIN - 1, END - 1),
    "the last 20": slice(-20, None),
}
ERROR = phases(targets, TARGET_PHASES, "error, target_scaling")

figure, axis = plt.subplots(figsize=(10, 4), layout="constrained")
shown = [name for name in targets if "raw" not in name and "rate" not in name]
draw(axis, {name: targets[name] for name in shown})
axis.set(ylabel="error relative to the scale", yscale="log", title="Rising target, Adam at 0.03")
axis.legend(title="target_scaling")

# %%
# **A frozen scaling fails during the drift.** The error is then larger than that of predicting the
# mean of the batch. It is larger still after a first call with a single sample, whose scale is set
# to 1, and with raw targets. A first call with samples of the whole range is not a remedy either:
# the network then has to learn small differences on a large scale, which takes too long before the
# drift, and does not help during it.
#
# **A scaler outside of the network works**, because level and scale follow at once, and the network
# only has to learn how the scaled target depends on X. The scaler should forget:
# ``ForgettingScaler`` halves the error of the frozen scaling during the drift, and
# ``StandardScaler`` reduces it by less than a fifth. A higher learning rate also helps, because the
# network then follows the level faster, but the scaler is still an improvement.

constant = np.mean([np.std(y) / scale for _, y, scale in rising_target(0)])
print(f"error of predicting the mean of the batch: {constant:.2f}")
during = {name: error["gradual drift"] for name, error in ERROR.items()}
assert during["False, ForgettingScaler"] < during["False, StandardScaler"] < 1.1 * during["True"]
assert during["False, ForgettingScaler"] < min(0.65 * during["True"], constant)
assert during["False, Forgetting, rate 0.1"] < during["True, rate 0.1"]
assert (
    constant < during["True"] < min(during["False, raw targets"], during["True, one sample first"])
)
assert ERROR["True, a past stream first"]["before"] > constant
assert during["True, a past stream first"] > constant

# %%
# Scaling the features
# --------------------
# The same holds for features whose sensors drift. Here, each feature gets an offset and a gain
# during the gradual drift, and the relation between the true features and the class stays the same.


def on_sensors(seed, scaler, frozen=False):
    """Return the accuracy on each batch but the first, measured before training on it."""
    rng = np.random.default_rng(seed)
    gain, offset = np.exp(rng.normal(size=6)), rng.normal(scale=3, size=6)
    options = {"batch_size": BATCH_SIZE, "averaging": None, "random_state": seed}
    model = MLPClassifier((32,), optimizer=Adam(0.03), **options)
    scores = []
    for i in range(N_BATCHES):
        true = rng.normal(size=(BATCH_SIZE, 6))
        y = (true[:, 1] > 0.5 * true[:, 0] ** 2 - 0.5) ^ (rng.random(BATCH_SIZE) < 0.05)
        X = gain ** ramp(i) * (true + offset * ramp(i))
        if i > 0:
            scores.append(np.mean(model.predict(scaler.transform(X)) == y))
        if i == 0 or not frozen:
            scaler.partial_fit(X)
        model.partial_fit(scaler.transform(X), y, classes=[False, True])
    return np.array(scores)


features = {
    "fitted to the first batch": [on_sensors(seed, StandardScaler(), True) for seed in SEEDS],
    "StandardScaler": [on_sensors(seed, StandardScaler()) for seed in SEEDS],
    "ForgettingScaler": [on_sensors(seed, ForgettingScaler()) for seed in SEEDS],
}
FEATURES = phases(features, TARGET_PHASES, "accuracy, scaler of X")
frozen, standard, forgetting = FEATURES.values()
assert forgetting["gradual drift"] > standard["gradual drift"] > frozen["gradual drift"]

# %%
# **Less harmful than in the targets**, because the network can compensate for an offset or a gain
# by learning. The order is the same: a scaler that forgets is best, and ``StandardScaler`` is
# better than a scaler that is never updated.
#
# Schedules
# ---------
# A schedule such as ``"cosine"`` depends on the progress, that is, on the fraction of ``max_iter``
# that is completed. Each call of ``partial_fit`` counts as an epoch. After ``max_iter`` calls, the
# factor stays at its last value, which is 0 for ``"cosine"``, and a warning is issued once.

model = MLPClassifier((8,), schedule="cosine", max_iter=5, random_state=0)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for X, y in list(rotating_boundary(0))[:8]:
        model.partial_fit(X, y, classes=[False, True])
for warning in caught:
    print(warning.message)
print("learning rates:", [f"{rate:.4f}" for rate in model.history_["learning_rate"]])
assert len(caught) == 1

# %%
# ``"step"``, ``"plateau"`` and ``"inverse_scaling"`` do not run out, but also decay. With
# ``"step"``, the factor halves every ten batches. The schedules below start from the rate of Adam
# chosen above.

SCHEDULES = {
    "cosine, max_iter=60": {"schedule": "cosine", "max_iter": 60},
    "Cosine(0.3), max_iter=60": {"schedule": Cosine(final_factor=0.3), "max_iter": 60},
    "inverse_scaling": {"schedule": "inverse_scaling"},
    "step": {"schedule": "step"},
}
scheduled = {"constant": RUNS["Adam"]}
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "Cosine", UserWarning)
    for name, params in SCHEDULES.items():
        runs = [accuracies(seed, Adam(RATES["Adam"]), **params) for seed in SEEDS]
        scheduled[name] = runs
SCHEDULED = phases(scheduled, PHASES, "accuracy, schedule")

figure, axis = plt.subplots(figsize=(10, 4), layout="constrained")
draw(axis, scheduled)
axis.axvline(ABRUPT, color="0.5", lw=1)
axis.set(ylabel="accuracy before training", ylim=(0.2, 1), title="Schedules, rotating boundary")
axis.legend(loc="lower left")

# %%
# **Not running out is not enough.** ``"step"`` has a factor of 1/256 at the abrupt change, and the
# network never recovers, as with ``"cosine"``. ``"inverse_scaling"`` decays slowly enough to
# recover, but takes longer. A schedule with a ``final_factor`` above 0 runs out, but keeps learning
# at that rate. If the time of a change is unknown, the learning rate should stay ``"constant"``.

end = {name: means["the last 20"] for name, means in SCHEDULED.items()}
assert max(end["cosine, max_iter=60"], end["step"]) < 0.6
assert end["inverse_scaling"] > 0.6
assert min(end["constant"], end["Cosine(0.3), max_iter=60"]) > 0.82
plt.show()

# %%
# Recommendations
# ---------------
# ====================  =======================================================================
# setting               on a stream that drifts
# ====================  =======================================================================
# ``optimizer``         any, at a high rate: the choice of the rate matters more than the choice
#                       of the optimizer; no ``"schedule_free_adamw"`` if changes are abrupt
# ``averaging``         None, or ``EMA`` with a decay that covers fewer steps than the drift
# ``target_scaling``    False with an outside scaler that forgets; if True, a first batch of many
#                       samples, never a single sample
# features              a scaler that forgets, or ``StandardScaler.partial_fit``; do not freeze it
# ``schedule``          ``"constant"``; a decay only down to a rate that still learns
# evaluation            predict each batch before ``partial_fit``
# ====================  =======================================================================
#
# References
# ----------
# Gama, J., Sebastião, R., Rodrigues, P. P. (2013). On evaluating stream learning algorithms.
# Machine Learning 90(3), 317-346.
#
# Gama, J., Žliobaitė, I., Bifet, A., Pechenizkiy, M., Bouchachia, A. (2014). A survey on concept
# drift adaptation. ACM Computing Surveys 46(4).
#
# Kingma, D. P., Ba, J. (2015). Adam: a method for stochastic optimization. ICLR.
