"""Writes `services/labs/data/unit_table.tsv`: usual units as pint reads them, so that no request
waits for its registry. `--check` compares and writes nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from services.labs import registry, tables, units
from services.labs.reasons import UnknownUnit

PATH = Path(__file__).parents[1] / "services" / "labs" / "data" / "unit_table.tsv"
HEAD = """\
# Usual units as pint reads them by way of ucumvert, made by docs/make_unit_table.py.
# scale: how many root units (SI, with the gram for mass) one is. dimension: base^power.
ucum	scale	dimension
"""
VOLUMES = ("L", "dL", "mL", "uL", "nL")
PER_VOLUME = (
    *("kg", "g", "mg", "ug", "ng", "pg", "fg"),
    *("mol", "mmol", "umol", "nmol", "pmol", "fmol"),
    *("eq", "meq", "ueq"),
    *("osm", "mosm"),
    *("[IU]", "k[IU]", "m[IU]", "u[IU]", "[arb'U]", "[iU]", "m[iU]"),
    *("U", "kU", "mU", "uU", "kat", "mkat", "ukat", "nkat", "pkat"),
    *("10*3", "10*4", "10*6", "10*9", "10*12", "{cells}", "10*6{cells}", "10*9{cells}"),
    *("[CFU]", "10*3[CFU]", "{copies}", "{copy}", "[GPL'U]", "[MPL'U]", "[APL'U]"),
)
MASSES = ("kg", "g", "mg", "ug", "ng", "pg", "mol", "mmol", "umol", "nmol")
CREATININE = ("kg", "g", "mg", "ug", "mol", "mmol", "umol", "nmol", "meq")
TIMES = ("s", "ms", "min", "h", "d", "wk", "mo", "a", "24.h")
OTHERS = (
    *("fL", "um3", "pg", "fg", "fmol", "amol", "mm/h", "mm/(h)", "mm", "cm", "m", "um", "nm"),
    *("mm[Hg]", "kPa", "Pa", "bar", "mbar", "cm[H2O]", "atm"),
    *("mL/min", "mL/s", "mL/min/{1.73_m2}", "mL/s/{1.73_m2}", "L/min", "L/h", "mL/h"),
    *("mosm/kg", "osm/kg", "mmol/kg", "mg/kg", "g/kg", "ug/kg", "ng/kg", "pg/mg", "ug/g", "ng/g"),
    *("U/g{Hb}", "U/10*12", "U/10*6", "k[IU]/g", "mL", "L", "dL", "uL", "kg", "g", "mg", "ug"),
    *("ng", "pg", "kg/m2", "m2", "10*3", "10*6", "10*9", "10*-3", "10*-6", "[ppm]", "[ppth]"),
    *("{copies}/10*6{cells}", "mmol/mol", "umol/mol", "nmol/mol", "mol/mol", "g/g", "mg/mg"),
    *("/min", "{beats}/min", "{breaths}/min", "Hz", "/[HPF]", "/[LPF]", "{cells}/[HPF]"),
    *("/{OIF}", "/L", "/mL", "/uL", "/dL", "/nL", "/mm3", "/cm3", "10*9/L", "10*12/L"),
    *("mm3", "10*3/mm3", "10*6/mm3", "pmol/mol", "nmol/min/mL", "nmol/s/L"),
)
MARKED = ("ug/L{FEU}", "mg/L{FEU}", "ng/mL{FEU}", "ug/mL{FEU}", "pg/mL{FEU}")


def wanted() -> Iterator[str]:
    """Yield the UCUM codes that the table holds, repeats included."""
    yield from (f"{top}/{below}" for top in PER_VOLUME for below in VOLUMES)
    for top in CREATININE:
        yield from (f"{top}/{below}{{creat}}" for below in ("g", "mg", "mol", "mmol", "umol"))
    for top in MASSES:
        yield from (f"{top}/{time}" for time in ("d", "h", "min", "(24.h)"))
    yield from (f"{top}/{time}" for top in ("umol", "ug") for time in ("min", "(24.h)"))
    yield from TIMES
    yield from OTHERS
    yield from MARKED
    yield from (each.replace("FEU", "DDU") for each in MARKED)
    for name, column in (
        *(("analytes", "unit"), ("loinc", "unit"), ("ranges", "unit"), ("critical", "unit")),
        *(("unit_aliases", "ucum"), ("score_inputs", "unit")),
    ):
        yield from (row[column] for row in tables.rows(name))
    for row in tables.rows("analytes"):
        yield from (each.partition("=")[0] for each in row.get("usual", "").split())


def made() -> str:
    """Return the table as text."""
    lines = []
    for ucum in sorted(set(wanted())):
        if ucum in units.WITHOUT_UNIT or ucum in units.FRACTIONS or not ucum:
            continue
        try:
            scale, dimension = units.by_registry(ucum)
        except UnknownUnit:
            continue
        powers = " ".join(f"{name}^{power:g}" for name, power in dimension)
        lines.append(f"{ucum}\t{scale!r}\t{powers}\n")
    return HEAD + "".join(lines)


def main(arguments: list[str]) -> int:
    """Write the table, or with `--check` return 1 when it is not what would be written."""
    registry.warm().join()
    text = made()
    if "--check" in arguments:
        same = PATH.read_text("utf-8") == text
        return 0 if same else 1
    PATH.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
