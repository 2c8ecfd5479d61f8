"""Seeded tables as they occur in CSV files, each with a version that was cleaned by hand.

``table(seed)`` draws columns of all types, with missing values, markers such as "n/a" among
numbers, decimal commas, dates in many formats and identifiers. The target depends on a random
subset of the columns through nonlinear functions, with noise. The table as ``read_csv`` returns it
and the cleaned table describe the same samples.
"""

from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np

try:
    import pandas as pd
# Records are shown without pandas, too.
except ImportError:
    pd = None

# Not among the strings that read_csv reads as missing, except the last.
MARKERS = ("-", "?", " ", "--", "unknown", "missing", "not available", "n/a")
SYLLABLES = [consonant + vowel for consonant in "bdfklmnrstv" for vowel in "aeo"]


@dataclass
class DirtyColumn:
    """One column: cells as in the file, values cleaned by hand, and the effect on the target.

    `clean` is None if a careful person would drop the column. `effect` is None if the column has
    no information.
    """

    cells: list
    clean: Any
    effect: Any = None


@dataclass
class DirtyTable:
    """A table as ``read_csv`` returns it and as cleaned by hand, with its target and task."""

    raw: Any
    cleaned: Any
    y: Any
    task: str
    informative: list


# -- effects -------------------------------------------------------------------------------------


def standardized(values):
    return (values - np.mean(values)) / (np.std(values) + 1e-12)


def curve(rng, values):
    """Return a random nonlinear function of numbers."""
    z = standardized(values)
    steps = np.digitize(z, [-0.5, 0.5])
    return [z, np.abs(z), np.sin(2 * z), np.tanh(2 * z), steps * 1.0][rng.integers(5)]


def of_levels(rng, codes):
    """Return a random effect of each level."""
    return rng.normal(size=codes.max() + 1)[codes]


# -- numbers -------------------------------------------------------------------------------------


def swapped(text):
    """Exchange decimal points and commas."""
    return text.translate(str.maketrans(",.", ".,"))


# Each format, and the number of decimals it keeps.
NUMBERS = {
    "number": ("{:.4f}".format, 4),
    "whole number": ("{:.0f}".format, 0),
    "decimal comma": (lambda value: swapped(f"{value:.2f}"), 2),
    "thousands": ("{:,.2f}".format, 2),
    "whole thousands": ("{:,.0f}".format, 0),
    "European thousands": (lambda value: swapped(f"{value:,.2f}"), 2),
    "percent": ("{:.1f}%".format, 1),
    "percent with space": (lambda value: swapped(f"{value:.1f} %"), 1),
    "dollars": ("${:,.2f}".format, 2),
    "euros": (lambda value: swapped(f"{value:,.2f}") + " €", 2),
}


def numbers(name):
    to_text, decimals = NUMBERS[name]

    def column(rng, n):
        if "percent" in name:
            values = 100 * rng.beta(2, 4, n)
        elif decimals == 4:
            values = rng.normal(size=n) if rng.random() < 0.5 else rng.uniform(-5, 5, n)
        elif name == "decimal comma":
            values = rng.normal(20, 8, n)
        else:
            values = rng.lognormal(8, 1.2, n)
        values = np.round(values, decimals)
        skewed = values.min() > 0 and values.max() > 200
        effect = curve(rng, np.log(values) if skewed else values)
        return DirtyColumn([to_text(value) for value in values], values.astype(float), effect)

    return column


# -- dates, booleans -----------------------------------------------------------------------------

# Each format, and the unit that it keeps.
DATES = {
    "ISO date": ("%Y-%m-%d", "D"),
    "dd.mm.yyyy": ("%d.%m.%Y", "D"),
    "mm/dd/yyyy": ("%m/%d/%Y", "D"),
    "month name": ("%d %B %Y", "D"),
    "short month name": ("%b %d, %Y", "D"),
    "ISO with time": ("%Y-%m-%d %H:%M:%S", "s"),
    "dd.mm.yyyy with time": ("%d.%m.%Y %H:%M", "m"),
    "mixed offsets": ("%Y-%m-%dT%H:%M:%S", "s"),
}
OFFSETS = (-5, 0, 1, 2)  # hours


def dates(name):
    form, unit = DATES[name]

    def column(rng, n):
        start = np.datetime64("2012-01-01", "s") + np.timedelta64(int(rng.integers(1500)), "D")
        seconds = rng.uniform(0, rng.integers(400, 3000) * 86_400, n).astype("int64")
        moments = (start + seconds.astype("timedelta64[s]")).astype(f"datetime64[{unit}]")
        days = moments.astype("datetime64[s]").astype("int64") / 86_400
        cycles = [
            curve(rng, days),
            np.sin(2 * np.pi * days / 365.2425),
            of_levels(rng, np.floor(days % 7).astype(int)),
        ]
        # Dates without a time have no hour.
        if unit != "D":
            cycles.append(np.cos(2 * np.pi * days))
        effect = standardized(cycles[rng.integers(len(cycles))])
        moments = moments.astype("datetime64[s]")
        if name == "mixed offsets":
            hours = rng.choice(OFFSETS, n)
            local = pd.Series(moments + hours.astype("timedelta64[h]")).dt.strftime(form)
            cells = [f"{text}{hour:+03d}:00" for text, hour in zip(local, hours, strict=True)]
        else:
            cells = pd.Series(moments).dt.strftime(form).tolist()
        return DirtyColumn(cells, moments, effect)

    return column


def booleans(true, false):
    def column(rng, n):
        values = rng.random(n) < rng.uniform(0.15, 0.85)
        cells = np.where(values, true, false).tolist()
        return DirtyColumn(cells, values, values * 1.0)

    return column


# -- categories and text -------------------------------------------------------------------------


def words(rng, n):
    """Return n different made-up words."""
    made: dict = {}
    while len(made) < n:
        made["".join(rng.choice(SYLLABLES, rng.integers(2, 5)))] = None
    return list(made)


def zipf(rng, n_levels, n, exponent):
    """Return n levels with frequencies from Zipf's law."""
    p = np.arange(1, n_levels + 1) ** -exponent
    return rng.choice(n_levels, n, p=p / p.sum())


def levels(low, high, exponent, names=words):
    def column(rng, n):
        n_levels = int(rng.integers(low, high + 1))
        labels, codes = names(rng, n_levels), zipf(rng, n_levels, n, exponent)
        cells = [labels[code] for code in codes]
        return DirtyColumn(cells, np.array(cells, dtype=object), of_levels(rng, codes))

    return column


def zip_codes(rng, n):
    return [f"{code:05d}" for code in rng.choice(100_000, n, replace=False) // 3]


def product_codes(rng, n):
    # "12E4" is also a number in scientific notation.
    numbers = rng.choice(900, n, replace=False)
    return [f"{10 + number // 10}{'ABEFX'[i % 5]}{number % 10}" for i, number in enumerate(numbers)]


def version_numbers(rng, n):
    return [f"{i // 5 + 1}.{i % 5}.{rng.integers(10)}" for i in range(n)]


# The first has leading zeros.
IDENTIFIERS = ("{:016x}", "ID-{:07d}", "{:x}@example.com")


def identifiers(rng, n):
    values = rng.permutation(n).tolist()
    form = IDENTIFIERS[values[0] % 3]
    # Multiplying by a prime hides the order.
    return DirtyColumn([form.format(value * 7_919 + 2**52) for value in values], None)


def row_numbers(rng, n):
    return DirtyColumn([f"{value}" for value in rng.permutation(n) + 10_000], None)


def free_text(rng, n):
    vocabulary = words(rng, 150)
    effects = np.zeros(len(vocabulary))
    # Words of medium frequency: in about a fifth to a half of the texts.
    effects[rng.choice(np.arange(2, 10), 3, replace=False)] = rng.choice([-1.0, 1.0], 3)
    cells, effect = [], np.zeros(n)
    for i in range(n):
        codes = zipf(rng, len(vocabulary), rng.integers(5, 15), 0.8)
        cells.append(" ".join(vocabulary[code] for code in codes))
        effect[i] = effects[np.unique(codes)].sum()
    return DirtyColumn(cells, np.array(cells, dtype=object), effect)


def constant(rng, n):
    cells = [words(rng, 1)[0]] * n
    return DirtyColumn(cells, np.array(cells, dtype=object))


def empty(rng, n):
    return DirtyColumn([""] * n, np.full(n, np.nan))


# Column type of the pipeline that fits the kind, the relative frequency, and the generator.
KINDS = {
    **{name: ("number", 4.0 if name == "number" else 1.0, numbers(name)) for name in NUMBERS},
    **{name: ("date", 0.7, dates(name)) for name in DATES},
    "yes/no": ("boolean", 0.7, booleans("yes", "no")),
    "Y/N": ("boolean", 0.7, booleans("Y", "N")),
    "True/False": ("boolean", 0.7, booleans("True", "False")),
    "few levels": ("category", 2.5, levels(3, 12, 0.5)),
    "many levels": ("category", 2.0, levels(50, 300, 1.0)),
    "zip code": ("category", 0.7, levels(20, 80, 0.7, zip_codes)),
    "product code": ("category", 0.5, levels(20, 60, 0.7, product_codes)),
    "version number": ("category", 0.5, levels(5, 15, 0.5, version_numbers)),
    "identifier": ("identifier", 0.8, identifiers),
    "row number": ("identifier", 0.4, row_numbers),
    "free text": ("text", 1.5, free_text),
    "constant": ("category", 0.3, constant),
    "empty": ("number", 0.3, empty),
}


# -- tables --------------------------------------------------------------------------------------


def spoil(rng, kind, column):
    """Remove cells at random, and write markers for missing values into numbers."""
    n, type_ = len(column.cells), KINDS[kind][0]
    if column.clean is None or kind in ("constant", "empty"):
        return column
    missing = rng.random(n) < (rng.uniform(0.01, 0.1) if rng.random() < 0.4 else 0.0)
    marked = np.zeros(n, bool)
    if type_ == "number" and rng.random() < 0.5:
        marked = rng.random(n) < rng.uniform(0.005, 0.03)
    marker = MARKERS[rng.integers(len(MARKERS))]
    cells = np.array(column.cells, dtype=object)
    cells[missing], cells[marked] = "", marker
    lost = missing | marked
    clean = pd.Series(column.clean)
    if lost.any():
        # A column of NumPy booleans cannot hold missing values.
        clean = (clean.astype("boolean") if type_ == "boolean" else clean).mask(lost)
    return DirtyColumn(cells.tolist(), clean, column.effect)


def score(rng, effects):
    """Return a random nonlinear function of the effects, with standard deviation 1."""
    f = rng.uniform(0.5, 1.5, len(effects)) @ np.array(effects)
    if len(effects) > 1:
        one, other = rng.choice(len(effects), 2, replace=False)
        f = f + rng.uniform(0, 1) * np.tanh(effects[one]) * np.tanh(effects[other])
    return standardized(f)


def target(rng, task, effects):
    n, noise = len(effects[0]), rng.uniform(0.1, 0.5)
    if task == "regression":
        return rng.uniform(1, 1000) * (score(rng, effects) + noise * rng.normal(size=n))
    n_classes = 2 if task == "binary" else int(rng.integers(3, 6))
    scores = [score(rng, effects) + noise * rng.normal(size=n) for _ in range(n_classes)]
    if task == "binary":
        above = scores[0] > np.quantile(scores[0], rng.uniform(0.3, 0.7))
        return np.where(above, "good", "bad")
    return np.array(["red", "green", "blue", "black", "white"])[np.argmax(scores, axis=0)]


def read_back(cells):
    """Write columns of cells to CSV and return what ``read_csv`` makes of it."""
    return pd.read_csv(StringIO(pd.DataFrame(cells).to_csv(index=False)))


def table(seed: int) -> DirtyTable:
    """Return the table of a seed. Every third seed has the same task."""
    rng = np.random.default_rng(seed)
    n = int(np.exp(rng.uniform(np.log(300), np.log(2000))))
    names, p = list(KINDS), np.array([frequency for _, frequency, _ in KINDS.values()])
    columns: dict = {}
    # At least two columns have an effect.
    while sum(c.effect is not None for c in columns.values()) < 2 or len(columns) < 4:
        columns = {}
        for i, kind in enumerate(rng.choice(names, rng.integers(4, 15), p=p / p.sum())):
            columns[f"{i}: {kind}"] = KINDS[kind][2](rng, n)
    useful = [name for name, column in columns.items() if column.effect is not None]
    informative = rng.choice(useful, rng.integers(2, min(7, len(useful)) + 1), replace=False)
    task = ("regression", "binary", "multiclass")[seed % 3]
    y = target(rng, task, [standardized(columns[name].effect) for name in informative])
    columns = {name: spoil(rng, name.split(": ")[1], c) for name, c in columns.items()}
    cleaned = {name: c.clean for name, c in columns.items() if c.clean is not None}
    raw = read_back({name: column.cells for name, column in columns.items()})
    return DirtyTable(raw, pd.DataFrame(cleaned), y, task, sorted(map(str, informative)))
