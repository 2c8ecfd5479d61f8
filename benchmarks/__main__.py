"""``python -m benchmarks NAME [options]``: run one benchmark and write its record."""

import argparse
import importlib

BENCHMARKS = {
    "fit": "whole fits compared with other packages: seconds and final loss",
    "parity": "final training losses compared with scikit-learn, over seeds",
    "threads": "the speedup of a second processor",
    "predict": "predictions of one sample and of many, compared with scikit-learn",
    "startup": "imports, first fits and compilation, in new processes",
    "memory": "peak memory of a fit",
    "step": "one optimizer step compared with the memory bandwidth",
    "growth": "how the cost of a fit grows with samples, features, width and depth",
    "grid": "a whole grid search compared with the same one over scikit-learn's MLP",
    "defaults": "candidates for the default parameters, on the training sets of real tables",
    "small": "batch sizes for fewer than 128 samples, on the training sets of real tables",
    "tables": "the default estimators on the test sets of real tables",
    "tabular": "the recipes of tabular_pipeline: their choice, and the test sets of real tables",
    "tuned": "a random search over the ready space compared with the defaults, on real tables",
    "search": "grid, random, Bayesian, Optuna and halving searches at equal budgets",
    "members": "the cost of several members, and their scores on noise",
    "record": "the cost of recording the layers",
    "diagnose": "the findings of diagnose in networks broken on purpose, and in healthy ones",
    "bits": "random fits of two commits, compared bit by bit",
    "pairs": "fits of two commits, timed in turns",
    "path": "files between fit and the training loop, upward calls, lines of code by folder",
    "page": "write docs/benchmarks.md from the newest records",
    "history": "the main figures of all records of a benchmark",
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
