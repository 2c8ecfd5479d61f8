"""Final training loss compared with that of scikit-learn's MLP, over several seeds.

Both packages draw their initial weights from the same distribution and use the same penalty. The
difference between the mean final losses is given in units of its standard error.
"""

import warnings

import numpy as np

from benchmarks._page import markdown_table
from benchmarks._records import save
from benchmarks._report import run_on
from benchmarks.fit import ALPHA, SIZES, table
from benchmarks.peers import PEERS

SIDES = ("sknn_adam", "sknn_adam, NumPy", "scikit-learn")


def add_arguments(parser):
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="only the smallest table, no record")


def run(args):
    warnings.simplefilter("ignore")
    run_on(1)
    rows = []
    for name, hidden, batch, epochs in SIZES[:1] if args.smoke else SIZES:
        X, y = table(name, args.seed)
        losses = {side: [] for side in SIDES}
        for seed in range(args.seed, args.seed + args.seeds):
            for side in SIDES:
                losses[side].append(PEERS[side](X, y, hidden, batch, epochs, ALPHA, seed)())
        mean = {side: np.mean(values) for side, values in losses.items()}
        variance = {side: np.var(values, ddof=1) / args.seeds for side, values in losses.items()}
        row = {"size": name, "hidden": list(hidden), "epochs": epochs}
        row["loss"] = {side: round(float(value), 5) for side, value in mean.items()}
        row["standard_errors"] = {
            side: round(
                (mean[side] - mean["scikit-learn"])
                / (variance[side] + variance["scikit-learn"]) ** 0.5,
                2,
            )
            for side in SIDES[:2]
        }
        rows.append(row)
        print(row, flush=True)
    if not args.smoke:
        print(save("parity", {"seed": args.seed, "seeds": args.seeds, "rows": rows}))


def section(record: dict) -> list[str]:
    rows = []
    for row in record["rows"]:
        loss, errors = row["loss"], row["standard_errors"]
        ours = [f"{loss[side]:.4f} ({errors[side]:+.1f})" for side in errors]
        rows.append([row["size"], tuple(row["hidden"]), *ours, f"{loss['scikit-learn']:.4f}"])
    return [
        "## Training loss",
        "The table shows the training loss of the last epoch, averaged over "
        f"{record['seeds']} seeds. Both packages draw their initial weights from the same "
        "distribution. The difference from scikit-learn is given in parentheses, in units of its "
        "standard error.",
        markdown_table(["table", "hidden", "sknn_adam", "sknn_adam, NumPy", "scikit-learn"], rows),
    ]


def figures(record: dict) -> dict:
    errors = [abs(e) for row in record["rows"] for e in row["standard_errors"].values()]
    return {"largest difference in standard errors": max(errors)}
