"""What a laboratory wrote beside its results, read for the state of the specimen. Pure.

Words are read clause by clause; one that denies, asks or recommends says nothing of the specimen.
Nothing is changed by them: the result stays, with its flag, and says what was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from services.labs.panel import Measured
from services.labs.reasons import Remark

CORRECTED = frozenset({"corrected", "amended"})


class SpecimenHaemolysed(Remark):
    """The laboratory wrote that the specimen was haemolysed."""


class SpecimenClotted(Remark):
    """The laboratory wrote that the specimen had clotted, or that platelets clumped."""


class SpecimenLipaemic(Remark):
    """The laboratory wrote that the specimen was lipaemic."""


class SpecimenIcteric(Remark):
    """The laboratory wrote that the specimen was icteric."""


class SpecimenInsufficient(Remark):
    """The laboratory wrote that there was too little of the specimen."""


class SpecimenContaminated(Remark):
    """The laboratory wrote that the specimen was contaminated or diluted."""


class ResultCorrected(Remark):
    """Its status says that it takes the place of an earlier one."""


class ResultVerified(Remark):
    """The laboratory wrote that the result was repeated or verified."""


_CLAUSES = re.compile(r"[,，。;；!！?？、\n…]|\.(?!\d)|\bbut\b|但")
_NO = re.compile(
    r"无|未|没有|不|非|否|排除|阴性|\bno\b|\bnot\b|\bnon\b|non-|without|negative|"
    r"(?<!量)建议|请|待|需|如有|如果|\bplease\b|recommend|suggest|should|\bif\b|pending",
    re.IGNORECASE,
)
_STILL = re.compile(
    r"不合格|不合要求|不足|不够|不能|不可|不宜|无法|无误|未能|不符合|unable to|unusable|cannot|"
    r"not suitable|not sufficient|not enough",
    re.IGNORECASE,
)
"""Words that begin like a denial and are none."""
_PATTERNS: tuple[tuple[Callable[[str], Remark], str, re.Pattern[str]], ...] = tuple(
    (kind, text, re.compile(pattern, re.IGNORECASE))
    for kind, text, pattern in (
        (
            SpecimenHaemolysed,
            "the laboratory wrote that the specimen was haemolysed",
            r"(?<!抗)溶血(?!素|性|病|尿|试验|毒|指数)|\bha?emoly[sz]ed\b|\bha?emolysis\b(?! index)",
        ),
        (
            SpecimenClotted,
            "the laboratory wrote that the specimen was clotted or clumped",
            r"凝固(?!酶|时间|功能|因子|法|点)|凝块(?!收缩)|凝血块|纤维蛋白丝|纤维丝|血小板聚集(?!率|试验|功能)|"
            r"\bclot(?:ted|s)?\b(?! retraction)|\bclump(?:ed|ing|s)\b|fibrin strands?",
        ),
        (
            SpecimenLipaemic,
            "the laboratory wrote that the specimen was lipaemic",
            r"(?<!高)脂血(?!症)|乳糜(?!尿|胸|腹)|\blipa?emi[ac]\b|\bchylous\b",
        ),
        (
            SpecimenIcteric,
            "the laboratory wrote that the specimen was icteric",
            r"(?:标本|样本|血清|血浆).{0,4}黄疸|\bicteric\b",
        ),
        (
            SpecimenInsufficient,
            "the laboratory wrote that there was too little of the specimen",
            r"(?:标本|样本|采血|血|尿)?量(?:不足|不够|过少|太少|偏少|少)|\bqns\b|not sufficient|"
            r"insufficient (?:sample|specimen|volume|quantity)|(?:sample|volume) insufficient",
        ),
        (
            SpecimenContaminated,
            "the laboratory wrote that the specimen was contaminated or diluted",
            r"污染|(?:输液|药物).{0,4}(?:稀释|影响|干扰)|\bcontaminated\b|\bcontamination\b|"
            r"(?:drip|infusion) (?:arm|contaminat)",
        ),
        (
            ResultVerified,
            "the laboratory wrote that the result was repeated or verified",
            r"(?:已|经).{0,3}(?:复查|复检|复测|复核|核实|核对|重复|确认)|(?:复查|复检|复测|复核|重复|镜检)"
            r".{0,4}(?:核实|确认|无误|一致|相符)|\brechecked\b|\bverified\b|\breconfirmed\b|"
            r"\brepeated\b(?! failure)|confirmed (?:by|on) (?:repeat|dilution|film)",
        ),
    )
)


@lru_cache(maxsize=4096)
def remarks(text: str) -> tuple[Remark, ...]:
    """Return what a comment says of the specimen or of the result."""
    found: dict[type[Remark], Remark] = {}
    for clause in _clauses(text):
        for kind, words, pattern in _PATTERNS:
            if pattern.search(clause):
                made = kind(words)
                found.setdefault(type(made), made)
    return tuple(found.values())


def of_result(item: Measured) -> tuple[Remark, ...]:
    """Return what was written beside a result, each thing once, and that it is a correction."""
    found = {type(each): each for text in item.notes for each in remarks(text)}
    said = tuple(found.values())
    if item.status in CORRECTED:
        said = (ResultCorrected("the laboratory sent it as a correction"), *said)
    return said


def _clauses(text: str) -> Iterator[str]:
    for clause in _CLAUSES.split(text):
        if clause.strip() and not _NO.search(_STILL.sub("", clause)):
            yield clause
