"""``python -m benchmarks NAME [options]``: run one benchmark and write its results file."""

import argparse
import importlib

BENCHMARKS = {
    "fit": "whole fits beside scikit-learn's MLP: seconds and final loss",
    "parity": "final training losses beside scikit-learn's, over seeds",
    "threads": "what a second processor brings",
    "predict": "predictions of one row and of many, beside scikit-learn's",
    "startup": "imports, first fits and compilation, in new processes",
    "memory": "peak memory of a fit",
    "step": "one optimizer step beside the bandwidth of the memory",
    "growth": "how the cost of a fit grows with rows, features, width and depth",
    "grid": "a whole grid search beside the same one over scikit-learn's MLP",
    "defaults": "candidates for the default parameters, on the training parts of real tables",
    "small": "batch sizes on tables of less than 128 samples, on training parts of real tables",
    "tables": "the default estimators on the test parts of real tables",
    "tabular": "the recipes of tabular_pipeline: chosen, and on the test parts of real tables",
    "tuned": "a random search over the ready space beside the defaults, on real tables",
    "search": "grid, random, Bayesian, Optuna and halving searches at equal budgets",
    "members": "what several members cost beside one, and their scores on noise",
    "record": "what recording the layers costs a fit",
    "diagnose": "what diagnose finds in networks that are broken on purpose, and in healthy ones",
    "bits": "random fits of two commits, compared bit by bit",
    "pairs": "fits of two commits, timed in turns",
    "path": "files between fit and the training loop, upward calls, lines of code by folder",
    "page": "make docs/benchmarks.md from the results files",
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
