"""Values written as text: a number, a limit, a range of numbers, a dilution.

`5.2`, `<0.01 ng/mL`, `≥90`, `3-5`, `1:80`, `<1:20`, `1.25E+05`, `1:320 颗粒型`. Laboratory systems
send them as text when their field for the value has no type. Only what is written plainly is read.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal

TEXT_MAX = 60
"""Longest text that is read: a sentence may say more than its first words."""
COMPARATORS = {
    **{"<": "<", "<=": "<=", ">": ">", ">=": ">=", "≤": "<=", "≥": ">=", "=<": "<=", "=>": ">="},
    **{"小于": "<", "低于": "<", "大于": ">", "高于": ">", "少于": "<", "大于等于": ">="},
    **{"小于等于": "<=", "不低于": ">=", "不高于": "<=", "⩽": "<=", "⩾": ">="},
}
_NUMBER = r"\d{1,12}(?:\.\d{1,12})?(?:[eE][+-]?\d{1,2})?"
_SIGN = "|".join(sorted(map(re.escape, COMPARATORS), key=len, reverse=True))
_UNIT = r"(?P<unit>[^\d\s<>=≤≥:+\-(（][^\s<>=≤≥]{0,38})?"
_SINGLE = re.compile(rf"(?P<sign>{_SIGN})?\s*(?P<number>-?{_NUMBER})\s*{_UNIT}")
_RANGE = re.compile(rf"(?P<low>{_NUMBER})\s*(?:-|–|—|~|至|到)\s*(?P<high>{_NUMBER})\s*{_UNIT}")
_TITRE = re.compile(rf"(?P<sign>{_SIGN})?\s*1\s*:\s*(?P<number>\d{{1,7}}(?:\.\d{{1,2}})?)")
_POWER = re.compile(
    r"(?P<number>\d(?:\.\d{1,12})?)\s*[×xX*]\s*10\s*(?:\^|\*\*?|(?=[⁰¹²³⁴⁵⁶⁷⁸⁹]))"
    r"(?P<power>[0-9⁰¹²³⁴⁵⁶⁷⁸⁹]{1,2})(?=\s*$|\s+[^\s/]|[a-zA-Z拷])"
)
"""A power of ten that is no part of a unit: `1.2×10^5 copies/mL`, not `5.2×10^9/L`."""
_MARK = re.compile(r"^[↑↓*]\s*(?=\d)|\s*[↑↓]{1,3}$|(?<=\d)(?:\s*\*{1,3}|\s+(?:HH?|LL?))$")
"""Of high or low, beside a number."""
_PATTERN = re.compile(
    r"[,，;；/、(（]?\s*(?:(?:均质|致密|细|粗|核|颗粒|斑点|核仁|着丝点|着丝粒|膜|点|周边|胞浆|胞质)+型|"
    r"homogeneous|(?:fine |coarse |dense fine )?speckled|nucleolar|centromere|nuclear dots?|"
    r"cytoplasmic|rim)(?:\s+pattern)?\s*[)）]?",
    re.IGNORECASE,
)
"""How nuclear antibodies look, beside their titre."""
_TITRE_BESIDE = re.compile(r"\(?\s*1\s*:\s*\d{1,7}\s*\)?")


@dataclass(frozen=True, slots=True)
class Written:
    """A number read from text, with what stood around it."""

    number: Decimal
    written: str
    comparator: str = ""
    unit: str = ""
    high: Decimal | None = None
    """Upper end, when it is a range from `number` to it."""
    titre: bool = False
    """The number is the dilution: 80 of 1:80."""


def read(text: str) -> Written | None:
    """Return the number, limit, range or dilution that a text is; None: it is something else."""
    if not text or len(text) > TEXT_MAX or not any(map(str.isdigit, text)):
        return None
    if "10" in text and (power := _POWER.search(text)):
        figures = unicodedata.normalize("NFKC", power["power"])
        text = f"{text[: power.start()]}{power['number']}E{figures}{text[power.end() :]}"
    plain = unicodedata.normalize("NFKC", text).replace("∶", ":").replace("−", "-").strip()
    if ":" in plain:
        plain = without_pattern(plain)
    elif plain[-1] in "↑↓*HL" or plain[0] in "↑↓*":
        plain = _MARK.sub("", plain)
    if found := _TITRE.fullmatch(plain):
        number, sign = found["number"], COMPARATORS.get(found["sign"] or "", "")
        return Written(Decimal(number), f"1:{number}", sign, titre=True)
    if found := _RANGE.fullmatch(plain):
        low, high = Decimal(found["low"]), Decimal(found["high"])
        written, unit = found["low"], found["unit"] or ""
        return Written(low, written, unit=unit, high=high) if low < high else None
    if found := _SINGLE.fullmatch(plain):
        sign = COMPARATORS.get(found["sign"] or "", "")
        return Written(Decimal(found["number"]), found["number"], sign, found["unit"] or "")
    return None


def without_pattern(text: str) -> str:
    """Return a text without the pattern of nuclear antibodies, `1:320` of `1:320 颗粒型`."""
    return _PATTERN.sub("", text).strip()


def without_titre(text: str) -> str:
    """Return what stands beside a dilution, `阳性` of `阳性(1:320)`; without one, the text."""
    return _TITRE_BESIDE.sub("", text, count=1).strip() if ":" in text else text
