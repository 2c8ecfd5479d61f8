"""Training time of two commits, measured in interleaved pairs of fits.

``python -m benchmarks pairs --reference COMMIT`` starts one process with each tree. The processes
take turns in the fits of ``python -m benchmarks fit``, and their order is reversed after each pair.
For each pair, the time with this tree is divided by the time with the reference. The median of
these ratios is reported with its 95 % interval from order statistics, for each row and for the
geometric mean over the rows.
"""

import argparse
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from time import perf_counter

import numpy as np
from scipy.stats import binom

ROOT = Path(__file__).resolve().parents[1]
SIDES = ("sknn_adam", "sknn_adam, NumPy")


def add_arguments(parser):
    parser.add_argument("--reference", default="HEAD", help="commit to compare with")
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--only", default="", help="comma-separated tables (default: all)")
    parser.add_argument("--smoke", action="store_true", help="two pairs, no record")


def run(args):
    from benchmarks._records import save
    from benchmarks._reference import reference_tree
    from benchmarks.fit import SIZES

    only = args.only.split(",") if args.only else [name for name, *_ in SIZES]
    rows = [[side, *size] for side in SIDES for size in SIZES if size[0] in only]
    with reference_tree(args.reference) as (tree, commit):
        workers = [_start(ROOT), _start(tree)]
        try:
            ratios = _measure(workers, rows, 2 if args.smoke else args.pairs)
        finally:
            for worker in workers:
                worker.stdin.close()
                worker.wait()
    summaries = [
        {"side": row[0], "size": row[1], "hidden": row[2], **_summary(ratios[:, i])}
        for i, row in enumerate(rows)
    ]
    mean = _summary(np.exp(np.log(ratios).mean(axis=1)))
    for entry in [*summaries, {"side": "geometric mean", "size": "", "hidden": "", **mean}]:
        print("{side:18}{size:12}{hidden!s:12}{ratio:.3f} {interval}".format(**entry))
    if not args.smoke:
        name = "pairs_only" if args.only else "pairs"
        results = {"reference": commit, "pairs": args.pairs, "rows": summaries}
        save(name, {**results, "geometric_mean": mean})


def _start(tree):
    """Start a process that imports the package from `tree` and runs ``serve``."""
    env = {**os.environ, "PYTHONPATH": str(tree), "OPENBLAS_NUM_THREADS": "1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, __file__], env=env, cwd=tree, **pipes)


def _measure(workers, rows, n_pairs):
    """Return the ratios, shape (n_pairs, n_rows). The first pair of each row only warms up."""
    ratios = np.zeros((n_pairs, len(rows)))
    for i, row in enumerate(rows):
        for pair in range(-1, n_pairs):
            seconds = {}
            for k in (0, 1) if pair % 2 else (1, 0):
                workers[k].stdin.write(json.dumps(row) + "\n")
                workers[k].stdin.flush()
                seconds[k] = float(workers[k].stdout.readline())
            if pair >= 0:
                ratios[pair, i] = seconds[0] / seconds[1]
        print(row[0], row[1], np.median(ratios[:, i]).round(3), flush=True)
    return ratios


def _summary(ratios):
    """Return the median and its 95 % interval from order statistics."""
    ordered, n = np.sort(ratios), len(ratios)
    low = int(binom.ppf(0.025, n, 0.5))
    interval = ordered[max(0, low - 1)], ordered[min(n - 1, n - low)]
    return {
        "ratio": round(float(np.median(ratios)), 4),
        "interval": [round(float(v), 4) for v in interval],
    }


def serve():
    """Read rows from standard input and write the seconds of one fit for each."""
    from benchmarks._report import run_on
    from benchmarks.fit import ALPHA, table
    from benchmarks.peers import PEERS

    warnings.simplefilter("ignore")
    run_on(1)
    fits = {}
    for line in sys.stdin:
        side, name, hidden, batch, epochs = json.loads(line)
        if line not in fits:
            X, y = table(name, 0)
            fits.clear()
            fits[line] = PEERS[side](X, y, tuple(hidden), batch, epochs, ALPHA, 0)
        start = perf_counter()
        fits[line]()
        print(perf_counter() - start, flush=True)


def section(record: dict) -> list[str]:
    from benchmarks._page import interval, markdown_table

    def cell(row):
        return interval(row["ratio"], *row["interval"], 3)

    rows = [[row["side"], row["size"], tuple(row["hidden"]), cell(row)] for row in record["rows"]]
    mean = record["geometric_mean"]
    rows.append(["all", "geometric mean", "", cell(mean)])
    return [
        "### Training time",
        f"The table shows the time of fits relative to commit {record['reference'][:9]}, as the "
        f"median over {record['pairs']} interleaved pairs of fits with its 95 % interval.",
        markdown_table(["backend", "table", "hidden", "relative time"], rows),
    ]


def figures(record: dict) -> dict:
    mean = record["geometric_mean"]
    return {"reference": record["reference"][:9], "relative time": mean["ratio"]}


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    serve()
