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
    lines = [
        "## Whole fits beside scikit-learn's MLP",
        "",
        "Both as users call them: float64 in, default threads, Adam 0.001, same architecture, "
        "batch size, epochs and penalty. Microseconds per optimizer step are medians of whole "
        "fits, with validation and set-up, in alternating repetitions; speed is the median ratio "
        "of the pairs. Formulas run by plain NumPy.",
        "",
        "| table | hidden | batch | sknn_adam µs | scikit-learn µs | speed | final loss |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        ours, theirs = row["sknn_adam"], row["scikit-learn"]
        lines.append(
            f"| {row['size']} | {tuple(row['hidden'])} | {row['batch']} "
            f"| {ours['microseconds_per_step'][1]:.0f} "
            f"| {theirs['microseconds_per_step'][1]:.0f} | {row['speed']:.2f} "
            f"| {ours['final_loss']:.4f}, theirs {theirs['final_loss']:.4f} |"
        )
    lines += ["", f"Geometric mean: {results['geometric_mean']:.2f} times the speed.", ""]
    return "\n".join([*lines, origin(results), ""])


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
    for name, section in {"fit": fit, "record": record}.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            parts.append(section(json.loads(path.read_text())))
    return "\n".join(parts)


def run(args):
    temporary = PAGE.with_suffix(".part")
    temporary.write_text(text())
    os.replace(temporary, PAGE)
    print(PAGE)
