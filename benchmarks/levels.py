"""Encodings of columns with many levels, compared on training sets.

The columns with many levels of each table are encoded by the mean of the target, with the logarithm
of the level's count (the encoding of ``make_tabular_pipeline``) or without it, by one column per
level, or by an embedding that is trained with the network. The last two are also tried in addition
to the encoding of the pipeline. All other columns and the network are the same. Each training set
is split again into 75 % and 25 %, so the test sets are not used. All figures are geometric means of
(metric + 0.01) / (metric of the pipeline + 0.01), with an interval over bootstrap samples of the
tables. The metric is the log loss or the RMSE.

The generated tables show what an encoding can do. Each has 4,000 rows and two columns with many
levels of very different frequencies.
"""

import warnings
from contextlib import nullcontext
from itertools import product
from time import process_time
from unittest.mock import patch

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import OneHotEncoder

from benchmarks._page import interval, markdown_table
from benchmarks._records import discard_unfinished, facts, save, save_unfinished, unfinished
from benchmarks._report import bootstrap
from benchmarks._tables import load_tables
from sknn_adam import make_tabular_pipeline
from sknn_adam._estimator import parameters
from sknn_adam._nn.layers import Layer
from sknn_adam._nn.network import Network, build
from sknn_adam.preprocessing import SmoothClipScaler

MOST_LEVELS = 30  # of a column that the pipeline encodes by one column per level
GROUPS = ("real", "generated")
PIPELINE = "mean and log count"
N_GENERATED = 4000


def add_arguments(parser):
    parser.add_argument("--data", required=True, help="folders of tables with a realdata.py")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cv", type=int, default=8, help="folds of the recipe 'default'")
    parser.add_argument("--epochs", type=int, default=60, help="epochs of the recipe 'default'")
    parser.add_argument("--rows", type=int, default=4000, help="maximum number of training rows")
    parser.add_argument("--tables", default="", help="comma-separated names (default: all)")
    parser.add_argument("--only", default="", help="comma-separated encodings (default: all)")
    parser.add_argument("--add", action="store_true", help="add to the results of the previous run")


# -- generated tables ----------------------------------------------------------------------------


def scores(realdata, task, model, X, y, n_classes):
    if task == "regression":
        return realdata.metrics(task, y, model.predict(X))
    p = model.predict_proba(X)
    return realdata.metrics(task, y, model.predict(X), p, model.classes_, n_classes)


def effects(rng, a, b, x):
    """Each level adds a number."""
    return rng.normal(size=400)[a] + rng.normal(size=60)[b] + x


def slopes(rng, a, b, x):
    """Each level has its own slope of the number."""
    return rng.normal(size=400)[a] * x + rng.normal(size=60)[b] * x


def products(rng, a, b, x):
    """Each pair of levels adds the inner product of two hidden vectors."""
    return (rng.normal(size=(400, 3))[a] * rng.normal(size=(60, 3))[b]).sum(axis=1) + x


def counts(rng, a, b, x):
    """The number of samples of a level matters, but not the level itself."""
    return np.log(np.bincount(a, minlength=400)[a]) + np.log(np.bincount(b, minlength=60)[b]) + x


FUNCTIONS = (effects, slopes, products, counts)


class Generated:
    """Tables whose targets are functions of two columns with 400 and 60 levels, and of a number."""

    def __init__(self):
        tasks = ("regression", "classification")
        self.TASKS = {f"{f.__name__}, {task}": task for f in FUNCTIONS for task in tasks}

    def load(self, name):
        """Return X as a DataFrame, y as class indices or floats, and the task."""
        import pandas as pd

        rng = np.random.default_rng(list(self.TASKS).index(name))
        # The frequency of a level is proportional to 1 / (its position + 5).
        weights = [1 / (5 + np.arange(n)) for n in (400, 60)]
        a, b = (rng.choice(len(w), N_GENERATED, p=w / w.sum()) for w in weights)
        x = rng.normal(size=N_GENERATED)
        function = next(f for f in FUNCTIONS if name.startswith(f.__name__))
        y = function(rng, a, b, x)
        y = y + rng.normal(0, 0.5 * y.std(), N_GENERATED)
        columns = {"a": [f"a{i}" for i in a], "b": [f"b{i}" for i in b], "x": x}
        X = pd.DataFrame(columns).astype({"a": "category", "b": "category"})
        if self.TASKS[name] == "classification":
            return X, np.digitize(y, np.quantile(y, [1 / 3, 2 / 3])), "classification"
        return X, y, "regression"

    def splits(self, name):
        """Return the training samples, which are all samples."""
        return [(np.arange(N_GENERATED), np.arange(0))]


# -- encodings -----------------------------------------------------------------------------------


class Embed(Layer):
    """Embedding of columns: one vector of learned numbers for each level.

    The input has one column per level. The size of the vectors and their initialization are those
    of fastai, except that the size is at most 50.
    """

    def __init__(self, first, sizes):
        self.blocks, self.parameters = [], ()
        for i, n_levels in enumerate(sizes):
            width = min(50, round(1.6 * n_levels**0.56))
            self.blocks.append((f"E{i}", slice(first, first + n_levels), width))
            self.parameters += ((f"E{i}", (n_levels, width), "weight"),)
            first += n_levels
        self.start_of_blocks, self.end_of_blocks = first - sum(sizes), first

    def widths(self, n_features):
        """Return the number of outputs."""
        inputs = self.end_of_blocks - self.start_of_blocks
        return n_features - inputs + sum(width for *_, width in self.blocks)

    def start(self, initializer, bias_initializer, rng):
        """Draw the vectors."""
        for name, *_ in self.blocks:
            E = getattr(self, name)
            E[...] = rng.normal(0, 0.01, E.shape)

    def forward(self, x, ws):
        """Return the vectors, followed by the other columns."""
        ws["x"] = x
        embedded = [x[..., block] @ getattr(self, name) for name, block, _ in self.blocks]
        rest = np.concatenate(
            [x[..., : self.start_of_blocks], x[..., self.end_of_blocks :]], axis=-1
        )
        return np.concatenate(
            [*embedded, np.broadcast_to(rest, (*embedded[0].shape[:-1], rest.shape[-1]))], axis=-1
        )

    def backward(self, g, ws, need_input=True):
        """Write the gradients of the vectors. This is the first layer, so x needs no gradient."""
        first = 0
        for name, block, width in self.blocks:
            x = ws["x"][..., block].swapaxes(-1, -2)
            getattr(self, f"grad_{name}")[...] = x @ g[..., first : first + width]
            first += width


def one_hot():
    return OneHotEncoder(handle_unknown="ignore", max_categories=1000, sparse_output=False)


def encodings(pipeline_encoding):
    """Return the parameters of the step for columns with many levels, keyed by name."""
    scaled = Pipeline([("encode", pipeline_encoding), ("scale", SmoothClipScaler())])
    both = FeatureUnion([("scaled", scaled), ("one_hot", one_hot())])
    columns = {"encode": one_hot(), "scale": "passthrough"}
    columns_and_mean = {"encode": both, "scale": "passthrough"}
    return {
        PIPELINE: {},
        "mean": {"encode__log_count": "drop"},
        "one column per level": columns,
        "embedding": columns,
        "one column per level, mean and log count": columns_and_mean,
        "embedding, mean and log count": columns_and_mean,
    }


def embedding(columns):
    """Patch the package to embed the columns with many levels of fitted `columns`."""
    many = columns.output_indices_["many"]
    if many.start == many.stop:
        return nullcontext()
    encoder = columns.named_transformers_["many"]["encode"]
    if isinstance(encoder, FeatureUnion):
        encoder = encoder["one_hot"]
    sizes = [len(levels) for levels in encoder.categories_]

    def changed(n_features, *args, **options):
        embed = Embed(many.stop - sum(sizes), sizes)
        network = build(embed.widths(n_features), *args, **options)
        return Network([embed, *network.layers], network.dtype, network.members)

    return patch.object(parameters, "build", changed)


# -- comparison ----------------------------------------------------------------------------------


def with_many_levels(realdata):
    """Yield the names of the tables that have a column with many levels."""
    for table in realdata.TASKS:
        X, _, _ = realdata.load(table)
        X = X.iloc[realdata.splits(table)[0][0]].select_dtypes("category")
        if any(column.nunique(dropna=False) > MOST_LEVELS for _, column in X.items()):
            yield table


def measure(realdata, metrics, table, name, seed, args):
    """Return the scores of one encoding on one split of the training set of a table."""
    X, y, task = realdata.load(table)
    n_classes = int(y.max()) + 1 if task == "classification" else None
    train = realdata.splits(table)[0][0]
    n_train = min(args.rows, int(0.75 * len(train)))
    a, b = train_test_split(
        train,
        train_size=n_train,
        test_size=0.25,
        random_state=seed,
        stratify=y[train] if n_classes else None,
    )
    Xa, Xb = X.iloc[a].reset_index(drop=True), X.iloc[b].reset_index(drop=True)
    kind = "classifier" if n_classes else "regressor"
    model = make_tabular_pipeline(kind, random_state=seed)
    model.set_params(model__cv=args.cv, model__max_iter=args.epochs)
    encode = model.get_params()["columns__many__encode"]
    model.set_params(
        **{f"columns__many__{key}": value for key, value in encodings(encode)[name].items()}
    )
    start = process_time()
    Z = model["columns"].fit_transform(Xa, y[a])
    with embedding(model["columns"]) if "embedding" in name else nullcontext():
        model["model"].fit(Z, y[a])
        seconds = process_time() - start
        result = scores(metrics, task, model, Xb, y[b], n_classes)
    return {**result, "seconds": round(seconds, 3)}


def summary(rows, parts, args):
    """Return the content of the record: for each encoding, the ratio over groups of tables."""
    values: dict = {}
    for row in rows:
        for metric in ("logloss", "nrmse", "seconds"):
            if metric in row:
                what = "time" if metric == "seconds" else "loss"
                values.setdefault((row["group"], row["table"], row["encoding"], what), []).append(
                    row[metric] + 0.01 * (what == "loss")
                )
    ratios: dict = {}
    for group in GROUPS:
        tables = sorted({row["table"] for row in rows if row["group"] == group})
        for name in dict.fromkeys(row["encoding"] for row in rows):
            for what in ("loss", "time"):
                logs = {
                    table: float(
                        np.log(
                            np.mean(values[group, table, name, what])
                            / np.mean(values[group, table, PIPELINE, what])
                        )
                    )
                    for table in tables
                    if (group, table, name, what) in values
                }
                if name == PIPELINE or not logs:
                    continue
                rng = np.random.default_rng(args.seed)
                each = {"ratio": bootstrap(list(logs.values()), rng), "tables": len(logs)}
                if what == "loss":
                    each["by table"] = {t: round(float(np.exp(v)), 4) for t, v in logs.items()}
                ratios.setdefault(name, {})[f"{group}: {what}"] = each
    options = {
        "seed": args.seed,
        "cv": args.cv,
        "epochs": args.epochs,
        "rows": args.rows,
    }
    return {**options, "parts": parts, "ratios": ratios, "scores": rows}


def run(args):
    warnings.simplefilter("ignore")
    realdata, generated = load_tables(args.data), Generated()
    tables = (
        args.tables.split(";") if args.tables else [*with_many_levels(realdata), *generated.TASKS]
    )
    names = args.only.split(";") if args.only else list(encodings(None))
    before = unfinished("levels") if args.add else {"scores": [], "parts": []}
    rows, parts = before["scores"], [*before["parts"], facts()["command"]]
    known = {(row["table"], row["encoding"], row["seed"]) for row in rows}
    for table, seed in product(tables, range(args.seed, args.seed + args.seeds)):
        made = table in generated.TASKS
        group, source = ("generated", generated) if made else ("real", realdata)
        for name in names:
            if (table, name, seed) in known:
                continue
            about = {"group": group, "table": table, "encoding": name, "seed": seed}
            rows.append(about | measure(source, realdata, table, name, seed, args))
        save_unfinished("levels", summary(rows, parts, args))
        print(table, seed, *(row["seconds"] for row in rows[-len(names) :]), flush=True)
    for name, each in summary(rows, parts, args)["ratios"].items():
        print(f"{name:<42}", *(f"{what} {ratio['ratio']}" for what, ratio in each.items()))
    print(save("levels", summary(rows, parts, args)))
    discard_unfinished("levels")


# -- on the page ---------------------------------------------------------------------------------

TITLES = {
    "real: loss": "loss, real tables",
    "generated: loss": "loss, generated tables",
    "real: time": "time, real tables",
}


def section(record: dict) -> list[str]:
    rows = []
    for name, each in record["ratios"].items():
        cells = [interval(*each[key]["ratio"], 3) if key in each else "–" for key in TITLES]
        rows.append([name, *cells])
    seeds = {g: len({row["seed"] for row in record["scores"] if row["group"] == g}) for g in GROUPS}
    n_tables = next(iter(record["ratios"].values()))["real: loss"]["tables"]
    return [
        "## Columns with many levels",
        "The table compares encodings of columns with many levels by the recipe "
        f'"default" with {record["cv"]} folds, {record["epochs"]} epochs and at most '
        f"{record['rows']:,} training rows. The training sets of {n_tables} real tables, and "
        f"generated tables, are split again with {seeds['real']} and {seeds['generated']} seeds. "
        "The figures are the ratio of the loss (log loss or RMSE) and of the time to those of the "
        f'encoding "{PIPELINE}", with the 95 % interval over bootstrap samples of the tables.',
        markdown_table(["encoding", *TITLES.values()], rows),
        "Created by " + ", ".join(f"`{part}`" for part in record["parts"]) + ".",
    ]


def figures(record: dict) -> dict:
    return {
        name: each["real: loss"]["ratio"][0]
        for name, each in record["ratios"].items()
        if "real: loss" in each
    }
