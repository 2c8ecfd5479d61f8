"""Several members: what they cost beside one, and whether out-of-fold scores are honest.

Whole fits of one member and of many, in turns, at a fixed number of epochs on one processor; the
figure is the median of the ratios of their processor times. Then out-of-fold scores on tables of
pure noise: chance is what they must give.
"""

import warnings
from statistics import median
from time import process_time

import numpy as np
from sklearn.datasets import make_classification

from benchmarks._report import run_on, save, spread
from sknn_adam import MLPClassifier, MLPRegressor


def add_arguments(parser):
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)


def cost(args, **params):
    """Return the seconds of fits with one member and with many, and the median ratio."""
    X, y = make_classification(5000, 30, n_informative=10, random_state=args.seed)
    common = {"hidden_layer_sizes": (128, 128), "batch_size": 128, "max_iter": 10}
    common |= {"n_iter_no_change": np.inf, "random_state": args.seed}
    found = {1: [], args.members: []}
    for i in range(args.repeats + 1):
        for n_members in list(found)[:: 1 if i % 2 else -1]:
            model = MLPClassifier(**common, n_members=n_members, **params)
            start = process_time()
            model.fit(X, y)
            found[n_members].append(process_time() - start)
    found = {n: values[1:] for n, values in found.items()}  # the first one warms up
    ratio = median(b / a for a, b in zip(found[1], found[args.members], strict=True))
    found = {str(n): spread(values) for n, values in found.items()}
    names = {name: str(value) for name, value in params.items()}
    print(f"{names or 'defaults'}: {args.members} members cost {ratio:.2f} times one", flush=True)
    return {"params": names, "seconds": found, "ratio": round(ratio, 3)}


def noise(args, n_rows):
    """Return the mean out-of-fold accuracy and R^2 on noise, each with its standard error."""
    scores = {"accuracy": [], "r2": []}
    for draw in range(args.draws):
        rng = np.random.default_rng([args.seed, draw])
        X, number = rng.normal(size=(n_rows, 10)), rng.normal(size=n_rows)
        label = rng.integers(2, size=n_rows)
        common = {"n_members": args.members, "early_stopping": True, "random_state": draw}
        scores["accuracy"].append(MLPClassifier(**common).fit(X, label).oof_score_)
        scores["r2"].append(MLPRegressor(**common).fit(X, number).oof_score_)
    found = {"rows": n_rows}
    for name, values in scores.items():
        mean, error = np.mean(values), np.std(values, ddof=1) / len(values) ** 0.5
        found[name] = [round(float(mean), 4), round(float(error), 4)]
        print(f"noise, {n_rows} rows: {name} {mean:.4f} +- {error:.4f}", flush=True)
    return found


def run(args):
    warnings.simplefilter("ignore")
    run_on(1)
    costs = [cost(args), cost(args, dropout=0.1, optimizer="adamw"), cost(args, averaging=None)]
    costs.append(cost(args, early_stopping=True))
    content = {"seed": args.seed, "repeats": args.repeats, "members": args.members, "cost": costs}
    content |= {"draws": args.draws, "noise": [noise(args, 200)]}
    print(save("members", content))
