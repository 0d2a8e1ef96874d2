"""The analytes that are interpreted, by LOINC code, and values in their canonical units.

LOINC codes fix the property: 2160-0 is creatinine as mass, 14682-9 as substance. A value is
converted only when its unit measures the property its code names. An analyte without a LOINC
code that could be confirmed has a code of this project's own and is found by name alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType

from services.labs import tables, units
from services.labs.reasons import NoConversion, NotInterpretable, UnknownUnit, WrongDimension
from services.labs.units import Unit

OWN_SYSTEM = "urn:dxmesh:analyte"
"""Code system of analyte ids."""


@dataclass(frozen=True, slots=True)
class Analyte:
    """One thing a laboratory measures."""

    analyte_id: str
    name_en: str
    name_zh: str
    unit: Unit
    """Canonical unit."""
    molar_mass: Decimal | None
    """g/mol; None: mass and substance do not convert."""
    charge: int | None
    """Equivalents per mole; None: equivalents do not convert."""
    can_be_negative: bool
    specimen: str = "blood"
    """Class of specimen, one of `specimens.CLASSES`."""
    least: Decimal | None = None
    most: Decimal | None = None
    """A value beyond these, in the canonical unit, is not believed; None: no limit is set."""
    usual: tuple[str, ...] = ()
    """Units laboratories report it in, UCUM, the canonical one first."""
    absent_normal: bool = False
    """Not detected is the result of a healthy person."""


@dataclass(frozen=True, slots=True)
class Code:
    """One LOINC code: which analyte, and a unit of the property it names."""

    loinc: str
    """Empty: the analyte has none that measures this property."""
    analyte: Analyte
    unit: Unit
    source: str = ""
    """Table in which the code was confirmed; empty: it was not."""


def _load_analytes() -> dict[str, Analyte]:
    by_code: dict[str, list[str]] = defaultdict(list)
    for row in tables.rows("loinc"):
        by_code[row["analyte"]].append(row["unit"])
    found = {}
    for row in tables.rows("analytes"):
        name = row["analyte"]
        usual = [row["unit"], *by_code[name], *row.get("usual", "").split()]
        least, most = (Decimal(row[end]) if row.get(end) else None for end in ("least", "most"))
        found[name] = Analyte(
            name,
            row["name_en"],
            row["name_zh"],
            units.read(row["unit"]),
            Decimal(row["molar_mass"]) if row["molar_mass"] else None,
            int(row["charge"]) if row["charge"] else None,
            row["negative"] == "yes",
            row.get("specimen") or "blood",
            least,
            most,
            tuple(dict.fromkeys(usual)),
            row.get("absent") == "normal",
        )
    return found


ANALYTES: Mapping[str, Analyte] = MappingProxyType(_load_analytes())
"""By analyte id."""

CODES: Mapping[str, Code] = MappingProxyType(
    {
        row["loinc"]: Code(
            row["loinc"],
            ANALYTES[row["analyte"]],
            units.read(row["unit"]),
            row.get("confirmed", ""),
        )
        for row in tables.rows("loinc")
    }
)
"""By LOINC code."""

OWN_CODES: Mapping[str, Code] = MappingProxyType(
    {name: Code("", analyte, analyte.unit) for name, analyte in ANALYTES.items()}
)
"""By analyte id: the code of an analyte in its canonical unit, without LOINC."""


def _by_analyte() -> dict[str, tuple[Code, ...]]:
    found: dict[str, list[Code]] = defaultdict(list)
    for code in CODES.values():
        found[code.analyte.analyte_id].append(code)
    return {name: tuple(codes) for name, codes in found.items()}


CODES_OF: Mapping[str, tuple[Code, ...]] = MappingProxyType(_by_analyte())
"""By analyte id: its LOINC codes, the commonest first."""


def code_for(analyte: Analyte, unit: Unit | None) -> Code | None:
    """Return the code of an analyte that a unit fits; None: the unit does not measure it.

    Without a unit it is the first, when its quantity needs none.
    """
    codes = (*CODES_OF.get(analyte.analyte_id, ()), OWN_CODES[analyte.analyte_id])
    for code in codes:
        if unit is None:
            if without_unit(code):
                return code
            continue
        try:
            factor(unit, code)
        except WrongDimension:
            continue
        except NoConversion:
            return None
        return code
    if unit is None:
        return None
    try:  # a unit of another property that converts: mass for a code of substance
        to_canonical(unit, analyte)
    except NotInterpretable:
        return None
    return Code("", analyte, unit)


def factor(unit: Unit, code: Code) -> Decimal:
    """Return by what to multiply a value in `unit` to have it in the canonical unit.

    Raises
    ------
    WrongDimension
        The unit measures another property than the code names.
    NoConversion
        Mass to substance, or equivalents, without the constant for this analyte.
    """
    return _factor(unit.ucum, code.loinc, code.analyte.analyte_id, code.unit.ucum)


@lru_cache(maxsize=8192)
def _factor(ucum: str, loinc: str, analyte_id: str, code_ucum: str) -> Decimal:
    unit, analyte = units.read(ucum), ANALYTES[analyte_id]
    code = CODES.get(loinc) or Code("", analyte, units.read(code_ucum))
    if code.unit.dimension == units.CATALYTIC and "[IU]" in unit.marks:
        unit = units.as_enzyme(unit)
    elif "[IU]" in code.unit.marks and unit.dimension == units.CATALYTIC:
        unit = units.as_arbitrary(unit)
    elif "[arb'U]" in code.unit.marks and unit.dimension == units.CATALYTIC:
        unit = units.as_arbitrary(unit, "[arb'U]")
    unit = _of_creatinine(unit, code.unit)
    if unit.property != code.unit.property and not _in_equivalents(unit, code.unit):
        if not (_needs_none(code.unit) and unit.ucum in {"1", "{ratio}"}):
            raise WrongDimension("the unit does not measure what the code names")
        unit = code.unit
    return to_canonical(unit, analyte)


def _of_creatinine(unit: Unit, target: Unit) -> Unit:
    """Return `mg/g` of a ratio to creatinine as what it means, `mg/g{creat}`."""
    if target.marks != _CREATININE or unit.ucum.count("/") != 1 or "{" in unit.ucum:
        return unit
    try:
        return units.read(f"{unit.ucum}{{creat}}")
    except UnknownUnit:
        return unit


def to_canonical(unit: Unit, analyte: Analyte) -> Decimal:
    """Return the factor from `unit` to the analyte's canonical unit; see `factor`."""
    target = analyte.unit
    unit = _of_creatinine(unit, target)
    if unit.property == target.property:
        return unit.factor_to(target)
    if _in_equivalents(unit, target):
        if not analyte.charge:
            raise NoConversion("equivalents are not defined for this analyte")
        return unit.factor_to(target) / analyte.charge
    if unit.marks == target.marks == _CREATININE and unit.dimension == _PER_SUBSTANCE:
        return unit.factor_to(target) / CREATININE_MASS  # mg/mmol of creatinine as mg/g
    pair = (unit.dimension, target.dimension)
    if unit.marks or target.marks or set(pair) != _MASS_AND_SUBSTANCE:
        raise WrongDimension("the unit does not measure what the code names")
    if analyte.molar_mass is None:
        raise NoConversion("mass and substance do not convert for this analyte")
    # pint's root unit of mass is the gram, so scales are g and mol per cubic metre.
    scaled = unit.factor_to(target)
    to_substance = unit.dimension == units.MASS_PER_VOLUME
    return scaled / analyte.molar_mass if to_substance else scaled * analyte.molar_mass


def without_unit(code: Code) -> bool:
    """Tell whether the code's quantity has scale 1, so that a missing unit leaves no doubt."""
    return _needs_none(code.unit)


CREATININE_MASS = Decimal("113.12")
"""g/mol, PubChem."""
_CREATININE = frozenset({"{creat}"})
_PER_SUBSTANCE = (("[mass]", 1.0), ("[substance]", -1.0))
_MASS_AND_SUBSTANCE = {units.MASS_PER_VOLUME, units.SUBSTANCE_PER_VOLUME}


def _needs_none(unit: Unit) -> bool:
    return unit.ucum in units.WITHOUT_UNIT or unit.ucum == "{ratio}"


def _in_equivalents(unit: Unit, target: Unit) -> bool:
    return unit.dimension == target.dimension and unit.marks == target.marks | {"eq"}
