"""Gain of an ensemble on two Dask processes over the same ensemble in one process.

The ensemble weights eight cross-fitted networks with the same architecture and different seeds. Two
plain processes, which fit the whole ensemble once each at the same time, show the gain that the
machine allows: twice the time of one fit, divided by their time. All processes use one thread and
have compiled and imported everything before. The figures are medians of paired ratios. The weights
and the predictions on the cluster must have the same bits as those in one process.
"""

import os
import warnings
from time import perf_counter

import numpy as np

from benchmarks._page import markdown_table, paired_cell
from benchmarks._records import save
from benchmarks._report import paired, spread

N_ROWS, N_COLUMNS, N_NETWORKS = 4_000, 20, 8


def add_arguments(parser):
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="a small table, once, no record")


def problem(n_rows, seed):
    from sklearn.model_selection import StratifiedKFold

    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, N_COLUMNS))
    y = (X[:, 0] + X[:, 1] * X[:, 2] + rng.normal(size=n_rows) > 0).astype(int)
    return X, y, list(StratifiedKFold(8, shuffle=True, random_state=seed).split(X, y))


def fitted(X, y, folds, n_jobs=None):
    """Return the fitted ensemble."""
    from sknn_adam import MLPClassifier
    from sknn_adam.ensemble import WeightedEnsembleClassifier

    networks = [
        (f"network{i}", MLPClassifier((128, 128), max_iter=20, early_stopping=True, random_state=i))
        for i in range(N_NETWORKS)
    ]
    for _, network in networks:
        network.set_params(cv=folds)
    return WeightedEnsembleClassifier(networks, cv=folds, n_jobs=n_jobs).fit(X, y)


def fit_alone(n_rows, seed):
    """Fit in this process; return the seconds."""
    warnings.simplefilter("ignore")
    data = problem(n_rows, seed)
    start = perf_counter()
    fitted(*data)
    return perf_counter() - start


def run(args):
    warnings.simplefilter("ignore")
    # The processes that are started inherit these.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "SKNN_ADAM_NUM_THREADS"):
        os.environ[name] = "1"
    from distributed import Client, LocalCluster

    n_rows, repeats = (400, 1) if args.smoke else (N_ROWS, args.repeats)
    with (
        LocalCluster(
            2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs="CRITICAL",
        ) as cluster,
        Client(cluster) as client,
    ):
        result = measure(client, n_rows, repeats, args.seed)
    print(result)
    if not args.smoke:
        print(save("cluster", {"seed": args.seed, "repeats": repeats, **result}))


def measure(client, n_rows, repeats, seed):
    from itertools import chain

    import joblib

    X, y, folds = problem(n_rows, seed)
    workers = list(client.scheduler_info()["workers"])
    seconds: dict[str, list[float]] = {"one process": [], "two plain": [], "two Dask": []}

    def alone(which):
        """Fit the ensemble on some workers at the same time; return the seconds until the end."""
        start = perf_counter()
        jobs = [
            client.submit(fit_alone, n_rows, seed, workers=[worker], pure=False) for worker in which
        ]
        client.gather(jobs)
        return perf_counter() - start

    def on_dask():
        start = perf_counter()
        ensemble = fitted(X, y, folds, n_jobs=2)
        seconds["two Dask"].append(perf_counter() - start)
        return ensemble

    alone(workers)
    local = fitted(X, y, folds)
    # Dask can lose arrays that are scattered again in a second context.
    with joblib.parallel_config(backend="dask", scatter=[X, y, *chain(*folds)]):
        remote = on_dask()
        seconds["two Dask"].clear()
        for _ in range(repeats):
            seconds["one process"].append(alone(workers[:1]))
            seconds["two plain"].append(alone(workers))
            on_dask()
    one, plain, dask = (np.array(times) for times in seconds.values())
    same = np.array_equal(local.predict_proba(X), remote.predict_proba(X))
    return {
        "gain": paired(one / dask),
        "limit": paired(2 * one / plain),
        "seconds": {name: spread(times) for name, times in seconds.items()},
        "same_bits": bool(same and np.array_equal(local.weights_, remote.weights_)),
    }


def section(record: dict) -> list[str]:
    seconds = [values[1] for values in record["seconds"].values()]
    return [
        "## An ensemble on two Dask processes",
        f"{N_NETWORKS} cross-fitted networks on {N_ROWS:,} rows. The gain of two plain processes "
        "is that of two fits of the whole ensemble at the same time.",
        markdown_table(
            ["one process", "two plain", "two Dask", "gain of Dask", "gain of two plain processes"],
            [
                [
                    *(f"{value:.2f} s" for value in seconds),
                    paired_cell(record["gain"]),
                    paired_cell(record["limit"]),
                ]
            ],
        ),
        f"Same bits as in one process: {'yes' if record['same_bits'] else 'no'}.",
    ]


def figures(record: dict) -> dict:
    return {name: record[name]["ratio"] for name in ("gain", "limit")}
