"""Extra training time for recording the layers: ``record=True`` relative to ``record=False``.

The two fits are interleaved, and their order is reversed after each pair. The figure is the median
ratio of their CPU times.
"""

import warnings
from statistics import median
from time import process_time

from benchmarks._page import markdown_table, percent
from benchmarks._records import save
from benchmarks.fit import SIZES, table
from sknn_adam import MLPClassifier


def add_arguments(parser):
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)


def seconds(model, X, y):
    start = process_time()
    model.fit(X, y)
    return process_time() - start


def run(args):
    warnings.simplefilter("ignore")
    rows = []
    for name, hidden, batch, epochs in SIZES:
        X, y = table(name, args.seed)
        common = {"batch_size": batch, "max_iter": epochs, "n_iter_no_change": epochs}
        sides = {
            record: MLPClassifier(hidden, **common, random_state=args.seed, record=record)
            for record in (True, False)
        }
        ratios = []
        for i in range(args.repeats + 1):
            order = (True, False) if i % 2 else (False, True)
            times = {record: seconds(sides[record], X, y) for record in order}
            ratios.append(times[True] / times[False])
        samples = len(sides[True].history_.layers)
        # The first repetition warms up.
        cost = median(ratios[1:]) - 1
        rows.append({"size": name, "hidden": hidden, "samples": samples, "cost": round(cost, 4)})
        print(f"{name:>10} {hidden!s:>12} {samples:>3} samples {100 * cost:6.2f} %", flush=True)
    print(save("record", {"seed": args.seed, "repeats": args.repeats, "rows": rows}))


def section(results: dict) -> list[str]:
    rows = [
        (row["size"], tuple(row["hidden"]), row["samples"], percent(row["cost"]))
        for row in results["rows"]
    ]
    return [
        "## Cost of recording the layers",
        "The last column is the extra CPU time of fits with `record=True` relative to "
        "`record=False`, as the median over interleaved repetitions. The third column is the "
        "number of recorded steps.",
        markdown_table(["table", "hidden", "recorded", "cost"], rows),
    ]


def figures(results: dict) -> dict:
    return {"largest cost": percent(max(row["cost"] for row in results["rows"]))}
