"""Parsers of numbers, dates and booleans that are written as text."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from math import isinf
from typing import Any

__all__ = ["PARSERS", "boolean_words", "is_missing", "looks_like_codes"]

# Written in lower case, without spaces around them.
MISSING_MARKERS = frozenset(
    ["", "-", "--", "---", "?", ".", "..", "na", "n/a", "n.a.", "#n/a", "#na", "<na>", "nan", "nat"]
    + ["null", "none", "nil", "missing", "(missing)", "unknown", "not available"]
)
BOOLEANS = [{"true": True, "false": False}, {"yes": True, "no": False}]
BOOLEANS += [{"y": True, "n": False}, {"t": True, "f": False}, {"on": True, "off": False}]
CURRENCY = "€$£¥"
# No thousands group begins with a zero: 0,123 has a decimal comma, 079 123 456 is a phone number.
GROUPS = r"(?!0)\d{{1,3}}(?P<separator>[{}'’ \u00a0\u2009\u202f])\d{{3}}(?:(?P=separator)\d{{3}})*"
NUMBER = (
    r"(?P<sign>[-+−]?)\s?[{currency}]?\s?(?P<whole>{groups}|\d*)(?:{point}(?P<fraction>\d*))?"
    r"(?P<exponent>[eE][-+]?\d+)?\s?(?P<percent>%)?[{currency}]?"
)
NUMBERS = {
    point: re.compile(
        NUMBER.format(currency=CURRENCY, groups=GROUPS.format(other), point=re.escape(point))
    )
    for point, other in (".,", ",.")
}
TIME = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s?(?P<half>[AaPp]\.?[Mm]\.?)?\s?(?P<zone>Z|UTC|GMT|[-+]\d{2}(?::?\d{2})?)?"
)
WEEKDAY = r"(?:[A-Za-z]{2,9},?\s)?"
DAYS = [
    r"(?P<year>\d{4})(?P<s>[-/.])(?P<month>\d{1,2})(?P=s)(?P<day>\d{1,2})",
    r"(?P<first>\d{1,2})(?P<s>[-/.])(?P<second_>\d{1,2})(?P=s)(?P<year>\d{4})",
    # Two digits are a year only if day and month have two digits, too.
    r"(?P<first>\d{2})(?P<s>[-/.])(?P<second_>\d{2})(?P=s)(?P<year>\d{2})",
    WEEKDAY + r"(?P<day>\d{1,2})[- .]\s?(?P<name>[A-Za-z]{3,9})[- .,]\s?(?P<year>\d{4})",
    WEEKDAY + r"(?P<name>[A-Za-z]{3,9})\.?\s(?P<day>\d{1,2}),?\s(?P<year>\d{4})",
]
DATES = [re.compile(rf"{day}(?:(?:T|,?\s+){TIME})?") for day in DAYS] + [re.compile(TIME)]
MONTHS = ["january", "february", "march", "april", "may", "june", "july"]
MONTHS += ["august", "september", "october", "november", "december"]
# No number and no date has more characters. The patterns would be slow for long texts.
LONGEST = 100


def is_missing(text: str) -> bool:
    """Return whether a text marks a missing value."""
    return text.strip().lower() in MISSING_MARKERS


def looks_like_codes(texts: list[str]) -> str | None:
    """Return the reason if different texts are different codes although they look like numbers."""
    texts = [text.strip() for text in texts]
    if any(re.fullmatch(r"0\d+", text) for text in texts):
        return "numbers with leading zeros are codes"
    if all(re.fullmatch(r"\+\d{8,}", text) for text in texts):
        return "the values look like phone numbers"
    # The versions 1.1 and 1.10 are different, but equal as numbers. Decimal numbers have equally
    # many decimals, or no zeros at the end.
    decimals = [text.partition(".")[2] for text in texts]
    versions = all(re.fullmatch(r"\d{1,2}\.\d{1,2}", text) for text in texts)
    zeros = any(len(digits) == 2 and digits[1] == "0" for digits in decimals)
    if versions and zeros and len({len(digits) for digits in decimals}) > 1:
        return "the values look like version numbers"
    return None


def parse_number(text: str, style: str) -> float | None:
    """Return a number; `style` is its decimal separator, ``"."`` or ``","``."""
    text = text.strip()
    match = NUMBERS[style].fullmatch(text) if len(text) <= LONGEST else None
    if match is None:
        return None
    whole, fraction = match["whole"], match["fraction"]
    # Product codes such as 12E4 are not numbers, and "+49 301 234" is a phone number.
    code = match["exponent"] and match["exponent"][1].isdigit() and fraction is None
    phone = match["sign"] == "+" and (match["separator"] or "").isspace()
    if not (whole or fraction) or code or phone:
        return None
    digits = re.sub(r"\D", "", whole) or "0"
    size = float(f"{digits}.{fraction or 0}{match['exponent'] or ''}")
    if isinf(size):
        return None
    size = size / 100 if match["percent"] else size
    return -size if match["sign"] in ("-", "−") else size


def parse_date(text: str, style: str) -> datetime | None:
    """Return a date and time in UTC; `style` is ``"day first"`` or ``"month first"``.

    A time without a date belongs to 1970-01-01.
    """
    text = text.strip()
    patterns = DATES if len(text) <= LONGEST else []
    match = next(filter(None, (pattern.fullmatch(text) for pattern in patterns)), None)
    if match is None:
        return None
    found: dict[str, Any] = match.groupdict()
    if found.get("first"):
        both = [found["first"], found["second_"]]
        # The month never comes first in dates with periods.
        day_first = style == "day first" or found["s"] == "."
        found["day"], found["month"] = both if day_first else both[::-1]
    if found.get("name"):
        name = found["name"].lower()
        found["month"] = next((i for i, m in enumerate(MONTHS, 1) if m.startswith(name)), 0)
    year = found.get("year") or "1970"
    if len(year) == 2:
        year = int(year) + (1900 if int(year) >= 70 else 2000)
    try:
        day = datetime(int(year), int(found.get("month") or 1), int(found.get("day") or 1))
        # A month name that does not exist has the number 0.
        return None if found.get("month") == 0 else day + _time(found)
    except (OverflowError, ValueError):
        return None


def _time(found: dict[str, Any]) -> timedelta:
    """Return the time of day in UTC."""
    if not found["hour"]:
        return timedelta(0)
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    if found["half"]:
        hour = hour % 12 + 12 * (found["half"][0] in "Pp")
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError
    micros = int(f"{found['fraction'] or 0:0<6}"[:6])
    zone = found["zone"] or "Z"
    offset = timedelta(0)
    if zone[0] in "+-":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:].strip(":") or 0))
        offset = -offset if zone[0] == "-" else offset
    return timedelta(hours=hour, minutes=minute, seconds=second, microseconds=micros) - offset


def boolean_words(style: str) -> dict[str, bool]:
    """Return the words for booleans, in lower case; `style` is the word for True.

    True, False, 1 and 0 are booleans, too.
    """
    words = next(pair for pair in BOOLEANS if style in pair)
    return words | BOOLEANS[0] | {"1": True, "0": False}


def parse_boolean(text: str, style: str) -> bool | None:
    """Return a boolean; `style` is the word for True."""
    return boolean_words(style).get(text.strip().lower())


# For each type of column, the parser and its styles, both in order of preference.
PARSERS: dict[str, tuple[Callable[[str, str], Any], list[str]]] = {
    "number": (parse_number, [".", ","]),
    "date": (parse_date, ["month first", "day first"]),
    "boolean": (parse_boolean, [next(iter(pair)) for pair in BOOLEANS]),
}
