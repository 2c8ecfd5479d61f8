"""Write ``docs/benchmarks.md`` from the newest record of each benchmark."""

import importlib
import os

from benchmarks._page import DOCS, machine, markdown_table, origin
from benchmarks._records import records

PAGE = DOCS / "benchmarks.md"
HEAD = """# Benchmarks

`python -m benchmarks page` writes this page from the records in `benchmarks/results`. Every run
adds a record; each section shows the newest one and names its machine."""
COMMITS = "## Comparisons of two commits"

# The order of the page. A module renders the records that its SECTIONS name, by default its own.
MODULES = (
    *("fit", "threads", "parity", "grid", "predict", "startup", "memory", "step", "growth"),
    *("record", "members", "diagnose", "tables", "defaults", "small", "tabular", "tuned"),
    *("search", "bits", "pairs", "path"),
)


def add_arguments(parser):
    parser.set_defaults()


def sections():
    """Yield the module, the section function and the records of each benchmark with records."""
    for name in MODULES:
        module = importlib.import_module(f"benchmarks.{name}")
        for record_name, section in getattr(module, "SECTIONS", {name: module.section}).items():
            if found := records(record_name):
                yield module, record_name, section, found


def history(names=()) -> list[str]:
    """Return a table of the main figures of all records for each benchmark, or for those named."""
    blocks = []
    for module, name, _, found in sections():
        wanted = name in names if names else len(found) > 1
        figures = [module.figures(record) for record in found] if hasattr(module, "figures") else []
        titles = list(dict.fromkeys(title for values in figures for title in values))
        if not wanted or not titles:
            continue
        rows = []
        for record, values in zip(found, figures, strict=True):
            cells = [values.get(title, "–") for title in titles]
            rows.append([record["date"], record["commit"], machine(record), *cells])
        blocks += [f"### {name}", markdown_table(["date", "commit", "machine", *titles], rows)]
    return blocks


def text() -> str:
    """Return the page."""
    blocks = [HEAD]
    for module, _, section, found in sections():
        if module.__name__ == "benchmarks.bits":
            blocks.append(COMMITS)
        blocks += [*section(found[-1]), origin(found[-1])]
    blocks += [
        "## History",
        "The main figures of all records, where a benchmark has more than one. Figures of "
        "different machines are comparable only where they are ratios measured in one run.",
        *history(),
    ]
    return "\n\n".join(blocks) + "\n"


def run(args):
    for module, _, _, found in sections():
        if hasattr(module, "draw_figure"):
            module.draw_figure(found[-1])
    temporary = PAGE.with_suffix(".part")
    temporary.write_text(text(), encoding="utf-8")
    os.replace(temporary, PAGE)
    print(PAGE)
