"""Units: reading UCUM and the spellings laboratories print, and factors between units.

Two units convert only when they measure the same property. A property is the physical
dimension plus marks that the dimension does not show: arbitrary units ([IU]), equivalents
(eq), what a fraction is a fraction of, and annotations that change the meaning ({FEU},
{creat}, {1.73_m2}). Usual units are read from a table that was made with pint
(`data/unit_table.tsv`, by docs/make_unit_table.py); pint itself, by way of ucumvert, reads
the others. A test holds the table to pint.

Source: The Unified Code for Units of Measure, https://ucum.org/ucum
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache

from services.labs import registry, tables
from services.labs.reasons import UnknownUnit

TEXT_MAX = 40
"""Longest unit that is read; the longest of the 848 common UCUM units has 24 characters."""

DIGITS = 12
"""Significant digits of a factor: floating point is exact to 15, published factors to 6."""

COUNTED = frozenset({"cells", "cell", "RBC", "RBCs", "WBC", "WBCs", "#", "count", "counts"})
"""Annotations that name what is counted and change nothing."""

FRACTIONS = frozenset({"%", "1", "10*-2", "L/L", "{ratio}", "{fraction}"})
"""Units of a plain fraction. Others (mmol/mol) say what of, and match only themselves."""

WITHOUT_UNIT = {
    **{"{INR}": "INR", "[pH]": "pH", "{titer}": "titre", "{SG}": "specific gravity"},
    "{index}": "index",
}
"""Quantities of scale 1, often printed without a unit; ucumvert does not read them."""

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_RAISED_TEN = re.compile("10(?=[⁰¹²³⁴⁵⁶⁷⁸⁹⁻])")
_ANNOTATION = re.compile(r"\{([^{}]*)\}")
_BRACKETED = re.compile(r"\[[^\[\]]*\]")
_PHYSICAL = frozenset({"[Hg]", "[H2O]"})
_EQUIVALENT = re.compile(r"(?<![A-Za-z])[a-zA-Z]{0,2}eq(?![A-Za-z])")
_NOT_A_FACTOR = re.compile(r"[*^][+-]?\d{3}|(?<![\d*^.])(?!(?:10+|24|12|8|1)(?!\d))\d{2,}")
"""A power beyond any unit, or a factor such as 109, which is 10⁹ whose exponent was lost."""

Dimension = tuple[tuple[str, float], ...]
Property = tuple[Dimension, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit that was understood."""

    ucum: str
    scale: float
    """How many root units (SI) it is."""
    dimension: Dimension
    marks: frozenset[str]
    property: Property = field(init=False, compare=False)
    """What it measures; equal for units that convert into each other."""

    def __post_init__(self) -> None:
        """Put the property together once: it is compared with every result."""
        object.__setattr__(self, "property", (self.dimension, self.marks))

    def factor_to(self, other: Unit) -> Decimal:
        """Return by what to multiply a value to have it in `other`, of the same property."""
        return Decimal(f"{self.scale / other.scale:.{DIGITS}g}")


MASS_PER_VOLUME = (("[length]", -3.0), ("[mass]", 1.0))
SUBSTANCE_PER_VOLUME = (("[length]", -3.0), ("[substance]", 1.0))
CATALYTIC = (("[length]", -3.0), ("[substance]", 1.0), ("[time]", -1.0))
PER_VOLUME = (("[length]", -3.0),)

_aliases = {row["written"]: row["ucum"] for row in tables.rows("unit_aliases")}


def _load() -> dict[str, tuple[float, Dimension]]:
    """Return scale and dimension of the usual units, by UCUM code."""
    found: dict[str, tuple[float, Dimension]] = {}
    for row in tables.rows("unit_table"):
        parts = (part.split("^") for part in row["dimension"].split())
        dimension = tuple((name, float(power)) for name, power in parts)
        found[row["ucum"]] = float(row["scale"]), dimension
    return found


TABLE: Mapping[str, tuple[float, Dimension]] = _load()


@lru_cache(maxsize=4096)
def read(text: str) -> Unit:
    """Return the unit that `text` means.

    Raises
    ------
    UnknownUnit
        Neither UCUM nor a spelling in `data/unit_aliases.tsv`.
    """
    if len(text) > TEXT_MAX:
        raise UnknownUnit("the unit is not known")
    return _read_ucum(to_ucum(text))


def to_ucum(text: str) -> str:
    """Return the UCUM spelling of a printed unit; unknown spellings come back made plain."""
    raised = _RAISED_TEN.sub("10^", text).translate(_SUPERSCRIPTS)
    plain = unicodedata.normalize("NFKC", raised).strip()
    plain = plain.replace("\u03bc", "u").replace("\u2215", "/").replace("\u00d7", "×")
    plain = plain.replace("× ", "×").replace(" /", "/").replace("/ ", "/")
    return _aliases.get(plain, plain)


def as_enzyme(unit: Unit) -> Unit:
    """Return an international unit as the enzyme unit U: IU/L is U/L for an enzyme activity.

    Source: IUPAC/IUB 1964, 1 IU = 1 umol/min.
    """
    return _read_ucum(unit.ucum.replace("[IU]", "U")) if "[IU]" in unit.ucum else unit


def as_arbitrary(unit: Unit, atom: str = "[IU]") -> Unit:
    """Return an enzyme unit as an arbitrary one: mU/L of a hormone means mIU/L."""
    return _read_ucum(re.sub(r"(?<=[munk])U(?=/)|^U(?=/)", atom, unit.ucum))


@lru_cache(maxsize=4096)
def _read_ucum(ucum: str) -> Unit:
    if ucum in WITHOUT_UNIT:
        return Unit(ucum, 1.0, (), frozenset({WITHOUT_UNIT[ucum]}))
    if ucum in FRACTIONS:
        return Unit(ucum, 0.01 if ucum in {"%", "10*-2"} else 1.0, (), frozenset({"fraction"}))
    if (known := TABLE.get(ucum)) is None:
        known = by_registry(ucum)
    scale, dimension = known
    return Unit(ucum, scale, dimension, _marks(ucum, bool(dimension)))


def by_registry(ucum: str) -> tuple[float, Dimension]:
    """Return scale and dimension as pint reads them.

    Raises
    ------
    UnknownUnit
    """
    if (
        not ucum
        or ucum.isdigit()
        or not ucum.isascii()
        or _NOT_A_FACTOR.search(_ANNOTATION.sub("", ucum))
    ):
        raise UnknownUnit("the unit is not known")
    try:
        scale, dimension = registry.read(ucum)
    except registry.NotUcum as error:
        raise UnknownUnit("the unit is not known") from error
    if not 0.0 < scale < float("inf"):
        raise UnknownUnit("the unit is not known")
    return scale, dimension


def _marks(ucum: str, has_dimension: bool) -> frozenset[str]:
    bare = _ANNOTATION.sub("", ucum)
    marks = {f"{{{note}}}" for note in _ANNOTATION.findall(ucum) if note not in COUNTED}
    for atom in _BRACKETED.findall(bare):
        if atom not in _PHYSICAL:
            marks.add(atom.replace("[iU]", "[IU]"))
    if _EQUIVALENT.search(bare):
        marks.add("eq")
    if not has_dimension and "{creat}" not in marks:
        marks.add(f"fraction {bare}")
    return frozenset(marks)
