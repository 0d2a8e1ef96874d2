"""What is kept of one patient: the rows of each part, sealed under the key of the part's case.

One document per patient lies under a key of its own. A case that is stopped takes its rows with
it, for its key is gone; a patient who withdraws takes the document.

Rules of merging, so that the order in which parts are done and repeated does not matter:
- a part that comes again takes its own place;
- of the same result in two parts (analyte, time, specimen) the one of the case received later
  stays, so a result that was corrected, or sent again, is there once;
- a result that came as entered in error or cancelled goes, wherever it is.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import orjson

from services.labs.history.rows import Place, Row, place, read, written

PARTS_MAX = 200
"""Parts of one patient; more would be cases of many years."""


MONTH_S = 28 * 86_400.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept."""

    per_analyte: int
    """Newest results of each analyte; of older ones one for each four weeks stays besides."""
    days: int
    """Age of the case, in days, after which its rows go."""


@dataclass(frozen=True, slots=True)
class Head:
    """What stands in the document beside a part's sealed rows."""

    case_id: str
    part_id: str
    received: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """The rows of one part."""

    case_id: str
    part_id: str
    received: datetime
    """When the case was accepted, true time, UTC."""
    rows: tuple[Row, ...]
    gone: tuple[Place, ...] = ()
    """What it took back: results entered in error or cancelled."""

    @property
    def key(self) -> tuple[str, str]:
        """What names a part among those of a patient."""
        return self.case_id, self.part_id


def merged(kept: Sequence[Kept], new: Kept, bounds: Bounds, now: datetime) -> list[Kept]:
    """Return what is kept once a part is there too; see the module for the rules."""
    others = [each for each in kept if each.key != new.key]
    gone = set(new.gone)
    mine = {place(row) for row in new.rows}
    days = {place(row) for row in new.rows if row.of_day and row.corrected}
    same = {(place(row), row.value) for row in new.rows if row.of_day}

    def stays(each: Kept, row: Row) -> bool:
        if each.received > new.received:
            return True
        where = place(row)
        if row.of_day:  # two results of one day are two, unless one says that it corrects
            return where not in gone | days and (where, row.value) not in same
        return where not in gone | mine

    left = [
        replace(each, rows=tuple(row for row in each.rows if stays(each, row))) for each in others
    ]
    after = [each for each in others if each.received > new.received]
    later = {place(row) for each in after for row in each.rows if not row.of_day}
    later |= {where for each in after for where in each.gone}
    own = replace(new, rows=tuple(row for row in new.rows if place(row) not in later))
    return bounded([*left, own], bounds, now)


def since(kept: Iterable[Kept], moment: datetime) -> list[Kept]:
    """Return what came from cases received after a moment."""
    return [each for each in kept if each.received > moment]


def bounded(kept: Iterable[Kept], bounds: Bounds, now: datetime) -> list[Kept]:
    """Return what is neither too old nor too much; parts of which nothing is left are not there.

    Of results of one time those of the case received last are the newest.
    """
    oldest = now - timedelta(days=bounds.days)
    young = sorted(
        (each for each in kept if bounds.per_analyte and each.received >= oldest),
        key=lambda each: each.received,
    )[-PARTS_MAX:]
    stays = _newest(young, bounds.per_analyte)
    trimmed = [
        replace(each, rows=tuple(row for n, row in enumerate(each.rows) if (at, n) in stays))
        for at, each in enumerate(young)
    ]
    return [each for each in trimmed if each.rows or each.gone]


def _newest(kept: Sequence[Kept], most: int) -> set[tuple[int, int]]:
    """Return which rows stay: numbers of part and row.

    The newest of their analyte, and one for each four weeks that have none of these: a month of
    daily results must not push out what a patient's values were before.
    """
    by_analyte: dict[str, list[tuple[float, int, int]]] = defaultdict(list)
    for at, each in enumerate(kept):
        for number, row in enumerate(each.rows):
            by_analyte[row.analyte].append((row.at, at, number))
    stays: set[tuple[int, int]] = set()
    for places in by_analyte.values():
        places.sort()
        newest = places[-most:]
        months = {at // MONTH_S: (part, row) for at, part, row in places[:-most]}
        for one in newest:
            months.pop(one[0] // MONTH_S, None)
        stays.update(one[1:] for one in newest)
        stays.update(months.values())
    return stays


def part_content(each: Kept) -> bytes:
    """Return what of a part is sealed under its case's key."""
    return orjson.dumps({"rows": written(each.rows), "gone": each.gone})


def part_of(head: Head, content: bytes) -> Kept:
    """Return a part from its head and its opened content."""
    found = orjson.loads(content)
    gone = tuple((str(a), float(t), bool(d), str(s)) for a, t, d, s in found["gone"])
    return Kept(head.case_id, head.part_id, head.received, tuple(read(found["rows"])), gone)


def content_of(forgotten: datetime, parts: Iterable[tuple[Kept, bytes]]) -> bytes:
    """Return the document: until when all was forgotten, and each part with its sealed rows."""
    return orjson.dumps(
        {
            "forgotten": forgotten.timestamp(),
            "parts": [
                [each.case_id, each.part_id, each.received.timestamp(), b64encode(sealed).decode()]
                for each, sealed in parts
            ],
        }
    )


def parts_in(content: bytes) -> tuple[datetime, list[tuple[Head, bytes]]]:
    """Return until when all was forgotten, and each part's head and sealed rows."""
    found = orjson.loads(content)
    parts = [
        (Head(str(case), str(part), _instant(received)), b64decode(sealed))
        for case, part, received, sealed in found["parts"]
    ]
    return _instant(found["forgotten"]), parts


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
