"""
The effects of normalization
============================

The columns of a table often have different units: in scikit-learn's wine data, the hue is near 1
and the proline content near 750. "Normalization is a preprocessing step that scales your input
features to a similar range", and six effects are commonly attributed to it. It

1. stops "features with inherently larger numerical values from overshadowing the others",
2. gives stable gradients and so "faster convergence",
3. "prevents large weight updates",
4. improves accuracy: the model is "less likely to get stuck in local optima",
5. or to "overfit to specific features",
6. "helps to keep activations within a reasonable range", against vanishing and exploding gradients.

This example measures each effect, with the same network after every scaler. The verdicts are
listed in :doc:`/four_questions`."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.inspection import permutation_importance
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from sknn_adam import MLPClassifier

# %%
# The scalers
# -----------
# The comparison includes the unscaled columns, five scalers of scikit-learn, and a control that
# divides all columns by the *same* number. The control makes the values small but keeps the
# differences in scale between columns. It therefore separates the effect of small inputs from the
# effect of equal scales.


class OneFactor(TransformerMixin, BaseEstimator):
    """Divide the entire table by one number, the standard deviation of all its values."""

    def fit(self, X, y=None):
        """Compute the standard deviation."""
        self.factor_ = X.std()
        return self

    def transform(self, X):
        """Divide the table by the standard deviation."""
        return X / self.factor_


SCALERS = {
    "none": FunctionTransformer(),
    "one factor": OneFactor(),
    "MinMax (0, 1)": MinMaxScaler(),
    "MinMax (-1, 1)": MinMaxScaler((-1, 1)),
    "Standard": StandardScaler(),
    "Robust": RobustScaler(),
    "Quantile": QuantileTransformer(n_quantiles=100),
}
PER_COLUMN = list(SCALERS)[2:]
DATA = {"wine": load_wine(return_X_y=True), "cancer": load_breast_cancer(return_X_y=True)}
COLORS = ["#000000", "#CC79A7", "#0072B2", "#56B4E9", "#D55E00", "#009E73", "#E69F00"]
MARKERS = ["x", "P", "o", "s", "D", "^", "v"]
DASHES = ["-", (0, (1, 1)), "--", (0, (5, 1)), "-.", (0, (3, 1, 1, 1)), (0, (6, 2, 1, 2))]
STYLES = dict(zip(SCALERS, zip(COLORS, MARKERS, DASHES, strict=True), strict=True))


def split(X, y, name, seed, train_size=0.7):
    """Return X_train, X_test, y_train, y_test, scaled with the statistics of X_train."""
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, train_size=train_size, stratify=y, random_state=seed
    )
    scaler = SCALERS[name].fit(X_train)
    return scaler.transform(X_train), scaler.transform(X_test), y_train, y_test


def network(optimizer, learning_rate, seed, hidden=(32,), **options):
    """Return a network without a penalty that trains for all epochs."""
    options = {"batch_size": 32, "max_iter": 60, **options}
    model = MLPClassifier(
        hidden,
        optimizer=optimizer,
        alpha=0,
        averaging=None,
        tol=0,
        n_iter_no_change=np.inf,
        **options,
    )
    return model.set_params(optimizer__learning_rate=learning_rate, random_state=seed)


def fit(model, X, y):
    """Fit the model and ignore the warning about divergence, which is a result here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, y)


def first_epoch(model, target):
    """Return the first epoch with a training loss below the target, or infinity."""
    below = np.flatnonzero(np.array(model.history_["loss"]) < target)
    return below[0] + 1 if len(below) else np.inf


def table(headings, rows):
    """Print headings and rows of strings in aligned columns."""
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    for row in [headings, *rows]:
        print("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)))


def despine(axes):
    """Remove the top and right spines of all axes."""
    for axis in np.ravel(axes):
        axis.spines[["top", "right"]].set_visible(False)


# %%
# A similar range
# ---------------
# Near a minimum, the speed of gradient descent depends on the condition number of the loss. For the
# first layer, the curvature is determined by the second moments of its inputs, :math:`X^T X / n`
# with a column of ones for the bias (LeCun, Bottou, Orr and Müller 1998, "Efficient BackProp",
# section 4.3). The condition number of this matrix is roughly the number of steps that the slowest
# direction takes.


def condition(X):
    """Return the condition number of the second moments of the inputs and the bias."""
    X = np.column_stack([X, np.ones(len(X))])
    return np.linalg.cond(X) ** 2


CONDITIONS = {}
rows = []
for name, scaler in SCALERS.items():
    row = [name]
    for data, (X, _) in DATA.items():
        scaled = scaler.fit_transform(X)
        deviations = scaled.std(axis=0)
        CONDITIONS[data, name] = condition(scaled)
        row += [f"{np.abs(scaled).max():.3g}", f"{deviations.max() / deviations.min():.2g}"]
        row += [f"{CONDITIONS[data, name]:.1e}"]
    rows.append(row)
print("largest |value|, largest / smallest standard deviation of a column, condition number")
table(["scaler"] + [f"{d} {c}" for d in DATA for c in ("max", "ratio", "cond")], rows)

# %%
# One factor changes the size of the values but hardly affects the condition number. Scaling each
# column improves it by orders of magnitude, and centring the columns helps most. Nonzero means add
# one dominant direction that all columns share, which is why (-1, 1) is better than (0, 1).

for data in DATA:
    assert CONDITIONS[data, "Standard"] < 1e-3 * CONDITIONS[data, "none"]
    assert CONDITIONS[data, "MinMax (-1, 1)"] < CONDITIONS[data, "MinMax (0, 1)"]

# %%
# Faster convergence: every scaler at its own best rate
# -----------------------------------------------------
# Comparing scalers at a single learning rate is not informative, because the best rate depends on
# the scaler. Plain gradient descent (batches of 32, 60 epochs) is therefore run at eight rates
# first, with three seeds each.

RATES = 10.0 ** np.arange(-6, 2)
PRIOR = {
    data: log_loss(y, np.tile(np.bincount(y) / len(y), (len(y), 1)))
    for data, (_, y) in DATA.items()
}


def final_loss(model):
    """Return the mean loss of the last five epochs, or infinity after divergence."""
    if model.stop_reason_ == "diverged":
        return np.inf
    return np.mean(model.history_["loss"][-5:])


def sweep(X, y, name):
    """Return the median final training loss at each rate."""
    losses = []
    for seed in range(100, 103):
        X_train, _, y_train, _ = split(X, y, name, seed)
        options = {"seed": seed, "record": False}
        losses.append(
            [final_loss(fit(network("sgd", r, **options), X_train, y_train)) for r in RATES]
        )
    return np.median(losses, axis=0)


SWEEPS = {(data, name): sweep(*DATA[data], name) for data in DATA for name in SCALERS}
BEST_RATE = {key: RATES[np.argmin(losses)] for key, losses in SWEEPS.items()}

figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained", sharey=True)
for axis, data in zip(axes, DATA, strict=True):
    for name, (color, marker, dashes) in STYLES.items():
        losses = np.minimum(SWEEPS[data, name], 10)
        axis.loglog(RATES, losses, color=color, marker=marker, ls=dashes, label=name)
    axis.axhline(PRIOR[data], color="0.6", lw=1, label="constant prediction")
    axis.set(title=data, xlabel="learning rate of SGD")
axes[0].set_ylabel("training loss after 60 epochs (nats, at most 10)")
axes[0].legend(title="scaler", loc="lower left")
despine(axes)
figure.suptitle("With scaled columns, large rates work and are needed")

# %%
# The networks are then trained with 20 seeds, which change the split and the initial weights, in
# three settings: SGD at rate 0.1 for all scalers, SGD at the best of the rates above, and Adam at
# 0.01. The tables show the epochs to a training loss of 0.1, the first update of the first layer's
# weights relative to their norm, the held-out accuracy with its standard deviation over the seeds,
# the gap between training and held-out accuracy, and the fraction of dead units.

SEEDS = range(20)
TARGET = 0.1


def run(data, name, optimizer, rate):
    """Return arrays over the seeds: epochs to the target, first update, test, gap, dead units."""
    results = []
    for seed in SEEDS:
        X_train, X_test, y_train, y_test = split(*DATA[data], name, seed)
        model = fit(network(optimizer, rate, seed, record="all"), X_train, y_train)
        layers, test = model.history_.layers, model.score(X_test, y_test)
        gap = model.score(X_train, y_train) - test
        first = layers["update_ratio"][0][0]
        results.append((first_epoch(model, TARGET), first, test, gap, layers["dead"][-1][0]))
    return dict(
        zip(["epochs", "update", "test", "gap", "dead"], np.transpose(results), strict=True)
    )


SETTINGS = ["SGD 0.1", "SGD best", "Adam 0.01"]
RUNS = {}
for data in DATA:
    for name in SCALERS:
        settings = [("sgd", 0.1), ("sgd", BEST_RATE[data, name]), ("adam", 0.01)]
        for setting, (optimizer, rate) in zip(SETTINGS, settings, strict=True):
            RUNS[data, setting, name] = {"rate": rate, **run(data, name, optimizer, rate)}

for data in DATA:
    for setting in SETTINGS:
        print(f"\n{data}, {setting}")
        rows = []
        for name in SCALERS:
            r = RUNS[data, setting, name]
            epochs = np.median(r["epochs"])
            row = [name, f"{r['rate']:.0e}", f"{epochs:.0f}" if epochs < np.inf else "> 60"]
            row += [f"{np.median(r['update']):.3g}", f"{r['test'].mean():.3f}"]
            row += [f"{r['test'].std():.3f}", f"{r['gap'].mean():+.3f}", f"{r['dead'].mean():.2f}"]
            rows.append(row)
        headings = ["scaler", "rate", "epochs", "1st update", "test", "sd", "gap", "dead"]
        table(headings, rows)

# %%


def strip(axis, key, data, limit=None):
    """Draw one point per seed and one line per scaler, with Adam below SGD."""
    noise = np.random.default_rng(0).uniform(-0.13, 0.13, len(SEEDS))
    styles = [("SGD best", "#0072B2", "o", 0.2), ("Adam 0.01", "#D55E00", "^", -0.2)]
    for setting, color, marker, lift in styles:
        for place, name in enumerate(SCALERS):
            values = RUNS[data, setting, name][key]
            values = values if limit is None else np.minimum(values, limit)
            label = setting if place == 0 else None
            at = -place + lift + noise
            axis.plot(values, at, marker, color=color, ms=4, alpha=0.55, label=label, mew=0)
            middle = np.median(values)
            axis.plot([middle] * 2, [-place + lift - 0.18, -place + lift + 0.18], color=color, lw=2)
    axis.set_yticks(-np.arange(len(SCALERS)), SCALERS)


figure, axes = plt.subplots(2, 2, figsize=(10, 8), layout="constrained", sharey=True)
for (left, right), data in zip(axes, DATA, strict=True):
    strip(left, "epochs", data, limit=90)
    left.set_xscale("log")
    left.set_xticks([1, 2, 5, 10, 20, 60, 90], ["1", "2", "5", "10", "20", "60", "never"])
    left.minorticks_off()
    left.set(title=f"{data}: epochs to a training loss of {TARGET}", xlabel="epochs")
    strip(right, "test", data)
    right.set(title=f"{data}: held-out accuracy", xlabel="accuracy after 60 epochs")
axes[0, 0].legend(loc="upper left", framealpha=1)
despine(axes)

# %%
# *Faster convergence: holds, by a wide margin.* Without a scaler, or with one factor for all
# columns, neither optimizer reaches the target within 60 epochs, even at the best rate of plain
# gradient descent. With any scaler that treats each column separately, both do. At the common rate
# of 0.1, these scalers rank exactly as their condition numbers above do: Standard, Robust, MinMax
# (-1, 1), Quantile, MinMax (0, 1).
#
# *Large updates: holds for SGD at a given rate.* At 0.1, the first update without scaling is many
# times as large as the weights themselves. All hidden units then die at once, and from then on the
# network predicts the most frequent class. A smaller rate makes the updates as small as desired,
# but training takes longer. Adam bounds its steps by the learning rate, so its first update is
# similar with and without a scaler. Large updates are therefore not the reason why Adam is slow
# here.

for data in DATA:
    for setting in ["SGD best", "Adam 0.01"]:
        assert np.median(RUNS[data, setting, "none"]["epochs"]) == np.inf
        assert np.median(RUNS[data, setting, "one factor"]["epochs"]) == np.inf
        assert all(np.median(RUNS[data, setting, name]["epochs"]) < 60 for name in PER_COLUMN)
        best_unscaled = max(RUNS[data, setting, n]["test"].mean() for n in ["none", "one factor"])
        assert RUNS[data, setting, "Standard"]["test"].mean() > best_unscaled + 0.01
    by_condition = sorted(PER_COLUMN, key=lambda name: CONDITIONS[data, name])
    epochs = [np.median(RUNS[data, "SGD 0.1", name]["epochs"]) for name in by_condition]
    assert epochs == sorted(epochs)
    update = {n: np.median(RUNS[data, "SGD 0.1", n]["update"]) for n in SCALERS}
    assert update["none"] > 2
    assert max(update[name] for name in PER_COLUMN) < 0.2
    assert RUNS[data, "SGD 0.1", "none"]["dead"].mean() > 0.95
    update = {n: np.median(RUNS[data, "Adam 0.01", n]["update"]) for n in SCALERS}
    assert 0.5 < update["none"] / update["Standard"] < 1
assert RUNS["cancer", "SGD best", "Standard"]["gap"].mean() > 0.01

# %%
# Local optima and overfitting
# ----------------------------
# *Local optima.* A scaler that shifts and rescales each column can be folded into the first layer:
# weights :math:`W_{ij} / \sigma_i` and biases :math:`b_j - \sum_i \mu_i W_{ij} / \sigma_i` give the
# same outputs on the raw columns as :math:`W, b` on the scaled ones. Without a penalty, the loss
# therefore has the same optima before and after scaling. Only the path to them changes. To show
# this, networks are trained with Adam at 0.003, for 400 epochs without a scaler and for 80 epochs
# with one. The last two columns of the table are the mean training losses halfway and at the end.
#
# *Overfitting.* In the tables above, the gap between training and held-out accuracy is smallest
# without scaling, because that network has hardly learned. A fair comparison needs equal training
# losses, so each network is trained until its training loss is below 0.15.


def folded_loss(model, scaler, X, y):
    """Return the loss on raw columns with the scaler folded into the first layer."""
    W, b = model.coefs_[0] / scaler.scale_[:, None], model.intercepts_[0]
    hidden = np.maximum(X @ W + (b - scaler.mean_ @ W), 0)
    z = hidden @ model.coefs_[1] + model.intercepts_[1]
    return np.mean(np.logaddexp.reduce(z, axis=1) - z[np.arange(len(y)), y])


def at_equal_loss(data, name, seed, target=0.15):
    """Return epochs to the target, losses and accuracies there, and halfway and final losses."""
    X_train, X_test, y_train, y_test = split(*DATA[data], name, seed)
    limit = 400 if name == "none" else 80
    full = fit(network("adam", 0.003, seed, max_iter=limit, record=False), X_train, y_train)
    curve, epochs = full.history_["loss"], first_epoch(full, target)
    ends = [np.mean(curve[limit // 2 - 20 : limit // 2]), np.mean(curve[-20:])]
    if epochs == np.inf:
        return [epochs, *4 * [np.nan], *ends]
    model = fit(network("adam", 0.003, seed, max_iter=int(epochs)), X_train, y_train)
    losses = [
        log_loss(y, model.predict_proba(X)) for X, y in [(X_train, y_train), (X_test, y_test)]
    ]
    accuracies = [model.score(X_train, y_train), model.score(X_test, y_test)]
    return [epochs, *losses, *accuracies, *ends]


X, y = DATA["wine"]
scaler = StandardScaler().fit(X)
model = network("adam", 0.003, 0).fit(scaler.transform(X), y)
losses = log_loss(y, model.predict_proba(scaler.transform(X))), folded_loss(model, scaler, X, y)
print("wine, loss after Standard {:.10f}, folded into the raw columns {:.10f}".format(*losses))
assert np.isclose(*losses, rtol=1e-6)

EQUAL = {}
rows = []
for data in DATA:
    for name in ["none", "MinMax (0, 1)", "Standard"]:
        EQUAL[data, name] = e = np.array([at_equal_loss(data, name, seed) for seed in SEEDS])
        reached = e[np.isfinite(e[:, 0])]
        train, test, train_score, test_score = reached[:, 1:5].mean(axis=0)
        gaps = reached[:, 2] - reached[:, 1]
        row = [data, name, f"{len(reached)}", f"{np.median(reached[:, 0]):.0f}"]
        row += [f"{train:.3f}", f"{test:.3f}", f"{gaps.mean():.3f}", f"{gaps.std():.3f}"]
        row += [f"{test_score:.3f}", f"{train_score - test_score:+.3f}"]
        rows.append(row + [f"{loss:.3f}" for loss in np.median(e[:, 5:], axis=0)])
headings = "data,scaler,seeds,epochs,train loss,test loss,gap,sd,test acc,gap,halfway,end"
table(headings.split(","), rows)

# %%
# Without a scaler, all seeds reach the target as well, but they take at least ten times as many
# epochs.

# %%
# No feature overshadows the others
# ---------------------------------
# The gradient of the first layer has one row for each column of the table. The contribution of a
# column is the squared norm of its row, as a fraction of the squared norm of the gradient. The
# gradient can be computed without access to the internals of the package: one copy of a network
# takes a step of SGD at rate 1, another copy at rate 2, and the difference of their weights is the
# gradient.
#
# Here "ash", one of the 13 columns of the wine data, is multiplied by 1000, as if milligrams had
# been entered instead of grams. The second measure is the permutation importance: the decrease in
# held-out accuracy when the column is shuffled (Adam at 0.003, 60 epochs, 10 seeds).

ASH = load_wine().feature_names.index("ash")
rng = np.random.default_rng(0)
X, y = DATA["wine"]
# Each column is shuffled separately and then contains no information about the class.
noise = rng.permuted(X, axis=0)
VERSIONS = {
    "as it is": X,
    "ash x 1000": X * np.where(np.arange(X.shape[1]) == ASH, 1000, 1),
    "1 large noise": np.column_stack([X, 1000 * noise[:, ASH]]),
    "39 tiny noise": np.column_stack([X, *(0.001 * rng.permuted(X, axis=0) for _ in range(3))]),
}


def gradient_fractions(X, y, seed):
    """Return the fraction of each column in the squared gradient of the first layer."""
    options = {"max_iter": 1, "batch_size": len(X), "record": False}
    one, two = (network("sgd", rate, seed, **options).fit(X, y).coefs_[0] for rate in (1, 2))
    squares = ((one - two) ** 2).sum(axis=1)
    return squares / squares.sum()


def overshadowing(version, name, seeds=range(10)):
    """Return mean gradient fractions and importances over the seeds, and the scores per seed."""
    fractions, importances, scores = [], [], []
    for seed in seeds:
        X_train, X_test, y_train, y_test = split(VERSIONS[version], y, name, seed)
        model = fit(network("adam", 0.003, seed, record=False), X_train, y_train)
        scores.append((model.score(X_train, y_train), model.score(X_test, y_test)))
        if "noise" not in version:
            fractions.append(gradient_fractions(X_train, y_train, seed))
            result = permutation_importance(model, X_test, y_test, random_state=seed)
            importances.append(result.importances_mean)
    means = [np.mean(values, axis=0) if values else None for values in (fractions, importances)]
    return *means, np.array(scores)


SHADOWS = {(v, name): overshadowing(v, name) for v in VERSIONS for name in SCALERS}


def effective(weights):
    """Return the effective number of columns: 1 if one dominates, n if n contribute equally."""
    weights = np.maximum(weights, 0) / np.maximum(weights, 0).sum()
    return 1 / np.sum(weights**2)


rows = []
for name in SCALERS:
    before, after = SHADOWS["as it is", name], SHADOWS["ash x 1000", name]
    row = [name, f"{effective(before[0]):.1f}", f"{effective(before[1]):.1f}"]
    row += [f"{100 * v[0][ASH]:.2g} %" for v in (before, after)]
    row += [f"{v[1][ASH]:+.3f}" for v in (before, after)]
    rows.append(row)
print("effective number of columns by both measures, then gradient and importance of ash")
table("scaler,gradient,importance,gradient,x 1000,importance,x 1000".split(","), rows)

rows = []
for name in SCALERS:
    scores = [SHADOWS[version, name][2].mean(axis=0) for version in VERSIONS]
    rows.append([name, *(f"{train:.3f} / {test:.3f}" for train, test in scores)])
print("\ntraining / held-out accuracy")
table(["scaler", *VERSIONS], rows)

# %%

figure, axes = plt.subplots(1, 3, figsize=(12, 4.2), layout="constrained", sharey=True)
places = -np.arange(len(SCALERS))
pairs = [("as it is", "o", "white"), ("ash x 1000", "D", "#D55E00")]
for axis, measure in zip(axes[:2], (0, 1), strict=True):
    ends = np.array([[SHADOWS[v, n][measure][ASH] for n in SCALERS] for v, _, _ in pairs])
    axis.hlines(places, ends.min(axis=0), ends.max(axis=0), color="0.6")
    for (version, marker, face), values in zip(pairs, ends, strict=True):
        size = 9 if face == "white" else 5
        axis.plot(values, places, marker, mfc=face, mec="#D55E00", ms=size, label=version)
axes[0].set(xscale="log", xlabel="fraction of the squared gradient", title="ash: gradient")
axes[1].set(xlabel="decrease in accuracy when shuffled", title="ash: permutation importance")
axes[0].legend(loc="lower left")
styles = [("o", "#000000"), ("D", "#D55E00"), ("s", "#0072B2"), ("^", "#009E73")]
lifts = (0.24, 0.08, -0.08, -0.24)
for version, (marker, color), lift in zip(VERSIONS, styles, lifts, strict=True):
    scores = np.array([SHADOWS[version, name][2][:, 1] for name in SCALERS])
    axes[2].errorbar(
        scores.mean(axis=1),
        places + lift,
        xerr=scores.std(axis=1),
        fmt=marker,
        color=color,
        ms=5,
        lw=1,
        label=version,
    )
axes[2].set(xlabel="accuracy: mean and sd over 10 seeds", title="held-out samples")
axes[2].legend(loc="lower left")
axes[0].set_yticks(places, SCALERS)
despine(axes)

# %%
# Activations and gradients in a deep network
# -------------------------------------------
# These networks have ten hidden layers of 32 units, initial weights that suit the activation
# (``"auto"``), and the wine data as a single batch. With ``record="all"``, ``history_.layers``
# contains the range of the activations and the norm of the gradient for each layer. The values are
# geometric means over five seeds.

ACTIVATIONS = ["relu", "tanh", "logistic"]
DEEP_SCALERS = ["none", "one factor", "MinMax (0, 1)", "Standard"]


def deep(activation, name, seeds=range(5)):
    """Return range, gradient and fraction of inactive units at the first step, and two losses."""
    results = []
    X, y = DATA["wine"]
    X = SCALERS[name].fit_transform(X)
    for seed in seeds:
        options = {"activation": activation, "batch_size": len(X), "record": "all"}
        model = fit(network("adam", 0.003, seed, (32,) * 10, max_iter=100, **options), X, y)
        first = {
            key: np.array(model.history_.layers[key][0]) for key in model.history_.layers.columns
        }
        sizes = np.maximum(np.abs(first["activation_min"]), np.abs(first["activation_max"]))
        inactive = first["dead"] + first["saturated"]
        losses = model.history_["loss"]
        results.append((sizes, first["gradient_norm"], inactive, (losses[0], losses[-1])))
    return [np.array(values) for values in zip(*results, strict=True)]


DEEP = {(a, name): deep(a, name) for a in ACTIVATIONS for name in DEEP_SCALERS}


def mean(values):
    """Return the geometric mean over the seeds."""
    return np.exp(np.log(values).mean(axis=0))


rows = []
for (activation, name), (sizes, gradients, inactive, losses) in DEEP.items():
    row = [activation, name]
    for values in (mean(sizes[:, :10]), mean(gradients[:, :10])):
        row += [f"{values[0]:.2g}", f"{values[-1]:.2g}", f"{values[0] / values[-1]:.1g}"]
    row += [f"{inactive[:, 0].mean():.2f}", *(f"{v:.3g}" for v in np.median(losses, axis=0))]
    rows.append(row)
headings = "activation,scaler,size 1,size 10,ratio,grad 1,grad 10,ratio,off,first loss,after 100"
table(headings.split(","), rows)

# %%

figure, axes = plt.subplots(
    2, 3, figsize=(11, 6.5), layout="constrained", sharex=True, sharey="row"
)
for column, activation in zip(axes.T, ACTIVATIONS, strict=True):
    for name in DEEP_SCALERS:
        color, marker, dashes = STYLES[name]
        sizes, gradients, _, _ = DEEP[activation, name]
        for axis, values in zip(column, (sizes, gradients), strict=True):
            at = np.arange(1, 11)
            line = {"color": color, "marker": marker, "ls": dashes, "label": name}
            axis.semilogy(at, mean(values[:, :10]), **line)
    column[0].set_title(activation)
    column[1].set(xlabel="hidden layer", xticks=[1, 4, 7, 10])
axes[0, 0].set_ylabel("largest |activation|, first step")
axes[1, 0].set_ylabel("norm of the gradient, first step")
axes[0, 2].legend(title="scaler")
despine(axes)

# %%
# When there is little to gain
# ----------------------------
# The 64 pixels of scikit-learn's digits have a common unit, from 0 to 16. Scaling each pixel
# separately amplifies the pixels at the margin, which are nearly always blank. The networks train
# on 300 samples with Adam at 0.003.

DIGITS = load_digits(return_X_y=True)


def digits(name, seeds=range(10)):
    """Return epochs to the target and held-out accuracies, one row per seed."""
    results = []
    for seed in seeds:
        X_train, X_test, y_train, y_test = split(*DIGITS, name, seed, train_size=300)
        model = fit(network("adam", 0.003, seed, max_iter=40, record=False), X_train, y_train)
        results.append((first_epoch(model, TARGET), model.score(X_test, y_test)))
    return np.array(results)


PIXELS = {name: digits(name) for name in SCALERS}
rows = []
for name, (epochs, scores) in ((name, result.T) for name, result in PIXELS.items()):
    rows.append([name, f"{np.median(epochs):.0f}", f"{scores.mean():.3f}", f"{scores.std():.3f}"])
table(["scaler", "epochs", "test", "sd"], rows)
