"""Write ``docs/benchmarks.md`` from the latest record of each benchmark."""

import importlib
import os

from benchmarks._page import DOCS, machine, markdown_table, origin
from benchmarks._records import records

PAGE = DOCS / "benchmarks.md"
HEAD = """# Benchmarks

`python -m benchmarks page` generates this page from the records in `benchmarks/results`. Each run
of a benchmark adds a record. Each section shows the latest record and names the machine."""
COMMITS = "## Comparisons of two commits"

# The order of the page. A module renders the records listed in its SECTIONS, or those of its name.
MODULES = (
    *("fit", "threads", "parity", "grid", "predict", "startup", "memory", "step", "growth"),
    *("record", "members", "variants", "cores", "diagnose", "tables", "defaults", "small"),
    *("score", "portfolio", "limits", "million", "parquet", "per_row", "cluster"),
    *("raw_tables", "levels", "tuned", "search", "widths", "imbalance"),
    *("intervals", "threshold"),
    *("bits", "pairs", "candidates", "path"),
)


def add_arguments(parser):
    parser.set_defaults()


def sections():
    """Yield the module, record name, section function and records of each recorded benchmark."""
    for name in MODULES:
        module = importlib.import_module(f"benchmarks.{name}")
        for record_name, section in getattr(module, "SECTIONS", {name: module.section}).items():
            if entries := records(record_name):
                yield module, record_name, section, entries


def history(names=()) -> list[str]:
    """Return tables of the main figures, by default for benchmarks with several records."""
    blocks = []
    for module, name, _, entries in sections():
        wanted = name in names if names else len(entries) > 1
        figures = (
            [module.figures(record) for record in entries] if hasattr(module, "figures") else []
        )
        titles = list(dict.fromkeys(title for values in figures for title in values))
        if not wanted or not titles:
            continue
        rows = []
        for record, values in zip(entries, figures, strict=True):
            cells = [values.get(title, "–") for title in titles]
            rows.append([record["date"], record["commit"], machine(record), *cells])
        blocks += [f"### {name}", markdown_table(["date", "commit", "machine", *titles], rows)]
    return blocks


def text() -> str:
    """Return the Markdown text of the page."""
    blocks = [HEAD]
    for module, _, section, entries in sections():
        if module.__name__ == "benchmarks.bits":
            blocks.append(COMMITS)
        blocks += [*section(entries[-1]), origin(entries[-1])]
    blocks += [
        "## History",
        "These tables show the main figures from all records of each benchmark that has more than "
        "one. Only ratios of measurements from the same run can be compared between machines.",
        *history(),
    ]
    return "\n\n".join(blocks) + "\n"


def run(args):
    for module, name, _, entries in sections():
        if hasattr(module, "draw_figure") and module.__name__ == f"benchmarks.{name}":
            module.draw_figure(entries[-1])
    temporary = PAGE.with_suffix(".part")
    temporary.write_text(text(), encoding="utf-8")
    os.replace(temporary, PAGE)
    print(PAGE)
