"""The same training loss as scikit-learn's MLP, size by size, over seeds.

Both start from the same distribution of weights and see the same penalty. The difference of the
mean final losses is given in standard errors of that difference.
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
    parser.add_argument("--smoke", action="store_true", help="the smallest table, no file")


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


def section(found: dict) -> list[str]:
    rows = []
    for row in found["rows"]:
        loss, errors = row["loss"], row["standard_errors"]
        ours = [f"{loss[side]:.4f} ({errors[side]:+.1f})" for side in errors]
        rows.append([row["size"], tuple(row["hidden"]), *ours, f"{loss['scikit-learn']:.4f}"])
    return [
        "## The same loss",
        f"Training loss of the last epoch, mean over {found['seeds']} seeds. All sides draw their "
        "initial weights from scikit-learn's distribution. In parentheses is the difference from "
        "scikit-learn in standard errors.",
        markdown_table(["table", "hidden", "sknn_adam", "sknn_adam, NumPy", "scikit-learn"], rows),
    ]


def figures(found: dict) -> dict:
    errors = [abs(e) for row in found["rows"] for e in row["standard_errors"].values()]
    return {"largest difference in standard errors": max(errors)}
