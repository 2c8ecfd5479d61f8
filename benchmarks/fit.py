"""Training time and final loss compared with other packages, called as users call them.

All packages get float64 input and use the same architecture, optimizer (Adam, 0.001), batch size,
number of epochs and penalty. Fits are interleaved. The first fit of each package is not timed,
because it may compile or load code. Times are medians over fits. The relative times are medians of
paired ratios with 95 % intervals: the fits of one repetition form the pairs. The limit is the time
of the matrix products of the training alone, measured in the same run.
"""

import warnings
from itertools import pairwise

import numpy as np
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.preprocessing import scale

from benchmarks._page import markdown_table, paired_cell
from benchmarks._records import save
from benchmarks._report import CLOCKS, add_clock, paired, run_on, spread, time_interleaved

ALPHA = 1e-4

# Table, hidden layers, batch size and epochs.
SIZES = [
    ("150x4", (10,), 32, 100),
    ("569x30", (100,), 200, 100),
    ("1797x64", (100,), 200, 50),
    ("10000x50", (100,), 200, 10),
    ("10000x50", (64, 64), 64, 5),
    ("20000x100", (256, 128), 128, 3),
    ("20000x784", (256,), 200, 2),
]
LARGE = [("10000x784", (1024, 1024), 200, 1), ("5000x20000 CSR", (100,), 200, 3)]
BUNDLED = {"150x4": load_iris, "569x30": load_breast_cancer, "1797x64": load_digits}


def add_arguments(parser):
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="number of cores to run on")
    parser.add_argument("--only", default="", help="only tables whose name contains this")
    parser.add_argument("--peers", default="", help="comma-separated names (default: all)")
    add_clock(parser)
    parser.add_argument("--smoke", action="store_true", help="one short repetition, no record")


def table(name: str, seed: int):
    """Return a bundled table, or a random one with ten classes that depend linearly on X."""
    if name in BUNDLED:
        X, y = BUNDLED[name](return_X_y=True)
        return scale(X), y
    size, _, kind = name.partition(" ")
    n_rows, n_features = map(int, size.split("x"))
    rng = np.random.default_rng(seed)
    if kind:
        # Like texts: 50 words per sample from a vocabulary with a few frequent words.
        columns = (n_features * rng.random((n_rows, 50)) ** 3).astype(int).ravel()
        rows = np.repeat(np.arange(n_rows), 50)
        X = sparse.csr_matrix((rng.random(rows.size), (rows, columns)), (n_rows, n_features))
        X.sum_duplicates()
        return X, (X @ rng.normal(size=(n_features, 10))).argmax(axis=1)
    X = rng.normal(size=(n_rows, n_features))
    z = X @ rng.normal(size=(n_features, 10)) + rng.normal(size=(n_rows, 10))
    return X, z.argmax(axis=1)


def products(X, y, hidden, batch, epochs, clock="wall"):
    """Return the seconds of the matrix products of a training, in the dtype of sknn_adam."""
    from benchmarks.peers import trains_in_float64

    if sparse.issparse(X):
        return None
    dtype = np.float64 if trains_in_float64(X) else np.float32
    widths = [X.shape[1], *hidden, max(2, len(np.unique(y)))]
    if widths[-1] == 2:
        # A binary classifier has one output.
        widths[-1] = 1
    rng = np.random.default_rng(0)
    a = [rng.normal(size=(batch, width)).astype(dtype) for width in widths]
    W = [rng.normal(size=shape).astype(dtype) for shape in pairwise(widths)]
    out, back, grad = (
        [np.empty_like(array) for array in a[1:]],
        [np.empty_like(array) for array in a],
        [np.empty_like(array) for array in W],
    )
    seconds = []
    n_steps = min(200, epochs * -(-len(y) // batch))
    now = CLOCKS[clock]
    for _ in range(7):
        start = now()
        for _ in range(n_steps):
            for i, w in enumerate(W):
                np.dot(a[i], w, out=out[i])
            for i in range(len(W) - 1, -1, -1):
                np.dot(a[i].T, out[i], out=grad[i])
                if i:
                    np.dot(out[i], W[i].T, out=back[i])
        seconds.append((now() - start) / n_steps)
    return float(np.median(seconds) * epochs * -(-len(y) // batch))


def prepare(peers, X, y, hidden, batch, epochs, seed):
    """Return the fit functions of the peers that support this table."""
    from benchmarks.peers import PEERS

    fits = {}
    for name in peers or PEERS:
        try:
            fits[name] = PEERS[name](X, y, hidden, batch, epochs, ALPHA, seed)
        # A peer may not be installed, or may not support sparse input.
        except Exception as error:
            print(f"  without {name}: {type(error).__name__}: {str(error)[:80]}", flush=True)
    return fits


def measure(name, hidden, batch, epochs, repeats, seed, peers=(), clock="wall"):
    X, y = table(name, seed)
    fits = prepare(peers, X, y, hidden, batch, epochs, seed)
    loss, limits = {}, []

    def keep_loss(side):
        def fit():
            loss[side] = fits[side]()

        return fit

    seconds = time_interleaved(
        {side: keep_loss(side) for side in fits},
        max(1, repeats),
        lambda: limits.append(products(X, y, hidden, batch, epochs, clock)),
        clock,
    )
    steps = epochs * -(-X.shape[0] // batch)
    row = {"size": name, "hidden": list(hidden), "batch": batch, "epochs": epochs, "sides": {}}
    if limits[0] is not None:
        row["limit_microseconds"] = round(float(np.median(limits)) / steps * 1e6, 1)
    for side, times in seconds.items():
        relative = paired(np.divide(times, seconds["sknn_adam"]))
        row["sides"][side] = {
            "microseconds_per_step": spread(np.array(times) / steps * 1e6),
            "slower": relative["ratio"],
            "interval": relative["interval"],
            "final_loss": round(float(loss[side]), 4),
        }
        # Most peers train in float32 only.
        if "sknn_adam (float32)" in seconds:
            relative = paired(np.divide(times, seconds["sknn_adam (float32)"]))
            row["sides"][side]["relative_to_float32"] = relative
    return row


def show(row):
    cells = [f"{row['size']} {tuple(row['hidden'])} limit {row.get('limit_microseconds')}"]
    for side, result in row["sides"].items():
        cells.append(f"{side} {_cell(result)}")
    print(", ".join(cells), flush=True)


def run(args):
    warnings.simplefilter("ignore")
    run_on(args.threads)
    peers = args.peers.split(",") if args.peers else ()
    if args.smoke:
        show(measure("150x4", (10,), 32, 2, 1, args.seed, peers))
        return
    rows = []
    for size in SIZES + LARGE:
        if args.only in size[0]:
            rows.append(measure(*size, args.repeats, args.seed, peers, args.clock))
            show(rows[-1])
    gains = {}
    small = [row for row in rows if row["size"] not in {name for name, *_ in LARGE}]
    for side in ("sknn_adam", "sknn_adam, NumPy"):
        ratios = [
            row["sides"]["scikit-learn"]["slower"] / row["sides"][side]["slower"]
            for row in small
            if {side, "scikit-learn"} <= set(row["sides"])
        ]
        if ratios:
            gains[side] = round(float(np.exp(np.mean(np.log(ratios)))), 3)
    print("geometric mean of the speed relative to scikit-learn:", gains)
    facts = {
        "seed": args.seed,
        "repeats": args.repeats,
        "threads": args.threads,
        "clock": args.clock,
    }
    name = "fit" if args.threads == 1 else f"fit_{args.threads}_threads"
    if args.only or args.peers:
        name += "_only"
    print(save(name, {**facts, "rows": rows, "geometric_mean": gains}))


def section(record: dict) -> list[str]:
    sides = list(dict.fromkeys(side for row in record["rows"] for side in row["sides"]))
    rows = []
    for row in record["rows"]:
        limit = f"{row['limit_microseconds']:.0f}" if "limit_microseconds" in row else "–"
        cells = [row["size"], tuple(row["hidden"]), row["batch"], limit]
        for side in sides:
            cells.append(_cell(row["sides"][side]) if side in row["sides"] else "–")
        rows.append(cells)
    in_float32 = [
        f"{row['size']}, {side}: {paired_cell(result['relative_to_float32'])}"
        for row in record["rows"]
        for side, result in row["sides"].items()
        if "relative_to_float32" in result and not side.startswith("sknn_adam")
    ]
    means = ", ".join(f"{side} {gain:.2f}" for side, gain in record["geometric_mean"].items())
    return [
        "## Training time compared with other packages, on one core",
        "Each package is called as its users call it, with float64 input, Adam with a learning "
        "rate of 0.001, and the same architecture, batch size, number of epochs and penalty. The "
        "figures are microseconds per optimizer step, as medians over interleaved fits. The time "
        "relative to `sknn_adam` with Numba is given in parentheses, with the 95 % interval of the "
        "median of the paired ratios where it was recorded. Compilation is excluded. The limit is "
        "the time of the matrix products alone, measured between the fits. JAX trains an epoch in "
        "one compiled scan. On small tables, `sknn_adam` trains in float64, as scikit-learn does; "
        "torch and JAX train in float32.",
        markdown_table(["table", "hidden", "batch", "limit", *sides], rows),
        *(
            ["Time relative to `sknn_adam` in float32: " + "; ".join(in_float32) + "."]
            * bool(in_float32)
        ),
        "The geometric means of the speed relative to scikit-learn, without the last two rows, "
        f"are: {means}.",
    ]


def _cell(result) -> str:
    relative = f"{result['slower']:.2f}"
    # The first records have no intervals, and the side that all are compared with has none either.
    low, high = result.get("interval", (1, 1))
    if low < high:
        relative += f", {low:.2f} to {high:.2f}"
    return f"{result['microseconds_per_step'][1]:.0f} ({relative})"


def figures(record: dict) -> dict:
    return {f"{s}: speed over scikit-learn": v for s, v in record["geometric_mean"].items()}
