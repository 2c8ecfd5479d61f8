"""Training time as a function of the number of samples, features, units and layers.

One of these numbers changes at a time, starting from 5,000 samples, 50 features and one hidden
layer of 100 units. Each fit runs two epochs with batches of 128.
"""

import warnings

import numpy as np

from benchmarks._page import save_figure
from benchmarks._records import save
from benchmarks._report import run_on, spread, time_interleaved
from benchmarks.fit import ALPHA, table
from benchmarks.peers import PEERS

SIDES = ("sknn_adam", "sknn_adam, NumPy", "scikit-learn")
GROWTH = {
    "rows": (500, 2_000, 8_000, 32_000, 128_000),
    "features": (10, 40, 160, 640, 2_560),
    "width": (10, 40, 160, 640, 2_560),
    "depth": (1, 2, 4, 8, 16),
}


def add_arguments(parser):
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="one short fit, no record")


def measure(quantity, value, repeats, seed):
    params = {"rows": 5_000, "features": 50, "width": 100, "depth": 1, quantity: value}
    X, y = table("{rows}x{features}".format(**params), seed)
    hidden = (params["width"],) * params["depth"]
    fits = {side: PEERS[side](X, y, hidden, 128, 2, ALPHA, seed) for side in SIDES}
    return {side: spread(times) for side, times in time_interleaved(fits, repeats).items()}


def run(args):
    warnings.simplefilter("ignore")
    run_on(1)
    if args.smoke:
        print(measure("rows", 500, 1, args.seed))
        return
    rows = []
    for quantity, values in GROWTH.items():
        for value in values:
            seconds = measure(quantity, value, args.repeats, args.seed)
            rows.append({"what": quantity, "value": value, "seconds": seconds})
            print(rows[-1], flush=True)
    print(save("growth", {"seed": args.seed, "repeats": args.repeats, "rows": rows}))


def section(record: dict) -> list[str]:
    return [
        "## Scaling",
        "The figure shows the seconds of a fit of two epochs with batches of 128. One of the four "
        "quantities changes at a time, starting from 5,000 samples, 50 features and one hidden "
        "layer of 100 units.",
        "![seconds against samples, features, width and depth](benchmarks_growth.png)",
    ]


def draw_figure(record: dict) -> None:
    """Plot the seconds of a fit against each quantity."""
    import matplotlib.pyplot as plt

    colors = {"sknn_adam": "#0072B2", "sknn_adam, NumPy": "#009E73", "scikit-learn": "#D55E00"}
    marks = dict(zip(colors, "os^", strict=True))
    quantities = list(dict.fromkeys(row["what"] for row in record["rows"]))
    figure, axes = plt.subplots(1, len(quantities), figsize=(12, 3.6), layout="constrained")
    for axis, quantity in zip(axes, quantities, strict=True):
        rows = [row for row in record["rows"] if row["what"] == quantity]
        for side, color in colors.items():
            low, middle, high = np.transpose([row["seconds"][side] for row in rows])
            values = [row["value"] for row in rows]
            axis.loglog(values, middle, marks[side] + "-", color=color, ms=4, label=side)
            axis.fill_between(values, low, high, color=color, alpha=0.2, lw=0)
        axis.set(xlabel="samples" if quantity == "rows" else quantity)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("seconds per fit")
    axes[0].legend(fontsize="small")
    save_figure(figure, "benchmarks_growth.png")
