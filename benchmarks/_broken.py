"""Deliberately broken networks with one fault each, and healthy networks to compare with them.

A case is drawn at random: a table, a healthy network for it (depth, widths, activation, optimizer,
batch size, ...) and, for a broken network, the details of the fault. A network counts as broken if
its test score is more than 10 % below that of the healthy network; the diagnosis has no influence
on this. Epochs count as unused if early stopping with the default patience gives about the same
test and validation scores in at most a quarter of them. Cases that do not meet the condition are
drawn again.
"""

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_wine,
    make_classification,
    make_friedman1,
    make_friedman2,
    make_friedman3,
    make_moons,
)
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler, scale

from sknn_adam import SGD, MLPClassifier, MLPRegressor
from sknn_adam.initializers import Constant, RandomNormal
from sknn_adam.inspection import Findings

KINDS = (
    "vanishing_gradients",
    "exploding_gradients",
    "dead_units",
    "saturated_units",
    "unscaled_inputs",
    "unscaled_targets",
    "learning_rate_high",
    "learning_rate_low",
    "diverged",
    "overfitting",
    "underfitting",
    "stopped_early",
    "clipping_always",
    "batch_too_large",
    "too_few_steps",
    "unused_epochs",
)
HEALTHY = ("healthy", "healthy on few samples")


def _digits(rng):
    X, y = load_digits(return_X_y=True)
    rows = rng.permutation(len(y))[:900]
    return X[rows] / 16, y[rows]


def _bundled(load):
    def table(rng):
        X, y = load(return_X_y=True)
        return scale(X), y

    return table


def _classes(n_features, n_classes, flip):
    def table(rng):
        X, y = make_classification(
            1000,
            n_features,
            n_informative=n_features // 2,
            n_classes=n_classes,
            flip_y=flip,
            class_sep=1.5,
            random_state=rng.integers(2**31),
        )
        return scale(X), y

    return table


def _moons(rng):
    X, y = make_moons(800, noise=0.2, random_state=rng.integers(2**31))
    return scale(np.c_[X, rng.normal(size=(len(X), 4))]), y


def _regression(make, noise):
    def table(rng):
        X, y = make(900, noise=noise, random_state=rng.integers(2**31))
        return scale(X), y

    return table


def _waves(rng):
    X = rng.normal(size=(1000, 8))
    y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + 0.5 * X[:, 3] + 0.2 * rng.normal(size=1000)
    return X, np.c_[y, X[:, 4] - y]


# The thresholds of the diagnosis were set on the first group; results are reported for the second.
TABLES: dict[str, dict[str, Any]] = {
    "tuning": {
        "digits": _digits,
        "wine": _bundled(load_wine),
        "four classes": _classes(16, 4, 0.02),
        "friedman1": _regression(make_friedman1, 1.0),
        "diabetes": _bundled(load_diabetes),
    },
    "report": {
        "breast cancer": _bundled(load_breast_cancer),
        "three classes": _classes(30, 3, 0.1),
        "moons": _moons,
        "friedman2": _regression(make_friedman2, 50.0),
        "friedman3": _regression(make_friedman3, 0.1),
        "waves": _waves,
    },
}
REGRESSION_TABLES = ("friedman1", "friedman2", "friedman3", "diabetes", "waves")
OPTIMIZERS = (
    ("adam", 1e-3),
    ("adamw", 1e-3),
    ("nadam", 1e-3),
    ("rmsprop", 1e-3),
    ("radam", 3e-3),
    (SGD(momentum=0.9), 0.02),
)


@dataclass
class Case:
    """A network with its fault, training set and test set."""

    kind: str  # an element of KINDS or HEALTHY
    table: str
    model: Any
    fit: tuple  # X and y
    test: tuple
    options: dict = field(default_factory=dict)  # further arguments of fit
    given: bool = False  # whether diagnose gets the test set
    score: float = np.nan
    reference: float = np.nan  # test score of the healthy network


def fit_quietly(model, X, y, **options):
    """Fit the model without warnings and return it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, y, **options)


def train(model, case):
    """Fit the model and return its score on the test set."""
    fit_quietly(model, *case.fit, **case.options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.score(*case.test)


def network(rng, table):
    """Return an unfitted network with random hyper-parameters that are usually healthy."""
    kind = MLPRegressor if table in REGRESSION_TABLES else MLPClassifier
    depth, (optimizer, rate) = rng.integers(1, 5), OPTIMIZERS[rng.integers(len(OPTIMIZERS))]
    model = kind(
        tuple(int(rng.choice([32, 64, 128])) for _ in range(depth)),
        str(rng.choice(["relu", "relu", "tanh", "silu", "gelu", "elu"])),
        optimizer=optimizer,
        batch_size=int(rng.choice([32, 64])),
        max_iter=int(rng.choice([60, 100, 150])),
        normalization=[None, None, "batch", "layer"][rng.integers(4)],
        averaging=["ema", None][rng.integers(2)],
        schedule=str(rng.choice(["constant", "constant", "cosine"])),
        early_stopping=bool(rng.random() < 0.3),
        gradient_clip=[None, None, None, 5.0][rng.integers(4)],
        dropout=[0.0, 0.0, 0.1, 0.2][rng.integers(4)],
        random_state=int(rng.integers(1000)),
    )
    return model.set_params(optimizer__learning_rate=rate * rng.choice([0.5, 1, 2]))


def draw(kind, group, seed):
    """Return a fitted case of one kind, with its score and that of the healthy network."""
    stream = KINDS.index(kind) if kind in KINDS else 99 - HEALTHY.index(kind)
    rng = np.random.default_rng([seed, stream])
    for _ in range(60):
        tables = [n for n in TABLES[group] if kind != "unscaled_targets" or n in REGRESSION_TABLES]
        name = tables[rng.integers(len(tables))]
        X, y = TABLES[group][name](rng)
        a, b = train_test_split(np.arange(len(y)), test_size=0.3, random_state=rng.integers(1000))
        healthy = Case("healthy", name, network(rng, name), (X[a], y[a]), (X[b], y[b]))
        if rng.random() < 0.3:
            healthy.options = {"X_val": X[b], "y_val": y[b]}
        healthy.score = train(healthy.model, healthy)
        others = [train(model, healthy) for model in _plain(name)]
        healthy.reference = max(healthy.score, *others)
        if healthy.score < 0.95 * healthy.reference or healthy.reference < 0.3:
            continue
        if kind == "healthy":
            healthy.given = bool(rng.random() < 0.5)
            return healthy
        if kind == "healthy on few samples":
            case = _on_few_samples(healthy, rng, most=120, batch_size="auto")
            case.kind, case.given, case.reference = kind, bool(rng.random() < 0.5), healthy.score
            case.score = train(case.model, case)
            if case.score < 0.95 * case.reference or case.reference < 0.3:
                continue
            return case
        case = BREAK[kind](healthy, rng)
        # Some faults retrain the healthy network on other samples and change its score.
        case.reference = healthy.score
        if case.reference < 0.3:
            continue
        case.score = train(case.model, case)
        if kind == "diverged" and _inner(case.model).stop_reason_ != "diverged":
            continue
        if kind == "too_few_steps":
            # Small batches can also improve the test score by their gradient noise. Only a network
            # that does not fit its own training samples had too few steps.
            if case.model.score(*case.fit) >= 0.9 * healthy.model.score(*case.fit):
                continue
        if kind == "unused_epochs":
            if has_unused_epochs(case):
                return case
            continue
        if not case.score >= 0.9 * case.reference:  # a score of NaN counts as broken
            return case
    raise RuntimeError(f"None of 60 draws gave a network of kind {kind!r}.")


def has_unused_epochs(case):
    """Return whether the default patience gives similar scores in a quarter of the epochs."""
    brief = clone(case.model).set_params(early_stopping=True, n_iter_no_change=10)
    good = train(brief, case) >= max(0.98 * case.score, 0.92 * case.reference)
    scores = np.asarray(case.model.validation_scores_)
    least = scores.max() - 0.05 * (scores.max() - scores[0])
    same = max(brief.validation_scores_) >= least
    return good and same and brief.n_iter_ <= case.model.n_iter_ / 4


def _plain(table):
    """Return two baseline networks; a healthy network scores at least 95 % of the better one."""
    kind = MLPRegressor if table in REGRESSION_TABLES else MLPClassifier
    plain = kind((64, 64), batch_size=32, max_iter=100, random_state=0)
    return plain, clone(plain).set_params(early_stopping=True, alpha=1e-2)


def _inner(model):
    return model[-1] if isinstance(model, Pipeline) else model


# -- faults ---------------------------------------------------------------------------------------


def _broken(healthy, kind, rng, **params):
    """Return a case with `params` changed and the learning rate multiplied by `factor`."""
    model = clone(healthy.model)
    rate = params.pop("factor", None)
    model.set_params(**params)
    if rate is not None:
        name = "optimizer__learning_rate"
        model.set_params(**{name: rate * model.get_params()[name]})
    return Case(kind, healthy.table, model, healthy.fit, healthy.test)


def _uniform(rng, low, high):
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _vanishing(healthy, rng):
    params = {"activation": "logistic", "initializer": "glorot_uniform"}
    if rng.random() < 0.3:
        params = {"activation": "tanh", "initializer": RandomNormal(_uniform(rng, 0.003, 0.03))}
    sizes = (int(rng.choice([16, 32, 64])),) * int(rng.integers(7, 15))
    params |= {"hidden_layer_sizes": sizes, "normalization": None}
    return _broken(healthy, "vanishing_gradients", rng, **params)


def _exploding(healthy, rng):
    width, depth = int(rng.choice([32, 64, 128])), int(rng.integers(3, 9))
    gain = _uniform(rng, 3, 8)
    return _broken(
        healthy,
        "exploding_gradients",
        rng,
        hidden_layer_sizes=(width,) * depth,
        activation=str(rng.choice(["relu", "leaky_relu", "silu"])),
        initializer=RandomNormal(gain * (2 / width) ** 0.5),
        normalization=None,
    )


def _dead(healthy, rng):
    bias_initializer = Constant(-_uniform(rng, 3, 30))
    return _broken(
        healthy,
        "dead_units",
        rng,
        activation="relu",
        bias_initializer=bias_initializer,
        normalization=None,
    )


def _saturated(healthy, rng):
    return _broken(
        healthy,
        "saturated_units",
        rng,
        activation=str(rng.choice(["tanh", "logistic"])),
        initializer=RandomNormal(_uniform(rng, 5, 30)),
        normalization=None,
    )


def _unscaled_inputs(healthy, rng):
    case = _broken(healthy, "unscaled_inputs", rng, normalization=None)
    n = healthy.fit[0].shape[1]
    factor = 10 ** rng.uniform(-1, 4, n)
    shift = factor * rng.normal(size=n) * rng.choice([0, 3, 30])
    case.fit, case.test = ((X * factor + shift, y) for X, y in (healthy.fit, healthy.test))
    container = rng.integers(3)
    if container == 1:
        case.model = Pipeline([("mlp", case.model)])
    elif container == 2:
        case.model = Pipeline([("scaler", "passthrough"), ("mlp", case.model)])
    return case


def _unscaled_targets(healthy, rng):
    case = _broken(healthy, "unscaled_targets", rng, target_scaling=False)
    factor = 10 ** (rng.uniform(1.5, 5) if rng.random() < 0.8 else rng.uniform(-5, -2))
    factor /= healthy.fit[1].std()
    shift = factor * healthy.fit[1].std() * rng.choice([0, 3, 30])
    case.fit, case.test = ((X, y * factor + shift) for X, y in (healthy.fit, healthy.test))
    return case


def _rate_high(healthy, rng):
    return _broken(healthy, "learning_rate_high", rng, factor=_uniform(rng, 30, 1000))


def _rate_low(healthy, rng):
    return _broken(healthy, "learning_rate_low", rng, factor=1 / _uniform(rng, 30, 3000))


def _diverged(healthy, rng):
    case = _broken(
        healthy,
        "diverged",
        rng,
        optimizer=SGD(_uniform(rng, 3, 1e4), momentum=float(rng.choice([0, 0.9]))),
        normalization=None,
        activation=str(rng.choice(["relu", "silu", "elu"])),
    )
    return case


def _overfitting(healthy, rng):
    case = _broken(
        healthy,
        "overfitting",
        rng,
        hidden_layer_sizes=(256,) * int(rng.integers(1, 4)),
        alpha=0.0,
        averaging=None,
        early_stopping=False,
        max_iter=300,
        n_iter_no_change=np.inf,
    )
    X, y = healthy.fit
    chosen = rng.permutation(len(y))[: int(rng.choice([100, 200, 300]))]
    amount = rng.uniform(0.5, 1) if y.dtype.kind == "f" else rng.uniform(0.1, 0.3)
    deviation = y.std(axis=0)
    (X, y), (X_test, y_test) = (X[chosen], y[chosen].copy()), healthy.test
    # The test set gets as much noise as the training set.
    y_test = y_test.copy()
    for targets in (y, y_test):
        if y.dtype.kind == "f":
            targets += amount * deviation * rng.normal(size=targets.shape)
        else:
            wrong = rng.random(len(targets)) < amount
            targets[wrong] = rng.permutation(targets[wrong])
    case.fit, case.test = (X, y), (X_test, y_test)
    healthy.test = case.test
    case.given = bool(rng.random() < 0.5)
    if not case.given:
        case.options = {"X_val": healthy.test[0], "y_val": healthy.test[1]}
    # The reference on these samples is a network with early stopping and a penalty.
    healthy.fit, healthy.options = case.fit, case.options
    healthy.model = clone(healthy.model).set_params(early_stopping=True, alpha=1e-2)
    healthy.score = train(healthy.model, healthy)
    return case


def _underfitting(healthy, rng):
    cause = rng.integers(3)
    if cause == 0:
        params = {"alpha": _uniform(rng, 0.2, 20)}
    elif cause == 1:
        params = {"dropout": float(rng.uniform(0.85, 0.97))}
    else:
        params = {"hidden_layer_sizes": (int(rng.integers(1, 3)),)}
    return _broken(healthy, "underfitting", rng, early_stopping=False, **params)


def _stopped_early(healthy, rng):
    if rng.random() < 0.5:
        params = {"max_iter": int(rng.integers(1, 6))}
    else:
        params = {"tol": _uniform(rng, 0.1, 1), "n_iter_no_change": int(rng.integers(1, 4))}
    return _broken(healthy, "stopped_early", rng, **params)


def _clipping(healthy, rng):
    kind = str(rng.choice(["norm", "value", "layer"]))
    name = {"norm": "max_norm", "value": "max_value", "layer": "max_norm"}[kind]
    size = _uniform(rng, 1e-4, 3e-2) * (0.1 if kind == "value" else 1)
    case = _broken(healthy, "clipping_always", rng, optimizer=SGD(0.02, momentum=0.9))
    case.model.set_params(gradient_clip=kind, early_stopping=False)
    case.model.set_params(**{f"gradient_clip__{name}": size})
    return case


def _batch(healthy, rng):
    n = len(healthy.fit[1])
    return _broken(
        healthy,
        "batch_too_large",
        rng,
        batch_size=int(rng.choice([n, n // 2])),
        max_iter=int(rng.choice([40, 60, 100])),
    )


def _on_few_samples(healthy, rng, most, **params):
    """Return a case with 25 to `most` samples; its reference takes more steps on them."""
    X, y = healthy.fit
    chosen, _ = train_test_split(
        np.arange(len(y)),
        train_size=int(rng.integers(25, most + 1)),
        # The test set has all classes, so the training set must have them too.
        stratify=y if y.dtype.kind in "iu" else None,
        random_state=int(rng.integers(1000)),
    )
    healthy.fit, healthy.options = (X[chosen], y[chosen]), {}
    params |= {"early_stopping": False, "max_iter": int(rng.choice([60, 100]))}
    case = _broken(healthy, "too_few_steps", rng, **params)
    healthy.model = clone(case.model).set_params(
        batch_size=16 if len(chosen) > 48 else 8, max_iter=100
    )
    healthy.score = train(healthy.model, healthy)
    return case


def _few_steps(healthy, rng):
    # One batch of all samples, without anything else that ends or slows down training.
    params = {"schedule": "constant", "dropout": 0.0, "n_iter_no_change": np.inf}
    # The running statistics of a normalization need many steps even at a small loss.
    params["normalization"] = None
    return _on_few_samples(healthy, rng, most=63, batch_size=63, **params)


def _unused_epochs(healthy, rng):
    # Too much patience, or a fixed number of epochs with a validation set.
    params = {"max_iter": int(rng.choice([300, 400, 600])), "n_iter_no_change": np.inf}
    params["early_stopping"] = bool(rng.random() < 0.7)
    case = _broken(healthy, "unused_epochs", rng, schedule="constant", **params)
    if not params["early_stopping"]:
        case.options = {"X_val": healthy.test[0], "y_val": healthy.test[1]}
    return case


BREAK = {
    "vanishing_gradients": _vanishing,
    "exploding_gradients": _exploding,
    "dead_units": _dead,
    "saturated_units": _saturated,
    "unscaled_inputs": _unscaled_inputs,
    "unscaled_targets": _unscaled_targets,
    "learning_rate_high": _rate_high,
    "learning_rate_low": _rate_low,
    "diverged": _diverged,
    "overfitting": _overfitting,
    "underfitting": _underfitting,
    "stopped_early": _stopped_early,
    "clipping_always": _clipping,
    "batch_too_large": _batch,
    "too_few_steps": _few_steps,
    "unused_epochs": _unused_epochs,
}


def repaired(model: Any, findings: Findings) -> Any:
    """Return a copy with the suggested parameters, and a scaler if only the text suggests one."""
    params, cures = findings.params, " ".join(finding.cure for finding in findings)
    changed = clone(model).set_params(**params)
    if "StandardScaler" in cures and not any("steps" in name for name in params):
        if not any(isinstance(value, StandardScaler) for value in params.values()):
            changed = Pipeline([("scale", StandardScaler()), ("mlp", changed)])
    return changed
