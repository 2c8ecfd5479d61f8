"""Whole fits beside scikit-learn's MLP, as users call both: float64 in, default threads.

Same architecture, optimizer (Adam, 0.001), batch size, epochs and penalty (their alpha is divided
by the batch); the repetitions of both sides alternate. Times are medians of whole fits.
"""

import warnings
from time import perf_counter

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.preprocessing import scale

from benchmarks._report import save
from sknn_adam import MLPClassifier

ALPHA = 1e-4

# name, hidden layers, batch size, epochs
SIZES = [
    ("150x4", (10,), 32, 100),
    ("569x30", (100,), 200, 100),
    ("1797x64", (100,), 200, 50),
    ("10000x50", (64, 64), 64, 5),
    ("20000x100", (256, 128), 128, 3),
    ("20000x784", (256,), 200, 2),
]
BUNDLED = {"150x4": load_iris, "569x30": load_breast_cancer, "1797x64": load_digits}


def add_arguments(parser):
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="one short repetition, no file")


def table(name: str, seed: int):
    """Return a bundled table, or one drawn from a noisy linear rule with ten classes."""
    if name in BUNDLED:
        X, y = BUNDLED[name](return_X_y=True)
        return scale(X), y
    n_rows, n_features = map(int, name.split("x"))
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_features))
    z = X @ rng.normal(size=(n_features, 10)) + rng.normal(size=(n_rows, 10))
    return X, z.argmax(axis=1)


def models(hidden, batch, epochs, seed):
    """Return both sides, unfitted."""
    common = {
        "hidden_layer_sizes": hidden,
        "batch_size": batch,
        "max_iter": epochs,
        "tol": 0.0,
        "n_iter_no_change": epochs,
        "random_state": seed,
    }
    ours = MLPClassifier(**common, alpha=ALPHA)
    theirs = TheirClassifier(**common, alpha=ALPHA * batch)
    return {"sknn_adam": ours, "scikit-learn": theirs}


def measure(name, hidden, batch, epochs, repeats, seed):
    X, y = table(name, seed)
    seconds = {side: [] for side in ("sknn_adam", "scikit-learn")}
    loss = {}
    for repeat in range(repeats + 1):  # the first round warms up
        for side, model in models(hidden, batch, epochs, seed).items():
            start = perf_counter()
            model.fit(X, y)
            if repeat or repeats == 0:
                seconds[side].append(perf_counter() - start)
            loss[side] = model.loss_curve_[-1]
    steps = epochs * -(-len(X) // batch)
    row = {"size": name, "hidden": list(hidden), "batch": batch, "epochs": epochs}
    for side, times in seconds.items():
        low, middle, high = np.min(times), np.median(times), np.max(times)
        row[side] = {
            "microseconds_per_step": [round(1e6 * t / steps, 1) for t in (low, middle, high)],
            "final_loss": round(float(loss[side]), 4),
        }
    pairs = zip(seconds["scikit-learn"], seconds["sknn_adam"], strict=True)
    row["speed"] = round(float(np.median([theirs / ours for theirs, ours in pairs])), 2)
    return row


def run(args):
    warnings.simplefilter("ignore")
    rows = []
    print(
        f"{'size':<12}{'hidden':<12}{'batch':>6}{'ours':>10}{'theirs':>10}  µs/step   speed  loss"
    )
    for name, hidden, batch, epochs in SIZES:
        epochs = 1 if args.smoke else epochs
        row = measure(name, hidden, batch, epochs, 0 if args.smoke else args.repeats, args.seed)
        rows.append(row)
        ours, theirs = row["sknn_adam"], row["scikit-learn"]
        print(
            f"{name:<12}{hidden!s:<12}{batch:>6}{ours['microseconds_per_step'][1]:>10.0f}"
            f"{theirs['microseconds_per_step'][1]:>10.0f}{row['speed']:>16.2f}"
            f"  {ours['final_loss']:.4f} {theirs['final_loss']:.4f}",
            flush=True,
        )
    mean = float(np.exp(np.mean([np.log(row["speed"]) for row in rows])))
    print(f"geometric mean: {mean:.2f} times the speed of scikit-learn")
    if not args.smoke:
        results = {"seed": args.seed, "repeats": args.repeats, "rows": rows}
        print(save("fit", {**results, "geometric_mean": round(mean, 2)}))
