"""The analytes that are interpreted, by LOINC code, and values in their canonical units.

LOINC codes fix the property: 2160-0 is creatinine as mass, 14682-9 as substance. A value is
converted only when its unit measures the property its code names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from services.labs import tables, units
from services.labs.reasons import NoConversion, WrongDimension
from services.labs.units import Unit


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


@dataclass(frozen=True, slots=True)
class Code:
    """One LOINC code: which analyte, and a unit of the property it names."""

    loinc: str
    analyte: Analyte
    unit: Unit


def _load_analytes() -> dict[str, Analyte]:
    return {
        row["analyte"]: Analyte(
            row["analyte"],
            row["name_en"],
            row["name_zh"],
            units.read(row["unit"]),
            Decimal(row["molar_mass"]) if row["molar_mass"] else None,
            int(row["charge"]) if row["charge"] else None,
            row["negative"] == "yes",
        )
        for row in tables.rows("analytes")
    }


ANALYTES: Mapping[str, Analyte] = MappingProxyType(_load_analytes())
"""By analyte id."""

CODES: Mapping[str, Code] = MappingProxyType(
    {
        row["loinc"]: Code(row["loinc"], ANALYTES[row["analyte"]], units.read(row["unit"]))
        for row in tables.rows("loinc")
    }
)
"""By LOINC code."""


def factor(unit: Unit, code: Code) -> Decimal:
    """Return by what to multiply a value in `unit` to have it in the canonical unit.

    Raises
    ------
    WrongDimension
        The unit measures another property than the code names.
    NoConversion
        Mass to substance, or equivalents, without the constant for this analyte.
    """
    if code.unit.dimension == units.CATALYTIC and "[IU]" in unit.marks:
        unit = units.as_enzyme(unit)
    elif "[IU]" in code.unit.marks and unit.dimension == units.CATALYTIC:
        unit = units.as_arbitrary(unit)
    elif "[arb'U]" in code.unit.marks and unit.dimension == units.CATALYTIC:
        unit = units.as_arbitrary(unit, "[arb'U]")
    if unit.property != code.unit.property and not _in_equivalents(unit, code.unit):
        if not (_needs_none(code.unit) and unit.ucum in {"1", "{ratio}"}):
            raise WrongDimension("the unit does not measure what the code names")
        unit = code.unit
    return to_canonical(unit, code.analyte)


def to_canonical(unit: Unit, analyte: Analyte) -> Decimal:
    """Return the factor from `unit` to the analyte's canonical unit; see `factor`."""
    target = analyte.unit
    if unit.property == target.property:
        return unit.factor_to(target)
    if _in_equivalents(unit, target):
        if not analyte.charge:
            raise NoConversion("equivalents are not defined for this analyte")
        return unit.factor_to(target) / analyte.charge
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


_MASS_AND_SUBSTANCE = {units.MASS_PER_VOLUME, units.SUBSTANCE_PER_VOLUME}


def _needs_none(unit: Unit) -> bool:
    return unit.ucum in units.WITHOUT_UNIT


def _in_equivalents(unit: Unit, target: Unit) -> bool:
    return unit.dimension == target.dimension and unit.marks == target.marks | {"eq"}
