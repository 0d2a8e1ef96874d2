"""The dose behind a medication: how much, and how often, as written and as known words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.nlp import tables
from services.nlp.tokens import key, narrow

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
NUMBER = r"[0-9]{1,6}(?:[.,][0-9]{1,4})?"
UNIT = (
    r"(?:mg|mcg|ug|μg|µg|g|kg|ml|l|iu|u|meq|mmol|units?|puffs?|tablets?|tabs?|capsules?|caps?|drops?"
    r"|sprays?|patch(?:es)?|milligrams?|micrograms?|grams?|percent)(?![a-z])"
    r"|%|毫克|微克|克|毫升|单位|万单位|片|粒|丸|支|袋|滴|喷|揿|吸|贴"
)
AMOUNT = re.compile(
    rf"{NUMBER}(?:[ ]?[-~/至][ ]?{NUMBER})?[ ]?(?:{UNIT})(?:[ ]?/[ ]?(?:{NUMBER}[ ]?)?(?:{UNIT}))?"
)
OFTEN = re.compile(_OFTEN)
WAYS_ZH = (
    "片剂?|胶囊剂?|缓释|控释|肠溶|分散|注射液|针剂?|口服液?|静滴|静脉滴注|皮下注射|肌注|吸入|外用|剂量"
    "|每次|一次|服用|用量|约"
)
WAYS_EN = (
    r"tablets?|tabs?|capsules?|by mouth|orally|oral|p\.?o\.?|i\.?v\.?|subcutaneously|inhaled"
    r"|sc|sq|im|at a dose of|dose|of|to|xr|er|sr|dr|ec|sodium|hydrochloride|hcl|extended release"
    r"|inhaler|injection|taking|takes"
)
BETWEEN = re.compile(rf"(?:[ \t,，:：()（）·]|{WAYS_ZH}|(?:{WAYS_EN})(?![a-z]))*+")


def find(text: str, start: int, end: int) -> Dose | None:
    """Return the dose that begins right at `start`, before `end`; None when there is none.

    Between the parts of a dose stand only words of the form or the way it is given.
    """
    stop = min(end, start + REACH_CHARS)
    flat = narrow(text[start:stop]).lower()
    if len(flat) != stop - start:
        return None
    place = first = last = 0
    amount, frequency, begun = "", None, False
    for _ in range(4):
        place = _end_of(BETWEEN.match(flat, place), place)
        found = OFTEN.match(flat, place) or AMOUNT.match(flat, place)
        if found is None:
            break
        if not begun:
            first, begun = found.start(), True
        if found.group() in FREQUENCIES:
            frequency = frequency or FREQUENCIES[found.group()]
        elif amount:
            break
        else:
            amount = text[start + found.start() : start + found.end()]
        place = last = found.end()
    return Dose(start + first, start + last, amount, frequency) if begun else None


def _end_of(match: re.Match[str] | None, place: int) -> int:
    return match.end() if match else place
