"""Specimens: the class that a printed name means, and which classes an analyte accepts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from services.labs.folding import fold

CLASSES = frozenset(
    {
        *("blood", "arterial", "venous", "capillary", "urine", "urine-24h", "csf", "fluid"),
        *("stool", "sputum", "semen", "marrow", "swab", "other"),
    }
)
"""`blood` is whole blood, serum or plasma, wherever it was drawn; names rarely say which."""

_ACCEPTED: Mapping[str, frozenset[str]] = {
    "blood": frozenset({"blood", "venous", "capillary", "arterial"}),
    "urine": frozenset({"urine", "urine-24h"}),
}
"""Classes of a stated specimen that an analyte of a class accepts, besides its own."""

_WORDS: tuple[tuple[str, str], ...] = (
    *(("24小时尿", "urine-24h"), ("24h尿", "urine-24h"), ("24hoururine", "urine-24h")),
    *(("24hurine", "urine-24h"), ("urine24h", "urine-24h"), ("动脉血", "arterial")),
    *(("arterialblood", "arterial"), ("arterial", "arterial"), ("静脉血", "venous")),
    *(("venousblood", "venous"), ("venous", "venous"), ("末梢血", "capillary")),
    *(("毛细血管血", "capillary"), ("指血", "capillary"), ("足跟血", "capillary")),
    *(("capillaryblood", "capillary"), ("capillary", "capillary"), ("fingerstick", "capillary")),
    *(("serumorplasma", "blood"), ("serplas", "blood"), ("ser/plas", "blood")),
    *(("serum/plasma", "blood"), ("wholeblood", "blood"), ("serum", "blood"), ("plasma", "blood")),
    *(("血清", "blood"), ("血浆", "blood"), ("全血", "blood"), ("抗凝血", "blood")),
    *(("脑脊液", "csf"), ("cerebrospinalfluid", "csf"), ("cerebralspinalfluid", "csf")),
    *(("csf", "csf"), ("spinalfluid", "csf"), ("胸腹水", "fluid"), ("胸水", "fluid")),
    *(("胸腔积液", "fluid"), ("腹水", "fluid"), ("腹腔积液", "fluid"), ("关节液", "fluid")),
    *(("心包积液", "fluid"), ("浆膜腔积液", "fluid"), ("引流液", "fluid"), ("体液", "fluid")),
    *(("pleuralfluid", "fluid"), ("peritonealfluid", "fluid"), ("asciticfluid", "fluid")),
    *(("synovialfluid", "fluid"), ("bodyfluid", "fluid"), ("ascites", "fluid")),
    *(("尿沉渣", "urine"), ("尿液", "urine"), ("中段尿", "urine"), ("晨尿", "urine")),
    *(("随机尿", "urine"), ("urinesediment", "urine"), ("urine", "urine"), ("尿", "urine")),
    *(("粪便", "stool"), ("大便", "stool"), ("stool", "stool"), ("feces", "stool")),
    *(("痰", "sputum"), ("sputum", "sputum"), ("精液", "semen"), ("semen", "semen")),
    *(("骨髓", "marrow"), ("bonemarrow", "marrow"), ("咽拭子", "swab"), ("鼻咽拭子", "swab")),
    *(("拭子", "swab"), ("swab", "swab"), ("羊水", "other"), ("胃液", "other"), ("汗液", "other")),
    *(("唾液", "other"), ("saliva", "other"), ("amnioticfluid", "other"), ("dialysate", "other")),
    *(("透析液", "other"), ("血液", "blood"), ("blood", "blood"), ("血", "blood")),
)
"""Folded words, the longer before the shorter that they hold."""

_CODES: Mapping[str, str] = {
    **{"ser": "blood", "plas": "blood", "bld": "blood", "ppp": "blood", "wb": "blood"},
    **{"blda": "arterial", "bldv": "venous", "bldc": "capillary", "bldcoa": "other"},
    **{"bldcov": "other", "u": "urine", "ur": "urine", "uri": "urine", "stl": "stool"},
    **{"blood,arterial": "arterial", "blood,venous": "venous", "blood,capillary": "capillary"},
    **{"flu": "fluid", "plr": "fluid", "prt": "fluid", "snv": "fluid", "s": "blood", "p": "blood"},
    **{"b": "blood"},
}
"""HL7 table 0070 and 0487 codes, LOINC system abbreviations, folded."""
_OF_LOINC_NAME = re.compile(
    r"\s+(?:in|of)\s+(?:the\s+)?(?P<specimen>(?:serum|plasma|blood|arterial|venous|capillary|"
    r"urine|cerebral|cerebrospinal|body|platelet|stool|red)[a-z ,]*?)"
    r"(?:\s+by\s+.*)?$",
    re.IGNORECASE,
)


@lru_cache(maxsize=1024)
def class_of(text: str) -> str:
    """Return the class that a specimen's name or code means; empty: none that is known."""
    if not text:
        return ""
    key = fold(text)
    if found := _CODES.get(key):
        return found
    for word, found in _WORDS:
        if word in key:
            return found
    return ""


def apart(name: str) -> tuple[str, str]:
    """Return a folded name without the specimen that stands in it, and the specimen's class.

    `血清肌酐`, `肌酐(尿)`, `Sodium [Moles/volume] in Serum or Plasma`, `Glucose, urine`.
    """
    if found := _OF_LOINC_NAME.search(name):
        inner = found["specimen"].lower()
        specimen = "blood" if inner.startswith(("platelet", "red")) else class_of(inner)
        return fold(re.sub(r"\[[^\]]*\]", "", name[: found.start()])), specimen
    key = fold(name)
    for word, found_class in _WORDS:
        for rest in (key.removeprefix(word), key.removesuffix(word)):
            if rest != key and rest:
                return rest, found_class
    return key, ""


_UNUSABLE = re.compile(
    r"(?<![不未无非])(?:溶血|凝固|凝块)|乳糜|脂血|标本量?(?:不足|少|太少)|量不足|量少|不合格|拒收|退检|退回|"
    r"未收到|未送|容器错|抽错|标本错|污染|(?<!not )(?<!non-)(?:ha?emoly[sz]ed|clotted)|"
    r"insufficient|\bqns\b|unsuitable|lipa?emic|rejected|not received|no (?:sample|specimen)|"
    r"leaked|contaminated|mislabell?ed|wrong (?:tube|container)",
    re.IGNORECASE,
)
UNUSABLE_MAX = 60


@lru_cache(maxsize=512)
def unusable(text: str) -> bool:
    """Tell whether a text that stands for a value says that the specimen could not be used.

    A text with a figure may hold a value beside it, and is none.
    """
    short = bool(text) and len(text) <= UNUSABLE_MAX and not any(map(str.isdigit, text))
    return short and _UNUSABLE.search(text) is not None


def narrower(stated: str, named: str, name: str) -> str:
    """Return the class to hold a name to: the stated one, else that in the name.

    Blood is where it was drawn, if the name says so: 动脉血pH of a line whose specimen is 全血.
    """
    if stated != "blood":
        return stated or named
    inner = named or apart(name)[1]
    return inner if inner in _ACCEPTED["blood"] else stated


def accepts(analyte_class: str, stated: str) -> bool:
    """Tell whether an analyte of a class is measured in a stated specimen."""
    return stated == analyte_class or stated in _ACCEPTED.get(analyte_class, ())
