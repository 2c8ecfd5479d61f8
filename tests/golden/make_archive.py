"""Write archives of models, or check that existing archives give the same bits as before.

    python tests/golden/make_archive.py write FOLDER
    python tests/golden/make_archive.py check FOLDER

`.ci/archives` writes with one release of scikit-learn and checks with another. The folder
tests/golden/archives was written with scikit-learn 1.7; tests/test_persistence.py reads it with the
installed release.
"""

import argparse
import json
import platform
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknn_adam import MLPClassifier, MLPRegressor
from sknn_adam.persistence import load, save

# Features for the model "exact". Like its weights, they are whole numbers, so no sum is rounded and
# the result does not depend on the order of additions.
WHOLE = np.arange(-60, 60, dtype=float).reshape(30, 4)[:, ::-1] % 11


def exact():
    """Return a pipeline of a scaler and a regressor whose weights are small whole numbers."""
    scaler = StandardScaler().fit(WHOLE)
    scaler.mean_, scaler.scale_ = np.array([3.0, -1.0, 0.0, 2.0]), np.array([2.0, 0.5, 1.0, 4.0])
    scaler.var_ = scaler.scale_**2
    net = MLPRegressor((6, 5), max_iter=1, averaging=None, dtype="float64", random_state=0)
    net.fit(scaler.transform(WHOLE), WHOLE.sum(axis=1))
    theta = net._network.theta
    theta[...] = np.random.default_rng(7).integers(-4, 5, theta.size)
    net._targets.shift[...], net._targets.scale[...] = 8.0, 0.25
    return make_pipeline(scaler, net), WHOLE


def trained():
    """Return a trained classifier with many types of state, which can continue training."""
    X, y = load_iris(return_X_y=True)
    net = MLPClassifier(
        (9, 6), ["prelu", "tanh"], normalization="batch", optimizer="adamw", dtype="float64",
        schedule="plateau", max_iter=20, warm_start=True, random_state=0,
    )  # fmt: skip
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    return make_pipeline(StandardScaler(), net).fit(X, names), X


def search():
    """Return a search over regressors that predict mean and standard deviation."""
    X, y = load_diabetes(return_X_y=True)
    net = MLPRegressor((8,), "silu", loss="gaussian", max_iter=10, random_state=0)
    grid = {"mlpregressor__optimizer": ["adam", "nesterov"], "mlpregressor__alpha": [1e-4, 1e-2]}
    return GridSearchCV(make_pipeline(StandardScaler(), net), grid, cv=2).fit(X, y), X


def members():
    """Return a cross-fitted ensemble that can continue training."""
    X, y = load_iris(return_X_y=True)
    net = MLPClassifier(
        (8, 5), normalization="batch", cv=3, early_stopping=True, dtype="float64",
        max_iter=12, warm_start=True, random_state=0,
    )  # fmt: skip
    return make_pipeline(StandardScaler(), net).fit(X, y), X


MODELS = {"exact": exact, "trained": trained, "search": search, "members": members}


def network(model):
    """Return the estimator of this package in a model."""
    return getattr(model, "best_estimator_", model)[-1]


def bits(model, X):
    """Return all numbers that must not change: the arrays and predictions of the model."""
    net = network(model)
    found = {"X": X, "theta": net._network.theta, "statistics": net._network.statistics}
    scaler = getattr(model, "best_estimator_", model)[0]
    found |= {"mean": scaler.mean_, "scale": scaler.scale_}
    found["raw outputs"] = net._network.predict(scaler.transform(X))
    found["predictions"] = getattr(model, "predict_proba", model.predict)(X)
    if hasattr(net, "oof_prediction_"):
        found["out of fold"] = net.oof_prediction_
    run = getattr(net, "_run", None)
    if run is not None:
        found |= {"m": run.optimizer_state.m, "v": run.optimizer_state.v, "average": run.average}
    return found


def write(folder):
    """Write all models, and the numbers that must not change."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in MODELS.items():
        model, X = make()
        save(model, folder / f"{name}.skops")
        np.savez_compressed(folder / f"{name}.npz", **bits(model, X))
    names = ("scikit-learn", "numpy", "scipy", "skops")
    about = {"python": platform.python_version()} | {name: version(name) for name in names}
    (folder / "versions.json").write_text(json.dumps(about, indent=2) + "\n")


def compare(folder, name):
    """Load a model; return a dict that maps each array name to whether the bits are the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        model = load(folder / f"{name}.skops")
    with np.load(folder / f"{name}.npz") as expected:
        found = bits(model, expected["X"])
        assert found.keys() == set(expected)
        return {
            key: found[key].dtype == expected[key].dtype
            and found[key].tobytes() == expected[key].tobytes()
            for key in found
        }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["write", "check"])
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    if arguments.what == "write":
        write(arguments.folder)
    else:
        equal = {name: compare(arguments.folder, name) for name in MODELS}
        print(json.dumps(equal))
        raise SystemExit(not all(all(found.values()) for found in equal.values()))
