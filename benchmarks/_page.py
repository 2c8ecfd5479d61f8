"""Formatting of the benchmark page: tables, intervals and the origin of a record."""

import os
from pathlib import Path

# Column titles of the metrics of real tables.
TITLES = {"error": "error", "logloss": "log loss", "nrmse": "RMSE", "seconds": "time"}
DOCS = Path(__file__).resolve().parents[1] / "docs"


def markdown_table(header, rows) -> str:
    """Return a Markdown table with the column titles `header` and one list of cells per row."""
    lines = [list(header), ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in lines)


def interval(middle: float, low: float, high: float, digits: int = 2) -> str:
    """Return ``middle (low to high)``."""
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def paired_cell(summary: dict, digits: int = 2) -> str:
    """Return the ratio of a summary from ``_report.paired`` and its interval."""
    return interval(summary["ratio"], *summary["interval"], digits)


def percent(fraction: float) -> str:
    """Return a fraction as a percentage with one decimal."""
    return f"{100 * fraction:.1f} %"


def machine(record: dict) -> str:
    """Describe the cores and the processor of a record."""
    hardware = record["machine"]
    vectors = f" ({hardware['vectors']})" if "vectors" in hardware else ""
    cores = "1 core" if hardware["cores"] == 1 else f"{hardware['cores']} cores"
    return f"{cores} of {hardware['processor']}{vectors}"


def origin(record: dict) -> str:
    """Describe the command, date, commit, seeds, machine and versions of a record."""
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    seeds = f"{record['seeds']} seeds, " if "seeds" in record else ""
    seeds = f"seed {record['seed']}, " if "seed" in record else seeds
    commit = f"commit {record['commit']}, " if "commit" in record else ""
    return f"`{record['command']}`, {record['date']}, {commit}{seeds}{machine(record)}; {versions}."


def save_figure(figure, name: str) -> None:
    """Save a figure as ``docs/<name>``. It is written to a temporary file and then renamed."""
    path = DOCS / name
    temporary = path.with_suffix(".part.png")
    figure.savefig(temporary, dpi=110)
    os.replace(temporary, path)
