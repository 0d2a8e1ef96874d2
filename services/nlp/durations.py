"""How long a problem has lasted, right behind its name: "咳嗽3周", "cough for 3 weeks"."""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.nlp.tokens import narrow

REACH_CHARS = 40
NUMBERS = {
    word: str(number)
    for words in (
        "one two three four five six seven eight nine ten",
        "一 二 三 四 五 六 七 八 九 十",
    )
    for number, word in enumerate(words.split(), 1)
} | {"两": "2", "半": "0.5", "a": "1", "an": "1"}
UNITS = {
    "小时": "hour", "天": "day", "日": "day", "周": "week", "个月": "month", "月": "month",
    "年": "year", "hour": "hour", "day": "day", "week": "week", "month": "month", "year": "year",
}  # fmt: skip
WORDS_ZH = {"hour": "小时", "day": "天", "week": "周", "month": "个月", "year": "年"}
NUMBER = r"(?P<number>[0-9]{1,3}(?:\.[0-9])?|[一二三四五六七八九十两半])"
ZH = re.compile(
    rf"[”\"’]?(?:病史|史)?[ ]?(?:约|近|已|大约)?[ ]?{NUMBER}[ ]?(?P<more>\+|余|多)?[ ]?"
    r"(?P<unit>小时|个月|天|日|周|月|年)(?P<after>余)?(?![0-9])"
)
EN = re.compile(
    r"[ ]?(?:x[ ]?|for[ ])(?:about |approximately |around |the last |the past |over )?"
    r"(?P<number>[0-9]{1,3}(?:\.[0-9])?|one|two|three|four|five|six|seven|eight|nine|ten|an?)[ -]"
    r"(?P<unit>hour|day|week|month|year)s?(?![a-z])"
)


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time, and where the text says it ends."""

    number: str
    unit: str
    """hour, day, week, month or year."""
    end: int

    def words(self, language: str) -> str:
        """Return "3周" or "3 weeks"."""
        if self.number == "0.5":
            one = "an" if self.unit == "hour" else "a"
            return f"半{WORDS_ZH[self.unit]}" if language == "zh" else f"half {one} {self.unit}"
        if language == "zh":
            return self.number + WORDS_ZH[self.unit]
        return f"{self.number} {self.unit}" + ("" if self.number == "1" else "s")


def find(text: str, start: int, end: int) -> Duration | None:
    """Return the duration that begins at `start`, before `end`; None when there is none."""
    flat = narrow(text[start : min(end, start + REACH_CHARS)]).lower()
    found = ZH.match(flat) or EN.match(flat)
    if found is None:
        return None
    number = found.group("number")
    return Duration(NUMBERS.get(number, number), UNITS[found.group("unit")], start + found.end())
