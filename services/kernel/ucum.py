"""UCUM units as people write them. The coded unit stays beside it wherever a program reads it.

Source: The Unified Code for Units of Measure, https://ucum.org/ucum.
"""

from __future__ import annotations

import re

_UNNAMED = frozenset(
    ("1", "[ph]", "{ph}", "{inr}", "{ratio}", "{score}", "{index}", "{sg}", "{titer}")
)
"""Units of plain numbers, in lower case: nobody writes them; a titre has its own `1:`."""
_SPECIAL = (
    ("mm[Hg]", "mmHg"),
    ("m[Hg]", "mHg"),
    ("[H2O]", "H2O"),
    ("[arb'U]", "AU"),
    ("[degF]", "℉"),
    ("(24.h)", "24h"),
    ("mosm", "mOsm"),
)
_CELSIUS = re.compile(r"\bCel\b")
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_ANNOTATION = re.compile(r"(?P<unit>[^\s/.(])?\{(?P<words>[^{}]*)\}")
_MICRO = re.compile(r"\bu(?=(?:mol|g|kat|L|U|IU|m)\b)")
_POWER = re.compile(r"(?<![0-9×])10\*(-?[0-9]+)")
_TIMES = re.compile(r"\bx ?10\^")
_SQUARE_METRE = re.compile(r"\bm2\b")


def readable(ucum: str) -> str:
    """Return a unit for a reader: `mm[Hg]` as mmHg, `umol/L` as µmol/L, `10*9/L` as ×10^9/L.

    Empty for a plain number (`1`, `[pH]`, `{INR}`). What is no UCUM stays as it is, and so does
    what this function returned.
    """
    if ucum.lower() in _UNNAMED:
        return ""
    plain = ucum
    for code, written in _SPECIAL:
        plain = plain.replace(code, written)
    plain = _ANNOTATION.sub(_annotation, _BRACKETS.sub(_bracket, plain))
    plain = _CELSIUS.sub("℃", plain)
    return _SQUARE_METRE.sub("m²", _POWER.sub(r"×10^\1", _MICRO.sub("µ", plain)))


def written(sentence: str) -> str:
    """Return a sentence with the units in it as people write them; other words stay."""
    for code, shown in (*_SPECIAL, ("[IU]", "IU"), ("[pH]", "")):
        sentence = sentence.replace(code, shown)
    sentence = _TIMES.sub("×10^", _MICRO.sub("µ", sentence))
    return _SQUARE_METRE.sub("m²", _POWER.sub(r"×10^\1", sentence))


def _bracket(found: re.Match[str]) -> str:
    """Return `[IU]` as IU, `[in_i]` as in, `[GPL'U]` as GPL U."""
    return found[1].partition("_")[0].replace("'", " ")


def _annotation(found: re.Match[str]) -> str:
    """Return `mg/L{FEU}` as mg/L FEU, `{copies}/mL` as copies/mL."""
    words = found["words"].replace("_", " ")
    return f"{found['unit']} {words}" if found["unit"] else words
