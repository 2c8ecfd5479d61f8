"""Write ``docs/benchmarks.md`` from the results files."""

import json
import os
from pathlib import Path

from benchmarks._report import RESULTS

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"

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
        f"## Whole fits beside other packages, on {results['threads']} processor"
        + "s" * (results["threads"] > 1),
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


def text() -> str:
    """Return the page."""
    parts = [HEAD]
    for name, section in {"fit": fit, "fit_2_threads": fit, "record": record}.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            parts.append(section(json.loads(path.read_text())))
    return "\n".join(parts)


def run(args):
    temporary = PAGE.with_suffix(".part")
    temporary.write_text(text())
    os.replace(temporary, PAGE)
    print(PAGE)
