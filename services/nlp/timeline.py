"""The times a history is told by: "3天前", "昨晚", "two weeks ago", a date; and their order.

What follows such words belongs to that time until the next such words. Ages in hours order the
events; a date cannot be held against "3 days ago", since a note does not say when it was written,
so where both occur the order of the note stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from services.nlp import tables
from services.nlp.durations import NUMBERS, UNITS, WORDS_ZH
from services.nlp.tokens import narrow

_HOURS = {"minute": 1 / 60, "hour": 1, "day": 24, "week": 168, "month": 730, "year": 8766}
_UNITS = {**UNITS, "分钟": "minute", "minute": "minute"}
_ZH = {**WORDS_ZH, "minute": "分钟"}
_NAMED = {name: row for row in tables.rows("times") for name in tables.names(row["written"])}
_ADMITTED = r"(?:ago|(?:prior to|before) (?:admission|arrival|presentation))"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"(?:{'|'.join(_MONTHS)})[a-z]{{0,6}}"
_FEW = "one|two|three|four|five|six|seven|eight|nine|ten"
_NUMBER_ZH = r"[0-9]{1,3}(?:\.[0-9])?|[一二三四五六七八九十两半]"
_UNIT_ZH, _UNIT_EN = "分钟|小时|天|日|周|月|年", "minute|hour|day|week|month|year"
_YEAR = r"(?:19|20)[0-9]{2}"
_FORMS = (
    rf"(?:最近|近)(?P<past>{_NUMBER_ZH})(?:余|多)?个?(?P<past_unit>{_UNIT_ZH})(?!前)",
    rf"(?:over|in|during|for)[ ]the[ ](?:last|past)[ ](?P<en_past>[0-9]{{1,3}}|{_FEW})[ ]"
    rf"(?P<en_past_unit>{_UNIT_EN})s?(?![a-z])",
    rf"(?P<number>{_NUMBER_ZH})(?P<more>[余多+]?)个?[ ]?(?P<unit>{_UNIT_ZH})(?P<after>[余多]?)前",
    rf"(?<![0-9a-z.])(?P<en_number>[0-9]{{1,3}}|{_FEW}|an?)[ -](?P<en_unit>{_UNIT_EN})s?[ ]"
    rf"{_ADMITTED}(?![a-z])",
    rf"(?<![0-9])(?P<date>{_YEAR}[-年/.](?:0?[1-9]|1[0-2])[-月/.](?:0?[1-9]|[12][0-9]|3[01])日?)"
    r"(?![0-9])",
    rf"(?<![0-9])(?P<day>[0-3]?[0-9])[ ](?P<month>{_MONTH})[ ](?P<year>{_YEAR})(?![0-9])",
    rf"(?<![a-z])(?P<us_month>{_MONTH})[ ](?P<us_day>[0-3]?[0-9]),?"
    rf"[ ](?P<us_year>{_YEAR})(?![0-9])",
    rf"(?<![0-9])(?P<in_month>{_YEAR}[-年/.](?:0?[1-9]|1[0-2])月?)(?![-/.]?[0-9])",
    rf"(?P<named>{'|'.join(sorted(_NAMED, key=len, reverse=True))})"
    r"(?:(?<=[a-z])(?![a-z])|(?<![a-z]))",
)
_MENSES = re.compile(r"(?:lmp|末次月经|last menstrual period)[ :：为于是was]{0,6}$")
MENSES_CHARS = 30
"""A date behind these counts weeks; nothing else that is told is of that time."""
_TIME = re.compile("|".join(_FORMS))
_SEEN = re.compile(r"\b(?:presents?|presenting|presented|returns?|returning|seen|here|in)[ ]$")
"""Before "today": when the patient was seen, not when something began."""
_SEEN_CHARS = 16


@dataclass(frozen=True, slots=True)
class Time:
    """When something was: its words, [start, end) of the text, and its age where it can be told.

    Without words it ends the time before it: what follows is no part of the present illness.
    """

    start: int
    end: int
    zh: str
    en: str
    hours: float | None = None
    """Hours before the note; None of a date."""
    date: str = ""
    """YYYY-MM-DD of a date."""

    def words(self, language: str) -> str:
        """Return the time in a language."""
        return self.zh if language == "zh" else self.en


def times(text: str, start: int, end: int) -> Iterator[Time]:
    """Yield the times told in text[start:end], as they stand there."""
    flat = narrow(text[start:end]).lower()
    for found in _TIME.finditer(flat):
        if found["named"] and _SEEN.search(
            flat, max(0, found.start() - _SEEN_CHARS), found.start()
        ):
            continue
        if not _MENSES.search(flat, max(0, found.start() - MENSES_CHARS), found.start()):
            yield _time(found, start)


def in_order(found: list[Time]) -> list[Time]:
    """Return times from the oldest on, where all can be compared; else as they were told."""
    if all(each.hours is not None for each in found):
        return sorted(found, key=lambda each: -(each.hours or 0))
    if all(each.date for each in found):
        return sorted(found, key=lambda each: each.date)
    return found


def _on(start: int, end: int, year: int, month: int, day: int) -> Time:
    date = f"{year}-{month:02}-{day:02}"
    return Time(start, end, date, date, date=date)


def _time(found: re.Match[str], offset: int) -> Time:
    start, end = found.start() + offset, found.end() + offset
    if named := found["named"]:
        row = _NAMED[named]
        return Time(start, end, row["zh"], row["en"], float(row["hours"] or 0))
    if written := found["date"]:
        year, month, day = (int(each) for each in re.findall(r"\d+", written))
        return _on(start, end, year, month, day)
    if written := found["in_month"]:
        year, month = (int(each) for each in re.findall(r"\d+", written))
        date = f"{year}-{month:02}"
        return Time(start, end, date, date, date=date)
    if month_name := found["month"] or found["us_month"]:
        in_year = found["year"] or found["us_year"]
        in_month = found["day"] or found["us_day"]
        month = _MONTHS.index(month_name[:3]) + 1
        return _on(start, end, int(in_year), month, int(in_month))
    if past := found["past"] or found["en_past"]:
        number, unit = NUMBERS.get(past, past), _UNITS[found["past_unit"] or found["en_past_unit"]]
        en = f"over the last {number} {unit}{'' if number == '1' else 's'}"
        return Time(start, end, f"近{number}{_ZH[unit]}", en, float(number) * _HOURS[unit])
    word = found["number"] or found["en_number"]
    if word == "半":
        unit = _UNITS[found["unit"]]
        en = f"half {'an' if unit == 'hour' else 'a'} {unit} ago"
        return Time(start, end, f"半{_ZH[unit]}前", en, 0.5 * _HOURS[unit])
    number, unit = NUMBERS.get(word, word), _UNITS[found["unit"] or found["en_unit"]]
    more = bool(found["more"] or found["after"])
    zh = f"{number}{_ZH[unit]}{'余' if more else ''}前"
    plural = "" if number == "1" and not more else "s"
    en = f"{'more than ' if more else ''}{number} {unit}{plural} ago"
    return Time(start, end, zh, en, float(number) * _HOURS[unit])
