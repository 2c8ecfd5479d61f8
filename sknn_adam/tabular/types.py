"""The type of each column of a raw table, and the conversion of its values."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

import numpy as np

from sknn_adam._component.registry import did_you_mean
from sknn_adam._utils.warnings import warn
from sknn_adam.tabular.columns import NUMBERS, column_type, columns_of, in_utc, values_of
from sknn_adam.tabular.parsing import PARSERS, is_missing, looks_like_codes

__all__ = ["ColumnType", "converted", "learn_types", "with_columns"]

TYPES = ("number", "date", "boolean", "category", "text", "identifier")
OF_DTYPES = {"numbers": "number", "dates": "date", "categories": "category", "sparse": "sparse"}
STEPS = {"number": "numbers", "date": "dates", "text": "text", "sparse": "sparse"}
STYLES = {",": " with decimal commas", "month first": ", month first"}
STYLES |= {"day first": ", day first"}
# The beginnings of the names of categorical types in pandas, polars and Arrow.
CATEGORICAL = ("category", "Categorical", "Enum", "dictionary")
# A column is parsed if this share of its values can be parsed in the same way.
PARSED = 0.95
# A type is excluded if no text of a sample of this size can be parsed.
SAMPLE = 200
# Free text: the share of distinct values, and the mean number of words.
DISTINCT_TEXTS, WORDS = 0.2, 2.5
# Identifiers: the share of distinct values, and the number of values.
DISTINCT, MANY_VALUES = 0.95, 100


@dataclass(frozen=True)
class ColumnType:
    """The type of a column, with the reason.

    Parameters
    ----------
    type : {"number", "date", "boolean", "category", "text", "identifier", "sparse"}
        The type.
    reason : str
        The reason for this type.
    style : str, optional
        How text is parsed: the decimal separator of numbers, ``"day first"`` or ``"month first"``
        for dates, the word for True for booleans.
    levels : {"few", "many"}, optional
        Whether a category or boolean has few levels.
    """

    type: str
    reason: str
    style: str = ""
    levels: str = ""

    def __str__(self) -> str:
        return f"{self.type} ({self.reason})"

    @property
    def step(self) -> str:
        """The step of the ColumnTransformer that encodes the column, or an empty string."""
        return self.levels or STEPS.get(self.type, "")


def learn_types(X: Any, given: Mapping | None, most_levels: int) -> list[ColumnType]:
    """Return the type of each column.

    Parameters
    ----------
    X : array-like, sparse matrix or dataframe of shape (n_samples, n_features)
        The table.
    given : dict of str or int to str, or None
        Types chosen by the user. The keys are names, or positions if X is an array.
    most_levels : int
        The largest number of few levels.
    """
    if not isinstance(given, Mapping | None):
        raise TypeError(
            f"column_types must be a dict of column names, or positions in an array, to types, for "
            f"example {{0: 'category'}}. Got {given!r}."
        )
    columns, given = columns_of(X), dict(given or {})
    _check_given(given, [name for name, _ in columns])
    types = [_type_of(column, name, given.get(name), most_levels) for name, column in columns]
    named = zip(columns, types, strict=True)
    left_out = [
        name for (name, _), t in named if t.type == "identifier" and given.get(name) is None
    ]
    if left_out:
        warn(
            f"The columns {left_out!r} are left out, because they seem to be identifiers: at least "
            f"{DISTINCT:.0%} of their values are distinct. To use a column, choose its type, for "
            f"example by column_types={{{left_out[0]!r}: 'category'}}.",
            key="identifiers",
        )
    return types


def _check_given(given: Mapping, names: list) -> None:
    unknown = [name for name in given if name not in names]
    if unknown:
        raise ValueError(
            f"column_types names the columns {unknown!r}, which X does not have. The columns of X "
            f"are {names!r}."
        )
    for name, chosen in given.items():
        if chosen not in TYPES:
            raise ValueError(
                f"column_types[{name!r}] must be one of {', '.join(map(repr, TYPES))}."
                f"{did_you_mean(str(chosen), TYPES)} Got {chosen!r}."
            )


def _type_of(column: Any, name: Any, given: str | None, most_levels: int) -> ColumnType:
    """Return the type of a column."""
    by_dtype = OF_DTYPES[column_type(column, name)]
    if by_dtype == "sparse" and given not in (None, "number"):
        raise ValueError(
            f"Column {name!r} is sparse, and sparse columns can only be numbers. Convert it to a "
            f"dense column, or remove it from column_types. Got {given!r}."
        )
    reason = f"dtype {column.dtype}" if given is None else "chosen by column_types"
    if by_dtype == "sparse" or (by_dtype != "category" and given is None):
        return ColumnType(by_dtype, reason)
    values = Counter(values_of(column))
    n_missing = values.pop(None, 0)
    texts = Counter({v: n for v, n in values.items() if isinstance(v, str) and not is_missing(v)})
    if given is not None:
        style = _style(given, texts)[0] if given in PARSERS else ""
        found = ColumnType(given, reason, style)
    # Without text, or if the dtype says so, the column holds categories or booleans.
    elif not texts or f"{column.dtype},".startswith(CATEGORICAL):
        booleans = bool(values) and all(isinstance(value, bool | np.bool_) for value in values)
        found = ColumnType("boolean" if booleans else "category", reason)
    else:
        found = _type_of_texts(texts, values, most_levels)
    if found.type in ("category", "boolean"):
        few = len(values) + (n_missing > 0) <= most_levels
        found = replace(found, levels="few" if few else "many")
    return found


def _type_of_texts(texts: Counter, values: Counter, most_levels: int) -> ColumnType:
    """Return the type of a column that contains text."""
    n_numbers = sum(
        n for v, n in values.items() if isinstance(v, NUMBERS) and not isinstance(v, bool)
    )
    n_booleans = sum(n for v, n in values.items() if isinstance(v, bool | np.bool_))
    others = {"number": n_numbers, "boolean": n_booleans, "date": 0}
    total = texts.total() + n_numbers + n_booleans
    codes = None
    for type_ in PARSERS:
        style, n_parsed, matters = _style(type_, texts)
        share = (n_parsed + others[type_]) / total
        if share >= PARSED:
            codes = looks_like_codes(list(texts)) if type_ == "number" else None
            if codes:
                break
            reason = f"{share:.4g} of the values" if share < 1 else "all values"
            how = STYLES.get(style, "") if matters else ""
            return ColumnType(type_, f"{reason} are {type_}s{how}", style)
    distinct, words = len(texts) / total, mean(len(text.split()) for text in texts)
    if len(texts) > most_levels and distinct >= DISTINCT_TEXTS and words >= WORDS:
        return ColumnType("text", f"{len(texts)} distinct values of {words:.1f} words on average")
    if total >= MANY_VALUES and distinct >= DISTINCT and words == 1:
        return ColumnType("identifier", f"{len(texts)} distinct values in {total} samples")
    return ColumnType("category", codes or f"text with {len(values)} levels")


def _style(type_: str, texts: Counter) -> tuple[str, int, bool]:
    """Return the style that parses most values, their number, and whether the style matters."""
    parse, styles = PARSERS[type_]
    sample = list(texts)[:: max(1, len(texts) // SAMPLE)]
    # Long columns of other text are not parsed completely.
    if all(parse(text, style) is None for style in styles for text in sample):
        return styles[0], 0, False
    found = {style: {text: parse(text, style) for text in texts} for style in styles}
    n_parsed = {
        style: sum(texts[text] for text, value in values.items() if value is not None)
        for style, values in found.items()
    }
    for style in styles if type_ == "boolean" else ():
        # A single word, such as "no", is not a boolean.
        if len(set(found[style].values()) - {None}) < 2:
            n_parsed[style] = 0
    best = max(styles, key=n_parsed.__getitem__)
    return best, n_parsed[best], any(values != found[best] for values in found.values())


def converted(X: Any, names: Sequence, types: Sequence[ColumnType]) -> Any:
    """Return a table with the values that the types of its columns require.

    Values that cannot be converted become missing values, with a warning for each column.

    Parameters
    ----------
    X : array-like, sparse matrix or dataframe
        The table, which may have other columns in between and another order if it is a dataframe.
    names : sequence
        The names of the columns in ``fit``; their positions if one of the tables is an array.
    types : sequence of ColumnType
        The types of these columns.
    """
    known = dict(zip(names, types, strict=True))
    by_position = isinstance(names, range)
    changed = {}
    for position, (name, column) in enumerate(columns_of(X)):
        type_ = known.get(position if by_position else name)
        if type_ is None or type_.type == "identifier":
            continue
        # An error for columns of any other type, also if they contained categories in ``fit``.
        by_dtype = column_type(column, name)
        kept = by_dtype == "sparse" or OF_DTYPES[by_dtype] == type_.type
        if kept or type_.type not in PARSERS:
            continue
        values = values_of(column)
        if type_.type != "boolean" or any(v not in (None, 0, 1) for v in values):
            changed[position] = _parsed_column(values, name, type_)
    return with_columns(X, changed)


def _parsed_column(values: list, name: Any, type_: ColumnType) -> np.ndarray:
    """Return the values of a column in the dtype of its type."""
    parse = PARSERS[type_.type][0]
    table = {}
    for value in set(values):
        if isinstance(value, str):
            table[value] = parse(value, type_.style or PARSERS[type_.type][1][0])
        elif type_.type == "date":
            table[value] = in_utc(value) if hasattr(value, "year") else None
        elif type_.type == "boolean":
            table[value] = value if value in (0, 1) else None
        else:
            table[value] = value if isinstance(value, (*NUMBERS, np.bool_)) else None
    failed = [
        value
        for value in values
        if table[value] is None
        and value is not None
        and not (isinstance(value, str) and is_missing(value))
    ]
    if failed:
        examples = ", ".join(repr(value) for value in list(dict.fromkeys(failed))[:3])
        article = {"number": "a number", "date": "a date", "boolean": "a boolean"}[type_.type]
        warn(
            f"Column {name!r}: {len(failed)} of {len(values)} values "
            f"({len(failed) / len(values):.2g}) cannot be read as {article} and are treated as "
            f"missing, for example {examples}. If this is not intended, correct the values, or "
            f"choose another type by column_types={{{name!r}: 'category'}}.",
            key=f"unparsed {name!r}",
        )
    found = [table[value] for value in values]
    dtype: Any = {"number": np.float64, "date": "datetime64[us]", "boolean": object}[type_.type]
    out = np.empty(len(found), dtype)
    out[:] = [np.nan if v is None and type_.type == "number" else v for v in found]
    return out


def with_columns(X: Any, changed: Mapping[int, Any]) -> Any:
    """Return a table with other columns at some positions; X is not modified."""
    if not changed:
        return X
    if hasattr(X, "iloc"):
        out = X.copy(deep=False)
        for position, column in changed.items():
            out.isetitem(position, column)
        return out
    if hasattr(X, "columns"):
        polars = sys.modules[type(X).__module__.partition(".")[0]]
        names = list(X.columns)
        # polars would not recognize booleans with gaps in an array of objects.
        columns = {names[i]: c.tolist() if c.dtype == object else c for i, c in changed.items()}
        return X.with_columns([polars.Series(name, c) for name, c in columns.items()])
    out = np.array(X, dtype=object)
    for position, column in changed.items():
        out[:, position] = column.astype(object)
    return out
