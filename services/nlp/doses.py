"""The dose behind a medication: how much, and how often, as written and as known words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.nlp import tables
from services.nlp.tokens import key, narrow

PARTS_MAX = 4
"""Amounts and frequencies of one dose."""
REACH_CHARS = 120
"""A dose begins and ends within this many characters of the medication."""


@dataclass(frozen=True, slots=True)
class Frequency:
    """How often, in both languages."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Dose:
    """A dose at [start, end) of the text."""

    start: int
    end: int
    amount: str = ""
    """Number and unit as written, for example "5mg"; may be empty."""
    frequency: Frequency | None = None


FREQUENCIES = {
    key(name): Frequency(row["zh"], row["en"])
    for row in tables.rows("frequencies")
    for name in (*tables.names(row["names_zh"]), *tables.names(row["names_en"]))
}
_LONGEST_FIRST = sorted(FREQUENCIES, key=len, reverse=True)
_OFTEN = "|".join(
    rf"{re.escape(name)}(?![a-z0-9])" if name.isascii() else re.escape(name)
    for name in _LONGEST_FIRST
)
NUMBER = (
    r"(?:[0-9]{1,6}(?:[.,][0-9]{1,4})?|(?:one|two|three|four|five|six|seven|eight|nine|ten|fifteen"
    r"|twenty|twenty five|thirty|forty|fifty|eighty)(?= (?:milli|micro|gram|tab|puff|unit|cap|mg)))"
)
UNIT = (
    r"(?:mg|mcg|ug|μg|µg|g|kg|ml|l|iu|u|meq|mmol|units?|puffs?|tablets?|tabs?|capsules?|caps?|drops?"
    r"|sprays?|patch(?:es)?|milligrams?|micrograms?|grams?|percent)(?![a-z])"
    r"|%|毫克|微克|克|毫升|单位|万单位|片|粒|丸|支|袋|滴|喷|揿|吸|贴"
)
AMOUNT = re.compile(
    rf"{NUMBER}(?:[ ]?[-~/至][ ]?{NUMBER})?[ ]?(?:{UNIT})(?:[ ]?/[ ]?(?:{NUMBER}[ ]?)?(?:{UNIT}))?"
)
OFTEN = re.compile(_OFTEN)
_TO = r"(?:[ ]?(?:[-~–至]|to)[ ]?(?P<{}>[0-9]{{1,2}}))?"
EVERY = re.compile(
    rf"(?:every[ ]|q[ ]?)(?P<en>[0-9]{{1,2}}){_TO.format('en_to')}[ ]?(?:hours?|hrs?|h)(?![a-z])"
    rf"|每隔?[ ]?(?P<zh>[0-9]{{1,2}}){_TO.format('zh_to')}[ ]?小时(?:[ ]?[一1]次)?"
)
"""A frequency with hours of its own: "every 4 to 6 hours", q4-6h."""
WAYS_ZH = (
    "片剂?|胶囊剂?|缓释|控释|肠溶|分散|注射液|针剂?|口服液?|静滴|静脉滴注|皮下注射|肌注|吸入|外用|剂量"
    "|每次|一次|服用|用量|约|静推|静脉推注|静注|静脉注射|肌肉注射|肌内注射|静点|持续泵入|泵入|含服|嚼服|顿服"
    "|雾化吸入|雾化|冲服|首剂|后改|共|起始"
)
WAYS_EN = (
    r"tablets?|tabs?|capsules?|by mouth|orally|oral|p\.?o\.?|i\.?v\.?|subcutaneously|inhaled"
    r"|sc|sq|im|at a dose of|dose|of|to|xr|er|sr|dr|ec|sodium|hydrochloride|hcl|extended release"
    r"|inhaler|injection|taking|takes|nebuli[sz]ed|nebs?"
)
JOINED = re.compile(r"[-/][a-z]{5,24}(?![a-z])")
"""The other part of a combination, right behind a medication (ticarcillin-clavulanate)."""
BETWEEN = re.compile(rf"(?:[ \t,，:：()（）·]|{WAYS_ZH}|(?:{WAYS_EN})(?![a-z]))*+")


def find(text: str, start: int, end: int) -> Dose | None:
    """Return the dose that begins right at `start`, before `end`; None when there is none.

    Between the parts of a dose stand only words of the form or the way it is given.
    """
    stop = min(end, start + REACH_CHARS)
    flat = narrow(text[start:stop]).lower()
    if len(flat) != stop - start:
        return None
    place = _end_of(JOINED.match(flat), 0)
    first = last = 0
    amount, frequency, begun = "", None, False
    for _ in range(PARTS_MAX):
        place = _end_of(BETWEEN.match(flat, place), place)
        every = EVERY.match(flat, place)
        found = every or OFTEN.match(flat, place) or AMOUNT.match(flat, place)
        if found is None:
            break
        if not begun:
            first, begun = found.start(), True
        if every or found.group() in FREQUENCIES:
            told = _hours(every) if every else FREQUENCIES[found.group()]
            frequency = _both(frequency, told) if frequency else told
        elif amount:
            break
        else:
            amount = text[start + found.start() : start + found.end()]
        place = last = found.end()
    return Dose(start + first, start + last, amount, frequency) if begun else None


def _hours(found: re.Match[str]) -> Frequency:
    first, last = found["en"] or found["zh"], found["en_to"] or found["zh_to"]
    if last:
        return Frequency(f"每{first}~{last}小时一次", f"every {first} to {last} hours")
    plural = "" if first == "1" else "s"
    return Frequency(f"每{first}小时一次", f"every {first} hour{plural}")


def _both(first: Frequency, second: Frequency) -> Frequency:
    """Return two frequencies of one dose as one: "every 4 hours" and "as needed"."""
    if second.en in first.en:
        return first
    return Frequency(f"{first.zh}，{second.zh}", f"{first.en} {second.en}")


def _end_of(match: re.Match[str] | None, place: int) -> int:
    return match.end() if match else place
