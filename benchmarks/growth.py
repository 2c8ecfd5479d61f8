"""How the cost of a fit grows with rows, features, width and depth; one at a time.

The rest is 5,000 rows, 50 features, one hidden layer of 100 units, batches of 128, two epochs.
"""

import warnings

from benchmarks._report import in_turns, run_on, save, spread
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
    parser.add_argument("--smoke", action="store_true", help="one short fit, no file")


def measure(what, value, repeats, seed):
    params = {"rows": 5_000, "features": 50, "width": 100, "depth": 1, what: value}
    X, y = table("{rows}x{features}".format(**params), seed)
    hidden = (params["width"],) * params["depth"]
    fits = {side: PEERS[side](X, y, hidden, 128, 2, ALPHA, seed) for side in SIDES}
    return {side: spread(times) for side, times in in_turns(fits, repeats).items()}


def run(args):
    warnings.simplefilter("ignore")
    run_on(1)
    if args.smoke:
        print(measure("rows", 500, 1, args.seed))
        return
    rows = []
    for what, values in GROWTH.items():
        for value in values:
            seconds = measure(what, value, args.repeats, args.seed)
            rows.append({"what": what, "value": value, "seconds": seconds})
            print(rows[-1], flush=True)
    print(save("growth", {"seed": args.seed, "repeats": args.repeats, "rows": rows}))
