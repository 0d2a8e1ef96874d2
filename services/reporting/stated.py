"""What a note states of results and vital signs: numbers ("血钾6.8mmol/L") and words ("血钾正常").

Only what is said of now: an earlier value, an aim, a condition or a plan is left out, and so are
past and family history and the plan. Linear in the length of the text. A number without a unit
counts where it is a value that a person can have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dxmesh.nlp.v1 import note_findings_pb2 as pb

from services.reporting.analytes import ANALYTES, Analyte

_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
ELSEWHERE = frozenset((pb.SECTION_PAST_HISTORY, pb.SECTION_FAMILY_HISTORY, pb.SECTION_PLAN))
NOT_NOW = re.compile(
    r"既往|曾|[年月周日天]前|以前|上次|外院|平素|平时|最高|最低|基线|目标|控制在|如果|若|一旦|监测|复查"
    r"|建议|拟|待查|预防|维持在|previous|prior|last (?:year|month|week)|history of|\bago\b|baseline"
    r"|goal|target|\bif\b|recheck|repeat|monitor|will |should|outside hospital",
    re.IGNORECASE,
)
"""A clause with one of these does not speak of the present."""
_CLAUSE = re.compile(r"[。；;！？!?\n]|(?<![0-9])[,.，](?![0-9])")
_BEFORE = r"(?<![前量化尿球接胞低高直间游离脑])"
_WORDS = {
    **dict.fromkeys(("未见升高", "未升高", "无升高", "不高", "无明显升高"), "not-high"),
    **dict.fromkeys(("升高", "增高", "偏高", "增多", "明显升高", "高"), "high"),
    **dict.fromkeys(("降低", "减低", "偏低", "下降", "减少", "低"), "low"),
    **dict.fromkeys(("正常", "正常范围", "未见异常", "无异常", "无明显异常"), "normal"),
    **dict.fromkeys(("within normal limits", "normal", "unremarkable"), "normal"),
    **dict.fromkeys(("阳性", "positive"), "positive"),
    **dict.fromkeys(("阴性", "negative"), "negative"),
    **dict.fromkeys(("elevated", "high", "raised", "increased"), "high"),
    **dict.fromkeys(("decreased", "reduced", "low"), "low"),
    **dict.fromkeys(("not elevated", "not raised"), "not-high"),
}
_WORD = "|".join(sorted(map(re.escape, _WORDS), key=len, reverse=True))
_LINK = (
    r"(?:\s|为|是|:|=|约|达|至|升|降|检测|检查|结果|均|都|明显|轻度|中度|重度|显著|稍|略|基本|大致"
)
_LINK += r"|在|处于|was|is|were|are|of|level|levels|remains|count){0,8}?"
_AFTER = re.compile(
    rf"{_LINK}(?:(?P<sign>[<>≤≥])?\s*(?P<number>[0-9]{{1,6}}(?:\.[0-9]{{1,3}})?)"
    rf"(?![0-9]|\.[0-9]|\s*[-~至]\s*[0-9]|/[0-9])(?P<gap>\s?)(?P<rest>[^,，。;；\s]{{0,14}}(?: FEU)?)"
    rf"|(?P<word>{_WORD}))",
    re.IGNORECASE,
)
_PREFIX = re.compile(
    r"(normal|elevated|high|raised|increased|low|decreased|reduced)\s+(?:serum |blood )?$",
    re.IGNORECASE,
)
_JOIN = re.compile(r"\s*(?:[、,，/]|和|及|与|and)?\s*")
VITAL = re.compile(
    r"(?P<bp>(?:血压|\bBP\b|blood pressure)[^0-9。;\n]{0,8}(?P<sbp>[0-9]{2,3})\s*/\s*"
    r"(?P<dbp>[0-9]{2,3})(?:\s*mmHg)?)"
    r"|(?:体温|\bTemp(?:erature)?|\bT)[^0-9。;\n]{0,6}(?P<temperature>(?:3[3-9]|4[0-3])"
    r"(?:\.[0-9]{1,2})?)\s*(?:℃|°C?|度|C\b)"
    r"|(?:心率|脉搏|\bHR|\bP(?:ulse)?|heart rate)[^0-9。;\n]{0,6}(?P<heart>[0-9]{2,3})\s*"
    r"(?:次|bpm|/min|beats)"
    r"|(?:呼吸(?:频率)?|\bRR?|respiratory rate)[^0-9。;\n]{0,6}(?P<breaths>[0-9]{1,2})\s*"
    r"(?:次|/min|breaths)"
    r"|(?:SpO2|血氧饱和度|指脉氧|氧饱和度|oxygen saturation|O2 sat(?:uration)?|\bsats?)"
    r"[^0-9。;\n]{0,10}(?P<spo2>[0-9]{2,3})\s*%"
    r"|\bGCS(?:评分)?[^0-9。;\n]{0,4}(?P<gcs>[0-9]{1,2})(?![0-9])",
    re.IGNORECASE,
)
_VITALS = {
    **{"sbp": ("sbp", 40, 300), "dbp": ("dbp", 10, 200), "temperature": ("temperature", 25, 45)},
    **{"heart": ("heart-rate", 20, 300), "breaths": ("respiratory-rate", 4, 80)},
    **{"spo2": ("spo2", 30, 100), "gcs": ("gcs", 3, 15)},
}


@dataclass(frozen=True, slots=True)
class Claim:
    """What a note states of one analyte or vital sign: text[start:end] of it."""

    what: str
    """Id of the analyte, or name of the vital sign."""
    start: int
    end: int
    written: str
    number: float | None = None
    """In the canonical unit."""
    word: str = ""
    """high, low, normal, not-high, positive, negative; empty for a number."""


def _pattern() -> tuple[re.Pattern[str], dict[str, Analyte]]:
    named = {name: each for each in ANALYTES.values() for name in each.names}
    parts = []
    for name in sorted(named, key=len, reverse=True):
        escaped = re.escape(name)
        if name[0].isascii():
            escaped = rf"(?<![A-Za-z0-9]){escaped}(?![A-Za-z0-9])"
            parts.append(escaped if name.isupper() or len(name) <= 4 else f"(?i:{escaped})")
        else:
            parts.append(rf"{_BEFORE}{escaped}(?!脱|酯|清除|压积|分布|转移|受体|抗体|A1c)")
    lower = {name.casefold(): each for name, each in named.items()}
    return re.compile("|".join(parts)), lower


_NAMES, _BY_NAME = _pattern()


def results(note: pb.NoteText) -> Iterator[Claim]:
    """Yield what a note states of laboratory values."""
    flat = note.text.translate(_WIDE)
    waiting: list[re.Match[str]] = []
    for name in _NAMES.finditer(flat):
        if waiting and not _JOIN.fullmatch(flat, waiting[-1].end(), name.start()):
            waiting.clear()
        waiting.append(name)
        before = _PREFIX.search(flat, max(0, name.start() - 24), name.start())
        after = _AFTER.match(flat, name.end(), name.end() + 60)
        if before is None and after is None:
            continue
        if _is_now(note, flat, name.start()):
            yield from _claims(flat, waiting, before, after)
        waiting = []


def vital_signs(note: pb.NoteText) -> Iterator[Claim]:
    """Yield the vital signs that a note states."""
    flat = note.text.translate(_WIDE)
    for match in VITAL.finditer(flat):
        if not _is_now(note, flat, match.start()):
            continue
        for group, (what, low, high) in _VITALS.items():
            if match[group] and low <= float(match[group]) <= high:
                written = flat[match.start() : match.end()]
                yield Claim(what, match.start(), match.end(), written, float(match[group]))


def _claims(
    flat: str,
    names: list[re.Match[str]],
    before: re.Match[str] | None,
    after: re.Match[str] | None,
) -> Iterator[Claim]:
    """Yield what is said of the names of one list: a word is of all, a number of the last."""
    if after is not None and after["number"]:
        made = _number(flat, names[-1], after)
        if made:
            yield made
        return
    word = (after["word"] if after else before[1] if before else "").casefold()
    for name in names:
        start = before.start() if before and not after else name.start()
        end = after.end() if after else name.end()
        what = _BY_NAME[name[0].casefold()]
        yield Claim(what.id, start, end, flat[start:end].strip(), None, _WORDS[word])


def _number(flat: str, name: re.Match[str], after: re.Match[str]) -> Claim | None:
    what = _BY_NAME[name[0].casefold()]
    if after["sign"] or not what.unit:
        return None
    rest = after["rest"].replace("×", "").lstrip("*x ")
    units = sorted(what.factors, key=lambda pair: -len(pair[0]))
    unit, factor = next(
        ((unit, factor) for unit, factor in units if rest.startswith(unit.lstrip("×*x"))), ("", 1.0)
    )
    if rest[:1].isalpha() and not unit and not after["gap"]:  # a unit that we do not know
        return None
    value = float(after["number"]) * factor
    if not what.low <= value <= what.high:
        return None
    behind = after["rest"].find(rest) + len(unit.lstrip("×*x"))
    end = after.start("rest") + behind if unit else after.end("number")
    return Claim(what.id, name.start(), end, flat[name.start() : end].strip(), value)


def _is_now(note: pb.NoteText, flat: str, place: int) -> bool:
    """Tell whether a place of a note speaks of the present illness."""
    section = pb.SECTION_UNSPECIFIED
    for each in note.sections:
        if each.body.start <= place < each.body.end:
            section = each.section
    if section in ELSEWHERE:
        return False
    start = max((m.end() for m in _CLAUSE.finditer(flat, max(0, place - 60), place)), default=0)
    start = max(start, place - 60, 0)
    end = _CLAUSE.search(flat, place, place + 40)
    return NOT_NOW.search(flat, start, end.start() if end else place + 40) is None
