"""Write ``docs/benchmarks.md`` from the results files."""

import json
import os
from pathlib import Path

import numpy as np

from benchmarks._report import RESULTS

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
PICTURE = PAGE.with_name("benchmarks_growth.png")

HEAD = """# Benchmarks

This page is made from the results files in `benchmarks/results` by `python -m benchmarks page`.
"""


def add_arguments(parser):
    parser.set_defaults()


def origin(results: dict) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    machine = results["machine"]
    return (
        f"`{results['command']}`, {results['date']}, seed {results['seed']}, "
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
    "diagnose_report": diagnose,
    "tables": tables,
    "defaults": defaults,
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
    if (RESULTS / "growth.json").exists():
        draw_growth(json.loads((RESULTS / "growth.json").read_text()))
    temporary = PAGE.with_suffix(".part")
    temporary.write_text(text())
    os.replace(temporary, PAGE)
    print(PAGE)
