"""When a problem or a value is of, by the times its sentence tells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

UNIT_ZH = r"(?:分钟|小时|天|日|周|星期|个?月|年)"
UNIT_EN = r"(?:minute|hour|day|week|month|year)s?"
COUNT_EN = (
    r"(?:[0-9]{1,3}(?:-[0-9]{1,3})?|one|two|three|four|five|six|seven|eight|nine|ten|twelve|an?"
    r"|a few|several|a couple of)"
)
TIME = re.compile(
    r"(?:约|大约)?(?:[0-9]{1,3}(?:\.[0-9])?|[一二两三四五六七八九十半数几]{1,3})"
    rf"(?:\+|余|多)?[ ]?{UNIT_ZH}"
    r"(?:余|多)?(?:前|之前)"
    r"|(?:19|20)[0-9]{2}(?:年(?:[0-9]{1,2}月(?:[0-9]{1,2}日)?)?|[-./][0-9]{1,2}(?:[-./][0-9]{1,2})?)"
    r"|[0-9]{1,2}月[0-9]{1,2}日|昨日|昨天|昨晚|昨夜|今晨|今日|今天|前日|前天|当日|当天|当晚"
    rf"|\b{COUNT_EN} {UNIT_EN} ago\b|\byesterday(?: (?:morning|afternoon|evening))?\b"
    r"|\blast night\b|\bthis (?:morning|afternoon|evening)\b"
    r"|\bsince (?:yesterday|last (?:night|week|month|year)"
    r"|this morning|childhood|birth|(?:mon|tues|wednes|thurs|fri|satur|sun)day|(?:early |late )?"
    r"(?:january|february|march|april|may|june|july|august|september|october|november|december)"
    r"(?: (?:19|20)[0-9]{2})?|(?:19|20)[0-9]{2})\b"
    r"|\b(?:on |in )?(?:january|february|march|april|may|june|july|august|september|october"
    r"|november|december) (?:[0-9]{1,2},? )?(?:19|20)[0-9]{2}\b"
    r"|\bon [0-9]{1,2}/[0-9]{1,2}(?:/[0-9]{2,4})?\b"
    r"|\bin (?:19|20)[0-9]{2}\b"
    r"|\bon (?:mon|tues|wednes|thurs|fri|satur|sun)day(?: (?:night|morning|afternoon|evening))?\b"
    r"|近[0-9一二两三四五六七八九十数几]{1,3}(?:余|多)?个?(?:小时|天|日|周|月|年)(?:来|余|以来)?",
    re.IGNORECASE,
)
SIGNS_ZH = re.compile("[0-9前昨今当近]")
SIGNS_EN = ("ago", "day", "night", "this ", "since")
"""Without a figure or one of these a sentence tells no time."""
IN_YEAR = re.compile(r"in (?:19|20)[0-9]{2}$", re.IGNORECASE)
FORWARD_CHARS_MAX = 160
"""A time that far before a problem, in a dictation without stops, is not its."""


MENSES = re.compile(r"(?:lmp|末次月经|last menstrual period)[ :：为于是was]{0,6}$", re.IGNORECASE)
SEPARATORS = frozenset(",;:。.()")
NEAR_CHARS = 24


def find(flat: str, spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """Yield (number of the place, start, end): the time right behind it, else the last before."""
    if not _may_tell(flat):
        return
    times = [
        match.span()
        for match in TIME.finditer(flat)
        if not MENSES.search(flat, max(0, match.start() - 24), match.start())
    ]
    if not times:
        return
    before = -1
    for number, (first, last) in enumerate(spans):
        while before + 1 < len(times) and times[before + 1][0] < first:
            before += 1
        after = before + 1
        if after < len(times) and flat[last : times[after][0]].isspace():
            yield number, *times[after]
        elif before >= 0 and times[before][1] <= first and _leads(flat, times[before], first):
            yield number, *times[before]
        elif after < len(times) and _is_near(flat[last : times[after][0]]):
            yield number, *times[after]


def _may_tell(flat: str) -> bool:
    """Tell whether a sentence may tell a time: most do not, and the pattern is long."""
    if SIGNS_ZH.search(flat):
        return True
    small = flat.lower()
    return any(sign in small for sign in SIGNS_EN)


def _leads(flat: str, time: tuple[int, int], first: int) -> bool:
    """Tell whether a time is of what follows it: "in 2021" is, where it begins its clause."""
    if first - time[1] > FORWARD_CHARS_MAX:
        return False
    before = flat[: time[0]].rstrip()
    return not IN_YEAR.match(flat[slice(*time)]) or not before or before[-1] in ",;.:-("


def _is_near(between: str) -> bool:
    """Tell whether a time stands in the clause of what precedes it ("cough began 3 days ago")."""
    return len(between) <= NEAR_CHARS and not any(each in SEPARATORS for each in between)
