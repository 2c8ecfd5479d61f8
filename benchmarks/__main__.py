"""``python -m benchmarks NAME [options]``: run one benchmark and record its results."""

import argparse
import importlib

BENCHMARKS = {
    "fit": "training time and final loss compared with other packages",
    "parity": "final training loss compared with scikit-learn, over several seeds",
    "threads": "speedup from a second core",
    "predict": "prediction time for one sample and for many, compared with scikit-learn",
    "startup": "time of imports, first fits and compilation in new processes",
    "memory": "peak memory of a fit",
    "step": "time of one optimizer step compared with the memory bandwidth",
    "growth": "training time as a function of samples, features, width and depth",
    "grid": "a grid search compared with the same search over scikit-learn's MLP",
    "defaults": "candidate default parameters, compared on the training sets of real tables",
    "small": "batch sizes for fewer than 128 samples, on the training sets of real tables",
    "tables": "the default estimators on the test sets of real tables",
    "score": "all methods on the test sets of real tables, with the time of fit and predict",
    "levels": "encodings of columns with many levels, on the training sets of real tables",
    "portfolio": "choice of the networks of make_tabular_ensemble, with tables left out",
    "limits": "duration of fits of make_tabular_ensemble with a time limit",
    "million": "generated tables with up to a million rows: time, memory and scores",
    "parquet": "time and memory for a table larger than memory",
    "per_row": "training time per row for up to ten million rows",
    "cluster": "gain of an ensemble on two Dask processes",
    "raw_tables": "raw tables compared with cleaned ones and with skrub, and the time of columns",
    "tuned": "random search over search_space(model) compared with the defaults",
    "imbalance": "class weights, tuned thresholds and calibration on two imbalanced tables",
    "intervals": "coverage of prediction intervals and class sets on real tables",
    "threshold": "thresholds from out-of-fold predictions compared with scikit-learn's",
    "search": "grid, random, Bayesian, Optuna and halving searches with equal budgets",
    "widths": "Bayesian search over width and depth as numbers and as categories",
    "members": "training time of several members, and out-of-fold scores on noise",
    "variants": "training time of several members with other activations or layers",
    "cores": "gain from two threads: two fits at the same time, and members",
    "record": "extra training time for recording the layers",
    "diagnose": "findings of diagnose for deliberately broken networks and for healthy ones",
    "candidates": "compilation in searches by two commits: time, files and memory",
    "bits": "bitwise comparison of random fits by two commits",
    "pairs": "training time of two commits, in interleaved pairs of fits",
    "path": "files between fit and the training loop, upward calls, and lines of code",
    "page": "write docs/benchmarks.md from the latest records",
    "history": "the main figures from all records of a benchmark",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="name", required=True)
    for name, text in BENCHMARKS.items():
        module = importlib.import_module(f"benchmarks.{name}")
        command = commands.add_parser(name, help=text, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
