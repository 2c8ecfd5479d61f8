"""Training time of two commits, measured in interleaved pairs of fits.

``python -m benchmarks pairs --reference COMMIT`` starts one process with the package of each
commit. The processes take turns in the fits of ``python -m benchmarks fit`` and in fits of several
members, and their order is reversed after each pair. For each pair, the time with this tree is
divided by the time with the reference. The median of these ratios is reported with its 95 %
interval from order statistics, for each row and for geometric means over rows.
"""

import json
import sys
import warnings

import numpy as np

from benchmarks._page import markdown_table, paired_cell
from benchmarks._records import ROOT, save
from benchmarks._reference import reference_tree, start
from benchmarks._report import CLOCKS, add_clock, paired, run_on
from benchmarks.fit import ALPHA, LARGE, SIZES, table
from benchmarks.peers import MEMBERS, OF_MEMBERS, PEERS

SIDES = ("sknn_adam", "sknn_adam, NumPy")
# The fits of several members: table, hidden layers, batch size and epochs.
OF_SEVERAL = [
    ("569x30", (100,), 200, 20),
    ("5000x30", (128, 128), 32, 2),
    ("5000x30", (128, 128), 128, 4),
]
N_FIRST = 5  # rows of SIZES in a mean of their own


def add_arguments(parser):
    parser.add_argument("--reference", default="HEAD", help="commit to compare with")
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--only", default="", help="comma-separated tables (default: all)")
    parser.add_argument("--fused", action="store_true", help="without the NumPy backend")
    add_clock(parser)
    parser.add_argument("--smoke", action="store_true", help="two pairs, no record")


def run(args):
    sides = SIDES[:1] if args.fused else SIDES
    rows = [[side, *size] for side in sides for size in SIZES + LARGE]
    rows += [[OF_MEMBERS, *size] for size in OF_SEVERAL]
    if args.only:
        rows = [row for row in rows if row[1] in args.only.split(",")]
    with reference_tree(args.reference) as (tree, commit):
        one = {"SKNN_ADAM_NUM_THREADS": "1"}
        call = f"serve({args.clock!r})"
        workers = [start(path, "benchmarks.pairs", call, **one) for path in (ROOT, tree)]
        try:
            ratios = _measure(workers, rows, 2 if args.smoke else args.pairs)
        finally:
            for worker in workers:
                worker.stdin.close()
                worker.wait()
    summaries = [
        {"side": row[0], "size": row[1], "hidden": row[2], "batch": row[3], **paired(ratios[:, i])}
        for i, row in enumerate(rows)
    ]
    means = _means(rows, ratios)
    for entry in summaries:
        print("{side:22}{size:16}{hidden!s:14}{ratio:.3f} {interval}".format(**entry))
    for name, mean in means.items():
        print("geometric mean of {}: {ratio:.3f} {interval}".format(name, **mean))
    if not args.smoke:
        name = "pairs_only" if args.only or args.fused else "pairs"
        results = {"reference": commit, "pairs": args.pairs, "clock": args.clock, "rows": summaries}
        print(save(name, {**results, "geometric_mean": means.pop("all"), "means": means}))


def _means(rows, ratios):
    """Return the geometric means over rows, each as a summary of its values for the pairs."""
    first = [[SIDES[0], *size] for size in SIZES[:N_FIRST]]
    groups = {"all": range(len(rows))}
    if all(row in rows for row in first):
        groups[f"the first {N_FIRST} rows"] = [rows.index(row) for row in first]
    for side in dict.fromkeys(row[0] for row in rows):
        groups[side] = [i for i, row in enumerate(rows) if row[0] == side]
    logs = np.log(ratios)
    return {
        name: paired(np.exp(logs[:, list(group)].mean(axis=1))) for name, group in groups.items()
    }


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


def serve(clock):
    """Read rows from standard input and write the seconds of one fit for each."""
    warnings.simplefilter("ignore")
    run_on(1)
    peers, fits, now = {**PEERS, **MEMBERS}, {}, CLOCKS[clock]
    for line in sys.stdin:
        side, name, hidden, batch, epochs = json.loads(line)
        if line not in fits:
            X, y = table(name, 0)
            fits.clear()
            fits[line] = peers[side](X, y, tuple(hidden), batch, epochs, ALPHA, 0)
        begin = now()
        fits[line]()
        print(now() - begin, flush=True)


def section(record: dict) -> list[str]:
    rows = [
        [row["side"], row["size"], tuple(row["hidden"]), row.get("batch", "–"), paired_cell(row, 3)]
        for row in record["rows"]
    ]
    means = {"all": record["geometric_mean"], **record.get("means", {})}
    rows += [
        [f"geometric mean, {name}", "", "", "", paired_cell(m, 3)] for name, m in means.items()
    ]
    return [
        "### Training time",
        f"The table shows the time of fits relative to commit {record['reference'][:9]}, as the "
        f"median over {record['pairs']} interleaved pairs of fits with its 95 % interval.",
        markdown_table(["backend", "table", "hidden", "batch", "relative time"], rows),
    ]


def figures(record: dict) -> dict:
    mean = record["geometric_mean"]
    return {"reference": record["reference"][:9], "relative time": mean["ratio"]}
