"""Bitwise comparison of random fits by two commits, with both backends.

``python -m benchmarks bits --reference COMMIT`` checks out the reference in a temporary
directory, fits the same random configurations with both trees, and compares a hash of the fitted
attributes and the predictions. Both trees must also raise the same types of errors and warnings;
their messages may differ.
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
BACKENDS = ("numpy", "fused")


def add_arguments(parser):
    parser.add_argument("--reference", default="HEAD", help="commit to compare with")
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="few cases, no record")


def run(args):
    from benchmarks._records import save
    from benchmarks._reference import reference_tree

    n_cases = 10 if args.smoke else args.cases
    different = {}
    with reference_tree(args.reference) as (tree, commit):
        for backend in BACKENDS:
            now, before = (_digests(t, backend, args.seed, n_cases) for t in (ROOT, tree))
            different[backend] = [case for case in now if now[case] != before[case]]
            trained = sum(value["outcome"].startswith("trained") for value in now.values())
            print(
                f"{backend}: {len(now)} cases, {trained} trained, "
                f"{len(different[backend])} with different results",
                flush=True,
            )
    if not args.smoke:
        results = {"reference": commit, "seed": args.seed}
        save("bits", {**results, "cases": n_cases, "different": different})
    if any(different.values()):
        raise SystemExit(f"Different results: {different}")


def _digests(tree, backend, seed, n_cases):
    """Return the outcome and the hash of each case, computed by the package in `tree`."""
    env = {**os.environ, "PYTHONPATH": str(tree), "SKNN_ADAM_KERNELS": backend}
    env["OPENBLAS_NUM_THREADS"] = "1"
    command = [sys.executable, __file__, "--seed", str(seed), "--cases", str(n_cases)]
    completed = subprocess.run(command, check=True, env=env, cwd=tree, stdout=subprocess.PIPE)
    return json.loads(completed.stdout)


# -- the cases -----------------------------------------------------------------------------------


def _parameters(rng, classify):
    from sknn_adam.activations import ACTIVATIONS
    from sknn_adam.initializers import INITIALIZERS
    from sknn_adam.losses import CLASSIFICATION_LOSSES, REGRESSION_LOSSES
    from sknn_adam.optimizers import OPTIMIZERS
    from sknn_adam.schedules import SCHEDULES

    choices = {
        "activation": sorted(ACTIVATIONS),
        "initializer": sorted(INITIALIZERS),
        "bias_initializer": ["zeros", "random_normal"],
        "normalization": [None, None, "batch", "layer", "rms"],
        "dropout": [0.0, 0.0, 0.3],
        "loss": sorted(CLASSIFICATION_LOSSES if classify else REGRESSION_LOSSES),
        "optimizer": sorted(OPTIMIZERS),
        "schedule": sorted(SCHEDULES),
        "gradient_clip": [None, None, "norm", "value", "layer", 0.5],
        "averaging": ["ema", None],
        "alpha": ["auto", 0.0, 0.01],
        "l1_ratio": ["auto", 0.5],
        "batch_size": ["auto", 32, 50],
        "shuffle": [True, True, False],
        "early_stopping": [False, False, True],
        "n_iter_no_change": [2, 10, np.inf],
        "n_members": [1, 1, 3],
        "record": [True, "all", False],
        "dtype": ["auto", "float32", "float64"],
        "warm_start": [False, False, True],
        "scoring": ["loss", "loss", None],
    }
    params = {name: rng.choice(c) for name, c in choices.items() if rng.random() < 0.5}
    sizes = rng.choice([(8,), (16, 8), "10x2", (100,), (64, 64), ()])
    return {**params, "hidden_layer_sizes": sizes, "max_iter": rng.randint(2, 8)}


def _table(rng, classify):
    from scipy.sparse import csr_matrix

    draw = np.random.default_rng(rng.randrange(2**32))
    X = draw.normal(size=(rng.choice([40, 150, 300, 1000]), rng.choice([1, 4, 20])))
    X *= 10.0 ** rng.randint(-1, 1)
    signal, target = X.sum(axis=1), rng.choice(["two", "many", "several"])
    if not classify:
        y = np.abs(signal + draw.normal(size=len(X))) + 0.01
        y = np.c_[y, y**0.5] if target == "several" else y
    elif target == "several":
        y = np.c_[signal > 0, X[:, 0] > 0].astype(int)
    else:
        n_classes = 2 if target == "two" else 4
        y = np.digitize(signal, np.quantile(signal, np.arange(1, n_classes) / n_classes))
    layout = rng.choice(["C", "F", "float32", "sparse"])
    if layout == "sparse":
        X = csr_matrix(np.where(draw.random(X.shape) < 0.5, X, 0))
    else:
        X = X.astype(np.float32) if layout == "float32" else np.asarray(X, order=layout)
    weight = draw.integers(0, 4, X.shape[0]) if rng.random() < 0.3 else None
    return X, y, weight


def _fit(rng):
    """Return an estimator fitted with random parameters, and its X."""
    from sknn_adam import MLPClassifier, MLPRegressor

    classify = rng.random() < 0.5
    kind = MLPClassifier if classify else MLPRegressor
    model = kind(random_state=rng.randrange(100)).set_params(**_parameters(rng, classify))
    X, y, weight = _table(rng, classify)
    validation = {"X_val": X[:20], "y_val": y[:20]} if rng.random() < 0.2 else {}
    model.fit(X, y, sample_weight=weight, **validation)
    if model.warm_start:
        model.set_params(max_iter=2).fit(X, y, sample_weight=weight, **validation)
    if not model.early_stopping and hasattr(model, "partial_fit"):
        model.partial_fit(X, y, sample_weight=weight)
    return model, X


def _arrays(model, X):
    methods = ("predict", "predict_proba", "decision_function", "member_predictions")
    arrays = [model.loss_curve_, model.validation_scores_]
    arrays += [getattr(model, name)(X) for name in methods if hasattr(model, name)]
    arrays += [getattr(model, "oof_prediction_", None), model.n_iter_, model.stop_reason_]
    arrays += sorted(model.history_.layers.columns.items())
    return arrays


def _hash(value, into):
    if isinstance(value, list | tuple):
        for element in value:
            _hash(element, into)
    else:
        array = np.asarray(value)
        into.update(f"{array.dtype} {array.shape}".encode())
        into.update(repr(value).encode() if array.dtype == object else array.tobytes())


def digest(seed, n_cases):
    """Return the outcome and the hash of each case."""
    digests = {}
    for case in range(n_cases):
        rng, into, outcome = random.Random(f"{seed} {case}"), hashlib.sha256(), "trained"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                model, X = _fit(rng)
                _hash(_arrays(model, X), into)
            except Exception as error:
                outcome = type(error).__name__
        outcome = " ".join([outcome, *sorted({w.category.__name__ for w in caught})])
        digests[case] = {"outcome": outcome, "hash": into.hexdigest()}
    return digests


def section(record: dict) -> list[str]:
    n_different = {backend: len(cases) for backend, cases in record["different"].items()}
    counts = " and ".join(f"{n} with the {backend} backend" for backend, n in n_different.items())
    return [
        "### Bitwise comparison",
        f"{record['cases']} random configurations were fitted by this tree and by commit "
        f"{record['reference'][:9]} and compared bit by bit. Number of configurations with "
        f"different results: {counts}.",
    ]


def figures(record: dict) -> dict:
    counts = {f"different, {backend}": len(c) for backend, c in record["different"].items()}
    return {"reference": record["reference"][:9], **counts}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int)
    parser.add_argument("--cases", type=int)
    options = parser.parse_args()
    print(json.dumps(digest(options.seed, options.cases)))
