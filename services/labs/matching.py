"""Which analyte or ordinal test a result is: by LOINC, by the tenant's table, or by its name.

A name counts together with specimen and unit: `葡萄糖` in mmol/L is serum, urine or cerebrospinal
fluid, so without a specimen it is none of them. What fits several entries is not matched; the
refusal then names the three nearest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from services.labs import (
    analytes,
    cutoff,
    nearest,
    qualitative,
    reasons,
    specimens,
    tables,
    units,
    values,
)
from services.labs.analytes import Analyte, Code
from services.labs.folding import fold, pieces, scripts
from services.labs.local_codes import NONE, Row, Table
from services.labs.panel import Measured, Quantity
from services.labs.qualitative import Test
from services.labs.reasons import NotInterpretable
from services.labs.units import Unit

NOT_TELLING = frozenset(
    {
        *("测定", "检测", "检查", "定量", "定性", "含量", "浓度", "水平", "试验", "测量", "计数"),
        *("quantitative", "qualitative", "level", "test", "assay", "干化学", "免疫法", "酶法"),
        *("massvolume", "molesvolume", "mass/volume", "moles/volume", "presence", "auto"),
    }
)
"""Words beside a name that do not make it another analyte, folded."""


@dataclass(frozen=True, slots=True)
class Match:
    """What a result is: an analyte by one of its codes, or an ordinal test."""

    code: Code | None = None
    test: Test | None = None
    how: str = "loinc"
    """loinc, tenant or name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the dictionary that a name means."""

    thing: Analyte | Test
    needs_specimen: bool
    """The name means this only where the specimen is stated."""


def _index() -> dict[str, tuple[Entry, ...]]:
    found: dict[str, dict[str, Entry]] = defaultdict(dict)
    for row in tables.rows("names"):
        name = row["analyte"]
        thing = analytes.ANALYTES.get(name) or qualitative.BY_ID[name]
        own = [thing.name_en, thing.name_zh]
        for written in [*own, *(each.strip() for each in row["names"].split("|"))]:
            if written:
                entry = Entry(thing, written.startswith("~"))
                old = found[fold(written)].get(name)
                if old is None or old.needs_specimen:
                    found[fold(written)][name] = entry
    return {key: tuple(entries.values()) for key, entries in found.items()}


NAMES: Mapping[str, tuple[Entry, ...]] = _index()
"""By folded name."""


def find(item: Measured, table: Table = NONE) -> Match:
    """Return what a result is.

    Raises
    ------
    CodeConflict
        Its codes name different things.
    UnknownCode
        Nothing fits, or several things do; the facts name the nearest.
    """
    loinc = item.loinc
    if loinc:
        if len(loinc) == 1 and (code := analytes.CODES.get(loinc[0])):
            return Match(code)
        if (found := _by_loinc(loinc)) is not None:
            return found
    if (row := table.find(item.local, item.names, item.specimen)) is not None:
        return _of_row(row, item)
    if not loinc and item.names:
        return _by_name(item)
    raise unmapped(item, "no code or name of the dictionary is given")


def _by_loinc(loinc: Sequence[str]) -> Match | None:
    known = [analytes.CODES[each] for each in loinc if each in analytes.CODES]
    if not known:
        tests = {qualitative.TESTS[each] for each in loinc if each in qualitative.TESTS}
        if len({test.analyte_id for test in tests}) > 1:
            raise reasons.CodeConflict("the LOINC codes name different tests")
        return Match(test=tests.pop()) if tests else None
    if len({(code.analyte.analyte_id, code.unit.property) for code in known}) > 1:
        raise reasons.CodeConflict("the LOINC codes name different analytes or properties")
    return Match(known[0])


def _of_row(row: Row, item: Measured) -> Match:
    if row.code is not None:
        return Match(row.code, how="tenant")
    if row.test is not None:
        return Match(test=row.test, how="tenant")
    assert row.analyte is not None  # noqa: S101 - a row names one of the three
    code = analytes.code_for(row.analyte, unit_of(item)) or analytes.OWN_CODES[row.analyte_id]
    return Match(code, how="tenant")


def _by_name(item: Measured) -> Match:
    spelt = unit_of(item)
    wants_answer = item.quantity is None and bool(item.text) and not _is_number(item.text)
    wants_answer = wants_answer or cutoff.is_ratio(item.quantity)
    for name in item.names:
        entries, specimen = _entries(name)
        if not entries:
            continue
        specimen = specimens.narrower(specimens.class_of(item.specimen), specimen, name)
        fitting = _fitting(entries, specimen, spelt, wants_answer)
        if len(fitting) == 1 and _of_two_masses(fitting[0].thing, name, spelt):
            message = "by mass it is urea or urea nitrogen, which differ by 2.14; map its code"
            raise unmapped(item, message, reason="AMBIGUOUS_ANALYTE")
        if len(fitting) == 1:
            return _of_entry(fitting[0].thing, spelt)
        raise unmapped(
            item,
            "the name fits several entries; state the specimen or map its code"
            if fitting
            else "the name is known, but not in this specimen and unit",
            reason="AMBIGUOUS_ANALYTE" if fitting else "",
        )
    raise unmapped(item, "no code or name of the dictionary is given")


_BY_NITROGEN = ("氮", "nitrogen", "bun")
"""In a folded name: the mass is that of the nitrogen alone."""
UREAS = frozenset({"urea", "urine-urea"})


def _of_two_masses(thing: Analyte | Test, name: str, unit: Unit | None) -> bool:
    """Tell whether it is `urea` in mg/dL: 60 g/mol, or 28 where the name means its nitrogen."""
    if unit is None or unit.dimension != units.MASS_PER_VOLUME:
        return False
    return thing.analyte_id in UREAS and not any(each in fold(name) for each in _BY_NITROGEN)


def _of_entry(thing: Analyte | Test, unit: Unit | None) -> Match:
    if isinstance(thing, Test):
        return Match(test=thing, how="name")
    code = analytes.code_for(thing, unit)
    if code is None:  # it has no unit, which is told later
        code = next(iter(analytes.CODES_OF.get(thing.analyte_id, ())), None)
    return Match(code or analytes.OWN_CODES[thing.analyte_id], how="name")


@lru_cache(maxsize=4096)
def _entries(name: str) -> tuple[tuple[Entry, ...], str]:
    """Return the entries that a name means, and the specimen that stands in it."""
    if found := NAMES.get(fold(name)):
        return found, ""
    key, specimen = specimens.apart(name)
    if specimen and (found := NAMES.get(key)):
        return found, specimen
    together: tuple[Entry, ...] | None = None
    for part in _parts(name):
        if fold(part) in NOT_TELLING:
            continue
        if stated := _only_specimen(part):
            specimen = stated
            continue
        entries, inner = _of_part(part)
        if not entries:
            return (), ""
        specimen = inner or specimen
        ids = {each.thing.analyte_id for each in entries}
        together = (
            entries
            if together is None
            else tuple(each for each in together if each.thing.analyte_id in ids)
        )
    return together or (), specimen


def _parts(name: str) -> list[str]:
    found: list[str] = []
    for piece in pieces(name):
        found += [piece] if _of_part(piece)[0] else scripts(piece)
    return found


def _of_part(part: str) -> tuple[tuple[Entry, ...], str]:
    key = fold(part)
    if found := NAMES.get(key):
        return found, ""
    for word in ("测定", "检测", "定量", "定性", "检查"):
        if key.endswith(word) and (found := NAMES.get(key.removesuffix(word))):
            return found, ""
    key, specimen = specimens.apart(part)
    return NAMES.get(key, ()), specimen


def _only_specimen(part: str) -> str:
    """Return the class of a part that is nothing but a specimen."""
    key = fold(part)
    known = {word for word, _ in specimens._WORDS}
    return specimens.class_of(part) if key in known else ""


def _fitting(
    entries: Iterable[Entry], specimen: str, unit: Unit | None, wants_answer: bool
) -> list[Entry]:
    """Return the entries that specimen, kind of value and unit leave."""
    found = [
        each
        for each in entries
        if (
            specimens.accepts(each.thing.specimen, specimen)
            if specimen
            else not each.needs_specimen
        )
    ]
    tests = [each for each in found if isinstance(each.thing, Test)]
    numbers = [each for each in found if isinstance(each.thing, Analyte)]
    if wants_answer and tests:
        found = tests
    elif unit is not None or not wants_answer:
        found = numbers or tests
    if unit is not None and any(isinstance(each.thing, Analyte) for each in found):
        found = [each for each in found if _takes(each.thing, unit)]
    if len(found) > 1 and unit is not None:
        found = [each for each in found if _usual(each.thing, unit)] or found
    if len(found) > 1 and specimen:
        found = [each for each in found if each.thing.specimen == specimen] or found
    return found


def _takes(thing: Analyte | Test, unit: Unit) -> bool:
    return isinstance(thing, Analyte) and analytes.code_for(thing, unit) is not None


def _usual(thing: Analyte | Test, unit: Unit) -> bool:
    return isinstance(thing, Analyte) and any(
        (each.property, each.scale) == (unit.property, unit.scale)
        for each in map(units.read, thing.usual)
    )


def unit_of(item: Measured) -> Unit | None:
    """Return the unit that a result is given in, when it is one that is known."""
    quantity = item.quantity
    if quantity is None and item.text and (found := values.read(item.text)):
        quantity = Quantity(found.number, found.written, unit=found.unit)
    for text in (quantity.code, quantity.unit) if quantity else ():
        if text.strip():
            try:
                return units.read(text.strip())
            except NotInterpretable:
                continue
    return None


def _is_number(text: str) -> bool:
    return any(map(str.isdigit, text)) and qualitative.read(text) is None


def unmapped(item: Measured, message: str, reason: str = "") -> reasons.UnknownCode:
    """Return the refusal of a result that is not matched, with the nearest of the dictionary."""
    unit = unit_of(item)
    found = nearest.to(item.names, specimens.class_of(item.specimen), unit.ucum if unit else "")
    facts = {f"nearest_{n}": each.shown for n, each in enumerate(found, 1)}
    return reasons.UnknownCode(message, reason=reason, **facts)
