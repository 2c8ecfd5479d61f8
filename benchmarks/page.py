"""Write ``docs/benchmarks.md`` from the results files."""

import json
import os
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks._report import RESULTS

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
PICTURE = PAGE.with_name("benchmarks_growth.png")
SEARCHES = PAGE.with_name("benchmarks_searches.png")

HEAD = """# Benchmarks

This page is made from the results files in `benchmarks/results` by `python -m benchmarks page`.
"""


def add_arguments(parser):
    parser.set_defaults()


def origin(results: dict) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    machine = results["machine"]
    seed = f"seed {results['seed']}" if "seed" in results else f"{results['seeds']} seeds"
    return (
        f"`{results['command']}`, {results['date']}, {seed}, "
        f"{machine['cores']} cores of {machine['processor']}; {versions}."
    )


def fit(results: dict) -> str:
    sides = list(dict.fromkeys(side for row in results["rows"] for side in row["sides"]))
    lines = [
        "## Whole fits beside other packages, on one processor",
        "",
        "As users call them: float64 in, Adam 0.001, same architecture, batch size, epochs and "
        "penalty. Medians of whole fits, in microseconds per optimizer step, of repetitions that "
        "take turns; in brackets how many times the time of `sknn_adam` with Numba that is. What "
        "compiles has done so before. The limit is the matrix products alone, measured in between. "
        "`sknn_adam` computes small tables in float64, as scikit-learn does; torch and JAX are "
        "given float32.",
        "",
        "| table | hidden | batch | limit | " + " | ".join(sides) + " |",
        "|---" * (4 + len(sides)) + "|",
    ]
    for row in results["rows"]:
        cells = [row["size"], str(tuple(row["hidden"])), str(row["batch"])]
        cells.append(f"{row['limit_microseconds']:.0f}" if "limit_microseconds" in row else "–")
        for side in sides:
            found = row["sides"].get(side)
            cells.append(
                f"{found['microseconds_per_step'][1]:.0f} ({found['slower']:.2f})" if found else "–"
            )
        lines.append("| " + " | ".join(cells) + " |")
    means = ", ".join(f"{side} {gain:.2f}" for side, gain in results["geometric_mean"].items())
    lines += [
        "",
        f"Geometric mean of the speed over scikit-learn's, without the largest two: {means}.",
    ]
    return "\n".join([*lines, "", origin(results), ""])


def record(results: dict) -> str:
    lines = [
        "## What recording the layers costs",
        "",
        "Processor time of whole fits with `record=True` over that with `record=False`, less one; "
        "medians over alternating repetitions.",
        "",
        "| table | hidden | samples | cost |",
        "|---|---|---|---|",
    ]
    for row in results["rows"]:
        cells = row["size"], tuple(row["hidden"]), row["samples"], f"{100 * row['cost']:.1f} %"
        lines.append("| {} | {} | {} | {} |".format(*cells))
    return "\n".join([*lines, "", origin(results), ""])


def members(results: dict) -> str:
    n_members, processes = str(results["members"]), results["processes"]
    lines = [
        "## Several members",
        "",
        "Processor time of whole fits on 5,000 rows of 30 features, hidden (128, 128), batches of "
        f"128, ten epochs, in seconds; medians over alternating repetitions in {processes} "
        "processes. The number of times is the median of pairs; in brackets the smallest and the "
        "largest median of a process. Runs of the whole benchmark differ by a tenth.",
        "",
        f"| parameters | 1 member | {n_members} members | times |",
        "|---|---|---|---|",
    ]
    for row in results["cost"]:
        told = ", ".join(f"{name}={value}" for name, value in row["params"].items())
        seconds = [row["seconds"][n][1] for n in ("1", n_members)]
        by_process = row["ratios of processes"]
        times = row["ratio"], by_process[0], by_process[-1]
        cells = told or "defaults", *seconds, *times
        lines.append("| {} | {:.3f} | {:.3f} | {:.2f} ({:.2f} to {:.2f}) |".format(*cells))
    for row in results["noise"]:
        accuracy, r2 = (f"{row[n][0]:.3f} ± {row[n][1]:.3f}" for n in ("accuracy", "r2"))
        lines += [
            "",
            f"`oof_score_` on {results['draws']} tables of pure noise ({row['rows']} rows, 10 "
            f"features), mean and its standard error: accuracy {accuracy} (chance is 0.5), R² {r2} "
            "(chance is at most 0).",
        ]
    return "\n".join([*lines, "", origin(results), ""])


def parity(results: dict) -> str:
    lines = [
        "## The same loss",
        "",
        f"Training loss of the last epoch, mean over {results['seeds']} seeds, from the same "
        "distribution of first weights as scikit-learn's; in brackets the difference from theirs "
        "in standard errors.",
        "",
        "| table | hidden | sknn_adam | sknn_adam, NumPy | scikit-learn |",
        "|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        loss, errors = row["loss"], row["standard_errors"]
        cells = [row["size"], str(tuple(row["hidden"]))]
        cells += [f"{loss[side]:.4f} ({errors[side]:+.1f})" for side in errors]
        lines.append("| " + " | ".join([*cells, f"{loss['scikit-learn']:.4f}"]) + " |")
    return "\n".join([*lines, "", origin(results), ""])


def threads(results: dict) -> str:
    lines = [
        "## A second processor",
        "",
        "Whole fits with Numba on one processor and on two, in turns: minimum, median and maximum "
        "of how many times faster two are. Small networks use one thread of BLAS anywhere.",
        "",
        "| table | hidden | times faster |",
        "|---|---|---|",
    ]
    for row in results["rows"]:
        low, middle, high = row["gain"]
        cells = row["size"], tuple(row["hidden"]), f"{middle:.2f} ({low:.2f} to {high:.2f})"
        lines.append("| {} | {} | {} |".format(*cells))
    return "\n".join([*lines, "", origin(results), ""])


def predict(results: dict) -> str:
    lines = [
        "## Predictions",
        "",
        "Microseconds of a call, 50 features, default networks; the ratio of the times.",
        "",
        "| estimator | method | rows | sknn_adam | scikit-learn | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        ours, theirs = (row["microseconds"][s][1] for s in ("sknn_adam", "scikit-learn"))
        cells = row["model"], row["method"], row["rows"], ours, theirs, row["ratio"][1]
        lines.append("| {} | `{}` | {:,} | {:,.4g} | {:,.4g} | {:.2f} |".format(*cells))
    return "\n".join([*lines, "", origin(results), ""])


def startup(results: dict) -> str:
    told = {
        "import": "`import sknn_adam`, beyond `import sklearn.neural_network`",
        "iris": "a process that fits iris, beyond one that does so with scikit-learn",
        "cached": "a first fit with Numba, compiled before, beyond one without",
        "first ever": "the first fit ever with Numba, which compiles, beyond one without",
    }
    lines = [
        "## Starts",
        "",
        "Seconds of whole processes, differences of repetitions in turns.",
        "",
    ]
    lines += ["| | minimum | median | maximum |", "|---|---|---|---|"]
    for name, text in told.items():
        cells = [text, *(f"{value:.3f}" for value in results["extra"][name])]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", origin(results), ""])


def memory(results: dict) -> str:
    lines = [
        "## Memory",
        "",
        "Megabytes that a fit adds at its peak to a process with the data in it. The bound is four "
        "arrays of each layer for a batch, five vectors of the parameters (two are Adam's), and "
        "60 MB. With Numba, Numba itself is in the figure.",
        "",
        "| table | dtype | hidden | with Numba | NumPy | bound |",
        "|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        found = row["megabytes"]
        cells = f"{row['rows']}x{row['features']}", row["dtype"], tuple(row["hidden"])
        lines.append(
            "| {} | {} | {} | {} | {} | {} |".format(
                *cells, found["fused"], found["numpy"], row["bound"]
            )
        )
    return "\n".join([*lines, "", origin(results), ""])


def step(results: dict) -> str:
    rules = dict.fromkeys(name.partition(",")[0] for name in results["rows"][0]["share"])
    lines = [
        "## One optimizer step",
        "",
        "Nanoseconds per parameter (float32) with Numba and without; in brackets the share of the "
        "memory's bandwidth that is used, as far as the vectors do not fit into a cache. The "
        "bandwidth is that of the fastest of three plain loops over vectors of the same size.",
        "",
        "| parameters | GB/s | " + " | ".join(rules) + " |",
        "|---" * (2 + len(rules)) + "|",
    ]
    for row in results["rows"]:
        cells = [f"{row['parameters']:,}", f"{row['bandwidth']:.1f}"]
        for rule in rules:
            fused, plain = (row["nanoseconds"][f"{rule}, {k}"][1] for k in ("fused", "numpy"))
            share = f" ({row['share'][f'{rule}, fused']:.0%})" if row["parameters"] > 1e6 else ""
            cells.append(f"{fused:.3g}{share} / {plain:.3g}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", origin(results), ""])


def grid(results: dict) -> str:
    lines = [
        "## A whole search",
        "",
        f"`GridSearchCV`, digits, 64 candidates that both have, five folds, {results['epochs']} "
        "epochs: seconds of the whole search.",
        "",
        "| n_jobs | sknn_adam | scikit-learn | times faster |",
        "|---|---|---|---|",
    ]
    for n in ("1", "2"):
        ours, theirs = (results["seconds"][f"{s}, {n}"][1] for s in ("sknn_adam", "scikit-learn"))
        lines.append(f"| {n} | {ours:.1f} | {theirs:.1f} | {results['faster'][n][1]:.1f} |")
    return "\n".join([*lines, "", origin(results), ""])


METRICS = {"error": "error", "logloss": "log loss", "nrmse": "RMSE", "seconds": "time"}


def tables(results: dict) -> str:
    ratios = results["ratios"]
    lines = [
        "## The defaults on real tables",
        "",
        "24 tables, default estimators behind the same preprocessing, on their test parts: "
        "geometric means of ours over scikit-learn's MLP with its defaults in the same run, of "
        f"(metric + 0.01) for quality. Error {ratios['error']:.2f}, log loss "
        f"{ratios['logloss']:.2f}, RMSE "
        f"{ratios['nrmse']:.2f}, time of the fits {ratios['fit time']:.2f}.",
    ]
    return "\n".join([*lines, "", origin(results), ""])


def defaults(results: dict) -> str:
    lines = [
        "## How the defaults were chosen",
        "",
        "The same ratios on the training parts of the tables, each split once more: the defaults, "
        "and with one thing at a time changed.",
        "",
        "| candidate | " + " | ".join(METRICS.values()) + " |",
        "|---" * (1 + len(METRICS)) + "|",
    ]
    for name in results["ratios"]["error"]:
        cells = [f"{results['ratios'][metric][name]:.3f}" for metric in METRICS]
        lines.append("| " + " | ".join([f"`{name}`" if "=" in name else name, *cells]) + " |")
    return "\n".join([*lines, "", origin(results), ""])


def small(results: dict) -> str:
    first, second = (
        "{ratio:.3f} ± {se:.3f}".format(**half)
        for half in results["tasks"]["classification"]["120"]["batch_size=32"]["error"]["halves"]
    )
    lines = [
        "## Batches on small tables",
        "",
        "Default estimators with one or two parameters changed, on 30, 60 and 120 samples drawn "
        f"{results['draws']} times from the training part of each table and scored on other "
        "samples of that part: geometric means over the tables of (metric + 0.01), relative to a "
        "batch of all samples, with their standard errors over tables. In parentheses the ratios "
        "of the two halves of the tables: a candidate that was chosen on the first half is "
        "confirmed on the second.",
        "",
        "The default is a batch of 32 in classifiers and of all samples in regressors. The gain of "
        f"classifiers is not the same everywhere: on 120 samples their errors are {first} times "
        f"those of the full batch on the first half of the tables and {second} on the second.",
    ]
    for task, sizes in results["tasks"].items():
        metrics = ("error", "logloss") if task == "classification" else ("nrmse",)
        metrics += ("seconds",)
        for n_samples, found in sizes.items():
            tables = found["full batch"][metrics[0]]["tables"]
            names = " | ".join(METRICS[metric] for metric in metrics)
            lines += [
                "",
                f"### {task.capitalize()}, {n_samples} samples, {tables} tables",
                "",
                f"| candidate | {names} |",
                "|---" * (1 + len(metrics)) + "|",
            ]
            for candidate, cells in found.items():
                told = [_with_halves(cells[metric]) for metric in metrics]
                lines.append("| " + " | ".join([candidate, *told]) + " |")
    return "\n".join([*lines, "", origin(results), ""])


def _with_halves(cell: dict) -> str:
    first, second = (f"{half['ratio']:.3f}" for half in cell["halves"])
    return f"{cell['ratio']:.3f} ± {cell['se']:.3f} ({first}, {second})"


def tabular(results: dict) -> str:
    lines = [
        "## The recipes for tables",
        "",
        f"`tabular_pipeline` on the test parts of {results['tables']} real tables: ratios to "
        "scikit-learn's MLP with its defaults, of (metric + 0.01), in the geometric mean. The "
        "methods without a time were recorded beforehand on the same splits.",
        "",
        "| method | error | log loss | RMSE | time of the fits beside scikit-learn's |",
        "|---|---|---|---|---|",
    ]
    for method, found in results["ratios"].items():
        cells = [f"{found[m]:.3f}" if m in found else "–" for m in ("error", "logloss", "nrmse")]
        time = results["fit time"].get(f"{method} / scikit-learn")
        cells.append(f"{time['ratio']:.2f} ({time['tables']} tables)" if time else "–")
        everywhere = time is None or time["tables"] == results["tables"]
        if len(found) == 3 and everywhere:
            lines.append("| " + " | ".join([method, *cells]) + " |")
    for pair, time in results["fit time"].items():
        if pair.endswith("/ RealMLP_TD") and not pair.startswith("scikit"):
            lines += [
                "",
                f"Processor time of `{pair.partition(' ')[0]}` over RealMLP_TD's (pytabkit "
                f"{results['pytabkit']}, one thread) on {time['tables']} tables: {time['ratio']}.",
            ]
    return "\n".join([*lines, "", origin(results), ""])


CHOICES = {
    "tabular_choice": (
        "## What each part of the recipe brings",
        'The recipe "default" with one thing changed, on the training parts of {n} tables, each '
        "split once more: the ratio to the recipe, above 1 is worse, and its 95 % interval over "
        "bootstrap samples of the tables.",
    ),
    "tabular_choice_fast": ('### The recipe "fast"', "The same, on {n} tables."),
    "tabular_choice_full": (
        "### The fuller recipe before it",
        "It had dropout of 0.1, AdamW's weight decay, averaged weights and He's first weights "
        "besides. What did not pay on the training parts of {n} tables has left the recipe.",
    ),
    "tabular_choice_spoiled": (
        "### Numbers in a wrong unit",
        "Two in a thousand numbers, in training and afterwards, are a thousand times as large as "
        "they should be ({n} tables).",
    ),
}


def choice(name: str, results: dict) -> str:
    heading, told = CHOICES[name]
    lines = [heading, "", told.format(n=len(results["tables"])), ""]
    lines += ["| changed | error | log loss | RMSE | time |", "|---|---|---|---|---|"]
    for changed, found in results["ratios"].items():
        if changed == "recipe":
            continue
        cells = []
        for metric in METRICS:
            ratio, low, high = found[metric]["ratio"] if metric in found else (0, 0, 0)
            cells.append(f"{ratio:.3f} ({low:.3f} to {high:.3f})" if ratio else "–")
        lines.append("| " + " | ".join([changed, *cells]) + " |")
    parts = [f"In parts: `{part}`" for part in results.get("parts", ())]
    return "\n".join([*lines, "", origin(results), *parts, ""])


def growth(results: dict) -> str:
    lines = [
        "## How cost grows",
        "",
        "Seconds of two epochs in batches of 128, from 5,000 rows, 50 features and one hidden "
        "layer of 100 units, one of which is changed at a time.",
        "",
        f"![seconds by rows, features, width and depth]({PICTURE.name})",
    ]
    return "\n".join([*lines, "", origin(results), ""])


def tuned(results: dict) -> str:
    summary = results["summary"]
    lines = [
        "## A search over the ready space",
        "",
        f"{results['candidates']} random candidates of `search_space(model)`, compared by "
        f"{results['folds']} folds inside the training part by log loss or RMSE; the best, "
        "refitted, beside the default estimator on the test part. Ratios of (metric + 0.01), below "
        f"1 where the search has won: mean {summary['mean ratio']:.3f}, better on "
        f"{summary['better on']} of {summary['tables']} tables. The last column is the error, "
        "which the search did not look at.",
        "",
        "| table | default | tuned | ratio | ratio of errors |",
        "|---|---|---|---|---|",
    ]
    for name, found in results["tables"].items():
        metric, row = next(iter(found.items()))
        error = f"{found['error']['ratio']:.2f}" if "error" in found else "–"
        lines.append(
            f"| {name} ({METRICS[metric]}) | {row['default']:.3f} | {row['tuned']:.3f} | "
            f"{row['ratio']:.3f} | {error} |"
        )
    return "\n".join([*lines, "", origin(results), ""])


def search(results: dict) -> str:
    at = results["regret at candidates: mean, standard error, runs"]
    in_time = results["regret at the seconds of so many random candidates"]
    ahead = results["share of runs ahead of random at 32"]
    budgets = list(at["random"])
    lines = [
        "## Search strategies at equal budgets",
        "",
        f"{len(results['tables'])} small tables, {results['seeds']} seeds each, "
        f"{results['candidates']} candidates of three folds and {results['epochs']} epochs. Regret "
        "is the distance of the best score so far from the best that any search found on the "
        "table, in standard deviations of the scores of random candidates; mean and standard "
        "error. Halving counts only candidates trained in full, so it is compared by seconds, "
        "where it has few results before the end (in brackets: of how many runs). Ahead: the "
        "share of runs that are ahead of random search with the same seed.",
        "",
        "| | " + " | ".join(f"after {b} candidates" for b in budgets) + " | ahead at 32 |",
        "|---" * (2 + len(budgets)) + "|",
    ]

    def cell(mean, error, runs):
        if not runs:
            return "–"
        few = "" if runs == 5 * len(results["tables"]) else f" ({runs})"
        return f"{mean:.2f} ± {error:.2f}{few}"

    for name, row in at.items():
        if name != "halving":
            share = "" if name == "random" else f"{100 * ahead[name]:.0f} %"
            lines.append(f"| {name} | {' | '.join(cell(*row[b]) for b in budgets)} | {share} |")
    lines += [
        "",
        "| | " + " | ".join(f"in the time of {b} random candidates" for b in budgets) + " |",
        "|---" * (1 + len(budgets)) + "|",
    ]
    for name, row in in_time.items():
        lines.append(f"| {name} | {' | '.join(cell(*row[b]) for b in budgets)} |")
    lines += [
        "",
        f"![regret by candidates and by seconds]({SEARCHES.name})",
        "",
        "What this says about the claims of the literature is told in "
        "[](hyperparameter_search.md).",
    ]
    return "\n".join([*lines, "", origin(results), ""])


def draw_searches(results: dict) -> None:
    """Draw the mean regret of the strategies, with a band of a standard error on either side.

    1 is the mean of a single random candidate, 0 the best that any search found.
    """
    import matplotlib.pyplot as plt

    runs = {tuple(k.split("/")): np.array(v, float) for k, v in results["elapsed and best"].items()}
    places = {"candidates": np.arange(1, results["candidates"] + 1), "time": np.linspace(0.02, 1)}
    curves: dict = {name: {} for name in places}
    for table in results["tables"]:
        mine = {key: run for key, run in runs.items() if key[0] == table}
        top = max(np.nanmax(run[:, 1]) for run in mine.values())
        random = [run for key, run in mine.items() if key[1] == "random"]
        unit = top - np.mean([run[0, 1] for run in random])
        total = np.median([run[-1, 0] for run in random])
        for (_, strategy, _), run in mine.items():
            regret = np.append(np.nan, (top - run[:, 1]) / unit)
            if strategy != "halving":
                found = regret[np.minimum(places["candidates"], len(run))]
                curves["candidates"].setdefault(strategy, []).append(found)
            found = regret[np.searchsorted(run[:, 0], places["time"] * total, side="right")]
            curves["time"].setdefault(strategy, []).append(found)
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True, layout="constrained")
    styles = {
        "grid": ("#999999", "-"),
        "random": ("#0072B2", "--"),
        "bayes": ("#D55E00", "-."),
        "optuna": ("#009E73", ":"),
        "halving": ("#CC79A7", "-"),
    }
    for axis, (what, found) in zip(axes, curves.items(), strict=True):
        for strategy, rows in found.items():
            color, dash = styles[strategy]
            rows = np.array(rows)
            there = np.isfinite(rows).mean(axis=0) > 0.9
            middle = np.nanmean(rows[:, there], axis=0)
            error = np.nanstd(rows[:, there], axis=0) / np.sqrt(len(rows))
            axis.plot(places[what][there], middle, color=color, ls=dash, label=strategy)
            axis.fill_between(
                places[what][there], middle - error, middle + error, color=color, alpha=0.15, lw=0
            )
        axis.set(yscale="log", xlabel=what)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("mean regret (1: one random candidate)")
    axes[1].set_xlabel(f"time (1: that of {results['candidates']} random candidates)")
    axes[1].legend(fontsize="small")
    temporary = SEARCHES.with_suffix(".part.png")
    figure.savefig(temporary, dpi=110)
    os.replace(temporary, SEARCHES)


def draw_growth(results: dict) -> None:
    """Draw the picture of the page."""
    import matplotlib.pyplot as plt

    colors = {"sknn_adam": "#0072B2", "sknn_adam, NumPy": "#009E73", "scikit-learn": "#D55E00"}
    marks = dict(zip(colors, "os^", strict=True))
    quantities = list(dict.fromkeys(row["what"] for row in results["rows"]))
    figure, axes = plt.subplots(1, len(quantities), figsize=(12, 3.6), layout="constrained")
    for axis, what in zip(axes, quantities, strict=True):
        rows = [row for row in results["rows"] if row["what"] == what]
        for side, color in colors.items():
            low, middle, high = np.transpose([row["seconds"][side] for row in rows])
            values = [row["value"] for row in rows]
            axis.loglog(values, middle, marks[side] + "-", color=color, ms=4, label=side)
            axis.fill_between(values, low, high, color=color, alpha=0.2, lw=0)
        axis.set(xlabel=what)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("seconds of a fit")
    axes[0].legend(fontsize="small")
    temporary = PICTURE.with_suffix(".part.png")
    figure.savefig(temporary, dpi=110)
    os.replace(temporary, PICTURE)


def diagnose(results: dict) -> str:
    totals = results["totals"]
    lines = [
        "## What the diagnosis finds",
        "",
        f"{totals['broken']} networks broken on purpose, {totals['healthy']} healthy ones, on "
        "tables and seeds that no threshold was set on. Found: the kind is among the findings. "
        "False alarms: shares of the healthy ones. Repaired: after a fit with the parameters of "
        "all findings the kind is gone, and the score on held-out rows is within a tenth of a "
        "healthy network's.",
        "",
        "| kind | broken | found | false alarms | named beside other faults | repaired |",
        "|---|---|---|---|---|---|",
    ]
    for kind, row in results["kinds"].items():
        names = "recall", "false_alarms", "named_beside_others", "repaired"
        shares = " | ".join(f"{100 * row[name]:.1f} %" for name in names)
        lines.append(f"| `{kind}` | {row['broken']} | {shares} |")
    share = {name: f"{100 * value:.1f} %" for name, value in totals.items()}
    if totals.get("healthy_on_few_samples"):
        lines += [
            "",
            f"{totals['healthy_on_few_samples']} of the healthy networks were trained on 25 to 120 "
            f"samples; {share['few_with_any_finding']} of these have a finding of any kind.",
        ]
    lines += [
        "",
        f"Together: {share['recall']} found, {share['repaired']} repaired; "
        f"{share['healthy_with_any_finding']} of the healthy networks have a finding of any kind. "
        f"A diagnosis without rows takes {1000 * totals['seconds_median']:.1f} milliseconds, at "
        f"most {1000 * totals['seconds_largest']:.1f}.",
    ]
    return "\n".join([*lines, "", origin(results), ""])


SECTIONS = {
    "fit": fit,
    "threads": threads,
    "parity": parity,
    "grid": grid,
    "predict": predict,
    "startup": startup,
    "memory": memory,
    "step": step,
    "growth": growth,
    "record": record,
    "members": members,
    "diagnose_report": diagnose,
    "tables": tables,
    "defaults": defaults,
    "small": small,
    "tabular": tabular,
    **{name: partial(choice, name) for name in CHOICES},
    "tuned": tuned,
    "search": search,
}


def text() -> str:
    """Return the page."""
    parts = [HEAD]
    for name, section in SECTIONS.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            parts.append(section(json.loads(path.read_text())))
    return "\n".join(parts)


def run(args):
    for name, draw in (("growth", draw_growth), ("search", draw_searches)):
        if (RESULTS / f"{name}.json").exists():
            draw(json.loads((RESULTS / f"{name}.json").read_text()))
    temporary = PAGE.with_suffix(".part")
    temporary.write_text(text())
    os.replace(temporary, PAGE)
    print(PAGE)
