"""Codes that can be told from an identifier by their form, and units of measure.

A code is kept when its scheme's check digit or form proves it; a local code may be a record
number in disguise. Sources: LOINC Users' Guide (mod 10 check digit); SNOMED CT TIG (Verhoeff);
DICOM PS3.16; UCUM.
"""

from __future__ import annotations

import re

from services.anonymization import vocabulary

_D5 = (
    *(
        (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
        (1, 2, 3, 4, 0, 6, 7, 8, 9, 5),
        (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    ),
    *(
        (3, 4, 0, 1, 2, 8, 9, 5, 6, 7),
        (4, 0, 1, 2, 3, 9, 5, 6, 7, 8),
        (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    ),
    *(
        (6, 5, 9, 8, 7, 1, 0, 4, 3, 2),
        (7, 6, 5, 9, 8, 2, 1, 0, 4, 3),
        (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    ),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)
"""Multiplication in the dihedral group D5."""
_STEP = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
"""The permutation Verhoeff applies once more at each place."""
_LOINC = re.compile(r"(\d{1,6})-(\d)")
_SNOMED = re.compile(r"[1-9]\d{5,17}")
_DICOM = re.compile(r"1[0-3]\d{4}")
_SNOMED_RT = re.compile(r"[A-Z][0-9A-F]?-[0-9A-F]{4,5}")
_RADLEX = re.compile(r"RID\d{1,6}")

SCHEMES = frozenset(("SCT", "SRT", "SNM3", "DCM", "LN", "UCUM", "RADLEX", "FMA", "NCIt", "ACR"))
"""Coding Scheme Designators that are kept (PS3.16 chapter 8)."""

_UNIT_WORDS = vocabulary.read("units.txt")
_UNIT_PART = re.compile(r"[A-Za-zμµ]+\d?|[\u4e00-\u9fff]+")
_UNIT_SIGNS = re.compile(r"[\d\s./*^%{}()\[\]'\"+\-×·℃°‰％²³⁹¹⁶_,:]*")
UNIT_LENGTH_MAX = 32


def is_loinc(code: str) -> bool:
    """Tell whether a code has LOINC's form and check digit."""
    found = _LOINC.fullmatch(code)
    if not found:
        return False
    total = 0
    for place, digit in enumerate(reversed(found[1])):
        value = int(digit) * (1 if place % 2 else 2)
        total += value // 10 + value % 10
    return (10 - total % 10) % 10 == int(found[2])


def is_snomed(code: str) -> bool:
    """Tell whether a code has a SNOMED CT identifier's form and check digit."""
    if not _SNOMED.fullmatch(code) or code[-3:-1] not in {"00", "10"}:
        return False
    check = 0
    for place, digit in enumerate(reversed(code)):
        value = int(digit)
        for _ in range(place % 8):
            value = _STEP[value]
        check = _D5[check][value]
    return check == 0


def is_dicom_code(code: str) -> bool:
    """Tell whether a code value in a DICOM code sequence is one of a public scheme."""
    forms = (_DICOM, _SNOMED_RT, _RADLEX)
    return (
        any(form.fullmatch(code) for form in forms)
        or is_loinc(code)
        or is_snomed(code)
        or is_unit(code)
    )


def is_unit(text: str) -> bool:
    """Tell whether a text is made of units of measure, figures and signs alone."""
    if len(text) > UNIT_LENGTH_MAX or sum(map(str.isdigit, text)) > 6:
        return False
    rest = text
    for part in sorted(_UNIT_PART.findall(text), key=len, reverse=True):
        word = part.rstrip("0123456789").lower()
        if word not in _UNIT_WORDS and part.lower() not in _UNIT_WORDS:
            return False
        rest = rest.replace(part, "", 1)
    return bool(_UNIT_SIGNS.fullmatch(rest))
