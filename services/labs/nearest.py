"""The entries of the dictionary whose names are nearest to a name that is not in it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from services.labs import analytes, qualitative, specimens, tables, units
from services.labs.analytes import Analyte
from services.labs.folding import fold
from services.labs.qualitative import Test
from services.labs.reasons import NotInterpretable

KEPT = 3
LEAST = 0.05
"""Entries less alike than this are not shown: they would only mislead."""
NAME_MAX = 120
FITTING = 0.1
"""What a fitting specimen, and a fitting unit, add to the likeness: the project's choice."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One entry and how like its nearest name is, 0 to 1.2."""

    thing: Analyte | Test
    likeness: float

    @property
    def loinc(self) -> str:
        """The commonest LOINC code of the entry; empty: it has none."""
        return loinc_of(self.thing)

    @property
    def shown(self) -> str:
        """The entry for a reader: id, names and code."""
        code = self.loinc or f"{analytes.OWN_SYSTEM}:{self.thing.analyte_id}"
        return f"{self.thing.name_zh} {self.thing.name_en} {code}"


def loinc_of(thing: Analyte | Test) -> str:
    """Return the commonest LOINC code of an entry; empty: it has none."""
    if isinstance(thing, Analyte):
        return next((c.loinc for c in analytes.CODES_OF.get(thing.analyte_id, ())), "")
    codes = (loinc for loinc, test in qualitative.TESTS.items() if test is thing)
    return next(codes, "")


def to(names: Sequence[str], specimen: str, ucum: str) -> tuple[Candidate, ...]:
    """Return the nearest entries, the nearest first; the same names give the same answer."""
    return _nearest(tuple(name[:NAME_MAX] for name in names[:4]), specimen, ucum)


@lru_cache(maxsize=2048)
def _nearest(names: tuple[str, ...], specimen: str, ucum: str) -> tuple[Candidate, ...]:
    best: dict[str, float] = {}
    entries, postings, sizes = _entries()
    for name in names:
        key = fold(name)
        own = _pairs(key)
        shared: Counter[int] = Counter()
        for pair in own:
            shared.update(postings.get(pair, ()))
        for place, count in shared.items():
            likeness = 2 * count / (len(own) + sizes[place])
            thing_id = entries[place]
            best[thing_id] = max(best.get(thing_id, 0.0), likeness)
    scored = []
    for thing_id, likeness in best.items():
        if likeness < LEAST:
            continue
        thing = analytes.ANALYTES.get(thing_id) or qualitative.BY_ID[thing_id]
        fits = bool(specimen) and specimens.accepts(thing.specimen, specimen)
        bonus = FITTING * fits + FITTING * _takes(thing, ucum)
        scored.append(Candidate(thing, round(likeness + bonus, 4)))
    scored.sort(key=lambda each: (-each.likeness, each.thing.analyte_id))
    return tuple(scored[:KEPT])


def _takes(thing: Analyte | Test, ucum: str) -> bool:
    if not ucum or isinstance(thing, Test):
        return False
    try:
        return analytes.code_for(thing, units.read(ucum)) is not None
    except NotInterpretable:
        return False


@cache
def _entries() -> tuple[list[str], dict[str, list[int]], list[int]]:
    """Return entries by place, the places that hold a pair of characters, and sizes by place."""
    ids: list[str] = []
    postings: dict[str, list[int]] = defaultdict(list)
    sizes: list[int] = []
    for row in tables.rows("names"):
        thing = analytes.ANALYTES.get(row["analyte"]) or qualitative.BY_ID[row["analyte"]]
        names = [thing.name_en, thing.name_zh, *row["names"].split("|")]
        for key in dict.fromkeys(map(fold, names)):
            if key:
                pairs = _pairs(key)
                for pair in pairs:
                    postings[pair].append(len(ids))
                ids.append(row["analyte"])
                sizes.append(len(pairs))
    return ids, dict(postings), sizes


def _pairs(key: str) -> frozenset[str]:
    """Return the pairs of neighbouring characters, and Chinese characters alone."""
    around = f"^{key}$"
    return frozenset(around[n : n + 2] for n in range(len(around) - 1)) | frozenset(
        character for character in key if "\u4e00" <= character <= "\u9fff"
    )
