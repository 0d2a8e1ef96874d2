"""Dates in text moved by the patient's days; ages over 89 capped."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator

from services.anonymization.dates import shift_day
from services.anonymization.text.edits import Edit

MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august"),
    *("september", "october", "november", "december"),
)
_MONTH = (
    r"(?P<name>Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|"
    r"Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_YEAR = r"(?P<y>(?:19|20)\d{2})"
_DAY = r"(?P<d>\d{1,2})(?:st|nd|rd|th)?"
_OF_NUMBERS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_YEAR}(?P<s1>\s*年\s*)(?P<m>\d{{1,2}})(?P<s2>\s*月\s*)(?P<d>\d{{1,2}})(?P<s3>\s*[日号])?",
        rf"(?<!\d){_YEAR}(?P<s1>[-/.])(?P<m>\d{{1,2}})(?P<s2>[-/.])(?P<d>\d{{1,2}})(?!\d)",
        rf"(?<![\d.]){_YEAR}(?P<m>\d{{2}})(?P<d>\d{{2}})(?![\d.])",
        r"(?<![\d/.-])(?P<m>\d{1,2})(?P<s1>[-/.])(?P<d>\d{1,2})(?P<s2>(?P=s1))"
        rf"{_YEAR}(?![\d/])",
        r"(?<![\d/.-])(?P<m>\d{1,2})(?P<s1>/)(?P<d>\d{1,2})(?P<s2>/)(?P<yy>\d{2})(?![\d/])",
    )
)
_OF_MONTHS = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        rf"\b{_DAY}(?P<s1>(?: of)?[ -]){_MONTH}(?P<s2>,?[ -]){_YEAR}\b",
        rf"\b{_MONTH}(?P<s1> ){_DAY}(?P<s2>,? ){_YEAR}\b",
        rf"\b{_MONTH}(?P<s1>,?[ -](?:of )?){_YEAR}\b",
    )
)
_YEAR_MONTH_ZH = re.compile(rf"{_YEAR}(\s*年\s*)(?P<m>\d{{1,2}})(\s*月)")
_YEAR_MONTH = re.compile(rf"(?<![\d./-]){_YEAR}([-/])(?P<m>0[1-9]|1[0-2])(?![\d/-])")
_NO_YEAR_ZH = re.compile(r"(?<![\d年.])\d{1,2}\s*月\s*\d{1,2}\s*[日号](?!线)")
_ONES = "〇○零一二三四五六七八九"
_IN_WORDS_ZH = re.compile(
    rf"[{_ONES}]{{4}}\s*年(?:\s*[一二三四五六七八九十]{{1,2}}\s*月)?(?:\s*[一二三四五六七八九十]{{1,3}}\s*[日号])?"
    r"|[一二三四五六七八九十]{1,2}月[一二三四五六七八九十]{1,3}[日号]"
)
_MONTH_ALONE = _MONTH.replace("?P<name>", "?:")
_NO_YEAR_EN = re.compile(  # "May" and "March" are verbs too, "Dec" and "Mar" begin other words
    rf"\b(?!May\b){_MONTH_ALONE} \d{{1,2}}(?:st|nd|rd|th)?\b(?!,? \d{{4}})"
    r"(?!\s*(?:mg|ml|g|%|years?|months?|weeks?|days?))"
    rf"|\b\d{{1,2}}(?:st|nd|rd|th)? (?:of )?(?!May\b|Mar\b|Dec\b){_MONTH_ALONE}(?![a-z]|,? \d{{4}})"
)
_AGES = (
    re.compile(r"(?<![\d.])(?P<n>9\d|1[0-4]\d)(?P<s>\s*(?:周岁|岁))"),
    re.compile(r"年龄\s*[：:]?\s*(?P<n>9\d|1[0-4]\d)(?![\d.%])(?P<s>)"),
    re.compile(
        r"\b(?P<n>9\d|1[0-4]\d)(?P<s>[ -]?(?:years?[ -]old|y/?o\b|yrs?[ -]old|year[ -]?old))", re.I
    ),
    re.compile(r"\b(?:aged?|age is)\s*:?\s*(?P<n>9\d|1[0-4]\d)(?![\d.%])(?P<s>)", re.I),
)


def find(text: str, days: int | None) -> Iterator[Edit]:
    """Yield every date and every age over 89; `days` None: dates become placeholders.

    A year alone stays (45 CFR 164.514(b)(2)(i)(C)), as in resources: moved by days it could not be
    told from one that stayed, and a reader would be shown the wrong year. A month is moved by whole
    months, so that the same number of them brings it back.
    """
    for pattern in _OF_NUMBERS:
        for match in pattern.finditer(text):
            yield from _moved(match, days, _numbers)
    for pattern in _OF_MONTHS:
        for match in pattern.finditer(text):
            yield from _moved(match, days, _months)
    for pattern in (_YEAR_MONTH_ZH, _YEAR_MONTH):
        for match in pattern.finditer(text):
            yield from _moved(match, days, _partial)
    for pattern in (_NO_YEAR_ZH, _NO_YEAR_EN, _IN_WORDS_ZH):
        for match in pattern.finditer(text):
            yield Edit(*match.span(), "DATE")
    for pattern in _AGES:
        for match in pattern.finditer(text):
            over = "90岁以上" if "岁" in match["s"] else f"over 89{match['s']}"
            start = match.start("n")
            yield Edit(start, match.end(), "DATE", over)


Writer = Callable[[re.Match[str], dt.date], str]
DAYS_A_MONTH = 30.4375
"""365.25 / 12. Whoever moves a month back (`gateway.restore`) rounds by the same."""


def _moved(match: re.Match[str], days: int | None, write: Writer) -> Iterator[Edit]:
    day = _day(match)
    if day is None:
        return
    whole = "d" in match.groupdict()
    moved = None
    if days is not None:
        moved = shift_day(day, days) if whole else _by_months(day, round(days / DAYS_A_MONTH))
    yield Edit(*match.span(), "DATE", write(match, moved) if moved else None)


def _day(match: re.Match[str]) -> dt.date | None:
    """Return the day a match means; the middle of a month where it says no more."""
    groups = match.groupdict()
    year = int(groups.get("y") or 0) or _century(int(groups["yy"]))
    name = groups.get("name")
    month = _month_number(name) if name else int(groups["m"])
    number = int(groups.get("d") or 15)
    if month > 12 and number <= 12 and match.group(0)[0] == groups["m"][0]:
        month, number = number, month  # day first
    try:
        return dt.date(year, month, number)
    except ValueError:
        return None


def _by_months(day: dt.date, months: int) -> dt.date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return dt.date(year, month + 1, day.day)


def _century(two: int) -> int:
    return 2000 + two if two <= 40 else 1900 + two


def _month_number(name: str) -> int:
    return next(n for n, month in enumerate(MONTHS, 1) if month.startswith(name.lower()[:3]))


def _numbers(match: re.Match[str], day: dt.date) -> str:
    """Write the day as the match wrote its own: order, separators, leading zeros."""
    numbers = {"m": day.month, "d": day.day}
    if "m" in match.groupdict() and int(match["m"]) > 12:
        numbers = {"m": day.day, "d": day.month}
    years = {"y": f"{day.year:04}", "yy": f"{day.year % 100:02}"}
    pieces: list[tuple[int, str]] = []
    for name, text in match.groupdict().items():
        if text is None:
            continue
        written = years.get(name, text)
        if name in numbers:
            padded = text.startswith("0") or len(text) == 2
            written = f"{numbers[name]:02}" if padded else str(numbers[name])
        pieces.append((match.start(name), written))
    return "".join(written for _, written in sorted(pieces))


def _months(match: re.Match[str], day: dt.date) -> str:
    name = MONTHS[day.month - 1].capitalize()
    if len(match["name"].rstrip(".")) <= 3 and match["name"].lower() != "may":
        name = name[:3]
    parts = {"y": str(day.year), "name": name, "d": str(day.day)}
    found = {key: text for key, text in match.groupdict().items() if text is not None}
    order = sorted(found, key=match.start)
    return "".join(parts.get(key, found[key]) for key in order)


def _partial(match: re.Match[str], day: dt.date) -> str:
    if match[2] in "-/":
        return f"{day.year:04}{match[2]}{day.month:02}"
    return f"{day.year:04}{match[2]}{day.month}{match[4]}"
