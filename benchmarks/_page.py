"""Pieces of the benchmark page: tables, intervals, and where a record comes from."""

import os
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"


def markdown_table(header, rows) -> str:
    """Return a Markdown table; `header` has the column titles, each of `rows` the cells."""
    lines = [list(header), ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in lines)


def interval(middle: float, low: float, high: float, digits: int = 2) -> str:
    """Return ``middle (low to high)``."""
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def percent(fraction: float) -> str:
    """Return a fraction as a percentage with one decimal."""
    return f"{100 * fraction:.1f} %"


def machine(record: dict) -> str:
    """Return the cores and the processor of a record."""
    found = record["machine"]
    vectors = f" ({found['vectors']})" if "vectors" in found else ""
    cores = "1 core" if found["cores"] == 1 else f"{found['cores']} cores"
    return f"{cores} of {found['processor']}{vectors}"


def origin(record: dict) -> str:
    """Return command, date, commit, seeds, machine and versions of a record."""
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    seeds = f"{record['seeds']} seeds, " if "seeds" in record else ""
    seeds = f"seed {record['seed']}, " if "seed" in record else seeds
    commit = f"commit {record['commit']}, " if "commit" in record else ""
    return f"`{record['command']}`, {record['date']}, {commit}{seeds}{machine(record)}; {versions}."


def save_figure(figure, name: str) -> None:
    """Write a figure to ``docs/<name>``: to a temporary file, which is then renamed."""
    path = DOCS / name
    temporary = path.with_suffix(".part.png")
    figure.savefig(temporary, dpi=110)
    os.replace(temporary, path)
