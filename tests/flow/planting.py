"""Strings that exist nowhere else, planted in a case and remembered by the field they went into.

Three families: tokens of letters, which one pattern finds in any of their forms; facts of the
fictional person (names, numbers, places, dates), which are written as people write them; and
UIDs. `searching` looks for all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta

HEAD, TAIL = "qzx", "vkw"
"""What a token begins and ends with; no word of any language or code has both."""
DIGITS = "abcdefghijklmnop"
BODY = 4
UID_HEAD, UID_TAIL = "2.25.9", "731904618275366041982"
DAYS_BETWEEN = 733
"""Dates lie further apart than any date shift, so a shifted one is never another planted one."""


@dataclass(frozen=True, slots=True)
class Person:
    """The fictional patient; every value is made up for this test."""

    name: str = "欧阳明珠"
    family: str = "欧阳"
    given: str = "明珠"
    pinyin: str = "Ouyang Mingzhu"
    record: str = "2041772593"
    phone: str = "13901586274"
    national_id: str = "320502193111064528"
    insurance: str = "6217001320084457120"
    email: str = "mingzhu.ouyang@lantern-mail.example"
    street: str = "白塔西路73弄12号602室"
    city: str = "苏州市"
    relative: str = "欧阳建业"
    relative_pinyin: str = "Ouyang Jianye"
    relative_phone: str = "15962401187"
    born: date = date(1931, 11, 6)


@dataclass
class Plants:
    """What was planted where."""

    person: Person = field(default_factory=Person)
    tokens: dict[str, str] = field(default_factory=dict)
    """Token, lower case → field."""
    facts: dict[str, str] = field(default_factory=dict)
    """A fact as it was written → field."""
    dates: dict[date, str] = field(default_factory=dict)
    uids: dict[str, str] = field(default_factory=dict)
    """UID → field."""
    _of_field: dict[str, str] = field(default_factory=dict)
    _day_of: dict[str, date] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _days: Iterator[date] = field(init=False)

    def __post_init__(self) -> None:
        self._days = _days_apart(date(2019, 5, 23))

    def token(self, where: str) -> str:
        """Return a field's token: 11 letters, upper case, fit for CS, SH and AE."""
        if where not in self._of_field:
            number = next(self._numbers)
            body = "".join(DIGITS[number >> 4 * at & 15] for at in reversed(range(BODY)))
            self._of_field[where] = f"{HEAD}{body}{TAIL}"
            self.tokens[self._of_field[where]] = where
        return self._of_field[where].upper()

    def drop(self, where: str) -> None:
        """Forget a field's token: something else was written there."""
        del self.tokens[self._of_field.pop(where)]

    def fact(self, where: str, value: str) -> str:
        """Remember a name, number, place or address that was written into a field."""
        self.facts.setdefault(value, where)
        return value

    def day(self, where: str) -> date:
        """Return a field's date."""
        if where not in self._day_of:
            self._day_of[where] = next(self._days)
            self.dates[self._day_of[where]] = where
        return self._day_of[where]

    def that_day(self, where: str, day: date) -> date:
        """Remember a date that was chosen for a field."""
        self.dates.setdefault(day, where)
        return day

    def uid(self, where: str) -> str:
        """Return a new UID for a field, of a root that belongs to nobody."""
        made = f"{UID_HEAD}{len(self.uids):05}{UID_TAIL}"
        self.uids[made] = where
        return made


def _days_apart(first: date) -> Iterator[date]:
    day = first
    while True:
        yield day
        day -= timedelta(days=DAYS_BETWEEN)
