"""Values a note states: vital signs, laboratory values and answers, how far a pregnancy is.

A name of `measurements.tsv`, and right behind it a number with a unit of that analyte. The unit
chooses the LOINC code. A number that cannot be meant, or whose unit is of something else
(10% 氯化钾 10 ml), is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.nlp import tables
from services.nlp.headings import Section
from services.nlp.phrases import Match, Phrases
from services.nlp.tokens import Token, narrow

SHORT, EXACT = 2, 4
"""Letters: a name so short needs a unit, outside results (K, P); is matched as it is written."""
MEASURED = frozenset((Section.EXAMINATION, Section.INVESTIGATIONS))
NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,2}(?![0-9])|[0-9]{1,7}(?:\.[0-9]{1,4})?)"
UNIT = (
    r"(?P<unit>[×xX*·]?[ ]?10[ ]?[\^*]?[ ]?(?:9|12|3|6|⁹|¹²)[ ]?/[ ]?[uμµ]?[Ll]"
    r"|次/(?:分钟?|min)|毫米汞柱|公斤|千克|厘米|摄氏度|[米分秒周斤℃℉%]|[°º][ ]?[CF]"
    r"|beats(?: per minute|/min)|breaths(?: per minute|/min)|degrees [CF]|mm Hg"
    r"|mL/\(min·1\.73 ?m[2²]\)"
    r"|[A-Za-zμµ]{1,8}(?:[\^]?[0-9²])?(?:/[A-Za-z0-9μµ²^]{1,6}(?:\.[0-9]{1,2}m\^?[2²])?){0,3}|/(?:min|[uμµ]L|mm3))"
)
BETWEEN = re.compile(
    r"(?:计数|绝对值|百分比|比例|值|水平|浓度|结果|定量|测定|检测|检查|示|为|约|是|高达|最高|最低"
    r"|达|升高|升|降低|降|至|于|到|波动|控制|在|了|仅|稍高|偏高|偏低|明显|about|approximately|was|is"
    r"|of|at|were|level|count|elevated|high|low|up to|down to|came back|measured|reading|today"
    r"|on admission|\([A-Za-z0-9+\-]{1,12}\)"
    rf"|[由从自][ ]?{NUMBER}[ ]?[A-Za-zμµ/%0-9^×*⁹]{{0,10}}|[ \t:=(,↑↓]){{0,6}}+",
    re.IGNORECASE,
)
COMPARED = r"(?P<comparator><=|>=|[<>≤≥])?[ ]?"
VALUE = re.compile(
    rf"{COMPARED}(?P<value>{NUMBER})(?:[ ]?[-~至][ ]?(?P<high>{NUMBER}))?(?![0-9]|\.[0-9])"
    rf"(?:[ ]?{UNIT})?"
)
PRESSURE = re.compile(
    r"(?P<comparator>)(?P<value>[0-9]{2,3})(?:[ ]?/[ ]?| over )(?P<high>[0-9]{2,3})(?![0-9/])"
    rf"(?:[ ]?{UNIT})?"
)
ORDINAL = re.compile(
    r"(?:定性|检测|检查|抗原|抗体|试验|结果|培养|示|为|呈|均|是|was|were|is|came back"
    r"|returned|tested|[ \t:]){0,5}+(?P<value>弱?阳性|阴性|\([+-]{1,4}\)|[1-4][ ]?\+|\+{1,4}|±"
    r"|(?:weakly |strongly )?positive|negative|trace)(?![A-Za-z])",
    re.IGNORECASE,
)
ANSWERED = frozenset(("阳", "阴", "+", "-", "±", "positive", "negative", "trace"))
BARE_END = re.compile(
    r"[ ]?(?:[,;。.、()↑↓\n]|$|(?:and|on|with|at|but|in|up|from|pulse|right|left)\b)"
    r"|[ ]+[A-Z][A-Za-z0-9]{0,7}\b"
)
"""What may follow a number without a unit; so may the next name of a list (HR 118 BP 104/68)."""
NEXT = re.compile(r"[A-Z]{1,5}[0-9]?(?![a-z])|[A-Z][a-z]{1,7}$|[A-Z][a-z][A-Z]")
OF_ELSE = frozenset(("g", "mg", "ml", "ug", "units", "tablet", "tablets", "days", "weeks", "years"))
"""What looks like a unit and is the next name."""
GLUED = re.compile(r"[0-9 ]{0,3}\([+-]")
"""Behind P63 and the like: a stain, no pulse."""
GESTATION = re.compile(
    r"(?:孕|妊娠|停经|孕周)[ ]?(?:大?约|已|近)?[ ]?(?P<zh>[1-4]?[0-9](?:\+[0-6])?)[ ]?周"
    r"(?:\+[0-6]天?|[0-6]天)?"
    r"|\b(?P<en>[0-9]{1,2}(?:[ ]?[ +][0-6]/7|[ ]?\+[ ]?[0-6]|w[0-6]d?)?)[ -]?(?:weeks?|wks?)?"
    r"(?:[ -](?:and )?[0-6] days?)?[ -]"
    r"(?:pregnant|gestation(?:al age)?|iup|of (?:gestation|pregnancy))\b"
    r"|\b(?P<wd>[1-4]?[0-9]w[0-6]d)\b"
    r"|\b(?:gestational age|e?ga)(?: of| is| was|:)?[ ]?"
    r"(?P<ga>[0-9]{1,2}(?:[ ]?[ +][0-6]/7|\+[0-6]|w[0-6]d?)?)(?:[ ]?weeks?)?",
    re.IGNORECASE,
)
PREGNANCIES = re.compile(
    r"(?:\bG[ ]?(?P<g>[0-9]{1,2})[ ,]{0,2}P[ ]?(?P<p>[0-9]{1,2})(?![0-9])"
    r"|孕(?P<gz>[0-9]{1,2})[ ]?产(?P<pz>[0-9]{1,2})"
    r"|(?i:gravida)[ ]?(?P<ge>[0-9]{1,2})[ ,]{0,2}(?i:para)[ ]?(?P<pe>[0-9]{1,2})(?![0-9]))"
)


@dataclass(frozen=True, slots=True)
class Analyte:
    """What is measured, with the units of one property and the LOINC code of that."""

    en: str
    zh: str
    loinc: str
    units: frozenset[str]
    low: float
    high: float
    kind: str


@dataclass(frozen=True, slots=True)
class Value:
    """A value at [start, end) of the text; numbers and unit as written."""

    start: int
    end: int
    en: str
    zh: str
    loinc: str
    value: str
    high: str = ""
    comparator: str = ""
    unit: str = ""


SAME = str.maketrans({"μ": "u", "µ": "u", "⁹": "9", "²": "2", " ": None, "×": None, "*": "^"})


def plain(unit: str) -> str:
    """Return what units are compared by: "×10⁹/L" and "10^9/L" are one."""
    return unit.translate(SAME).casefold().lstrip("x·^").replace("109/l", "10^9/l")


def _load() -> tuple[dict[str, list[Analyte]], Phrases[str], frozenset[str]]:
    found: dict[str, list[Analyte]] = {}
    names: list[tuple[str, str]] = []
    exact: set[str] = set()
    for row in tables.rows("measurements"):
        units = frozenset(plain(each) for each in tables.names(row["units"]))
        low, high = float(row["low"] or 0), float(row["high"] or "inf")
        analyte = Analyte(row["en"], row["zh"], row["loinc"], units, low, high, row["kind"])
        found.setdefault(row["en"], []).append(analyte)
        if row["kind"] in ("gestation", "count"):
            continue
        for name in (row["zh"], *tables.names(row["names_zh"]), *tables.names(row["names_en"])):
            names.append((name, row["en"]))
            if name.isascii():
                exact |= {name, name.capitalize(), name.upper()} if len(name) > SHORT else {name}
    return found, Phrases(names), frozenset(exact)


ANALYTES, NAMES, EXACTLY = _load()
FIRST_OF = {name: rows[0] for name, rows in ANALYTES.items()}


def find(text: str, tokens: Sequence[Token], section: Section) -> list[Value]:
    """Return the values in the sentence made of `tokens`, in order, none overlapping."""
    if not any(token.key.isdigit() or token.key in ANSWERED for token in tokens):
        return []
    start = tokens[0].start
    flat = narrow(text[start : tokens[-1].end])
    result: list[Value] = []
    short: list[Value] = []
    end = 0
    for match in NAMES.find(tokens):
        if tokens[match.first].start < end or not _is_written_so(text, tokens, match):
            continue
        value = _behind(text, flat, tokens, match)
        if value is None:
            continue
        end = value.end
        length = tokens[match.last - 1].end - value.start
        is_sure = value.unit or length > SHORT or not value.value[:1].isdigit()
        (result if is_sure else short).append(value)
    # "K 5.9" is a value among others, "P 2" alone is none.
    result += short if result or section in MEASURED else []
    result += _pregnancy(text, flat, start)
    return sorted(result, key=lambda each: each.start)


def _is_written_so(text: str, tokens: Sequence[Token], match: Match[str]) -> bool:
    written = text[tokens[match.first].start : tokens[match.last - 1].end]
    if written.isupper() and text[tokens[0].start : tokens[-1].end].isupper():
        return True  # in a note all in capitals
    return len(written) > EXACT or not written.isascii() or written in EXACTLY


DOSED = frozenset(["g", "mg", "ml", "ug", "units", "tablet", "tablets", "days", "weeks", "years"])
"""Behind a name without a value's own unit they tell a dose or a time, not a measurement."""


def _behind(text: str, flat: str, tokens: Sequence[Token], match: Match[str]) -> Value | None:
    """Return the value behind a name."""
    offset = tokens[0].start
    first, last = tokens[match.first].start, tokens[match.last - 1].end
    rows = ANALYTES[match.value]
    if rows[0].kind == "ordinal":
        return _answered(text, flat, rows[0], first, last, offset)
    gap = BETWEEN.match(flat, last - offset)
    place = gap.end() if gap else last - offset
    found = (PRESSURE if rows[0].kind == "pressure" else VALUE).match(flat, place)
    if found is None:
        return None
    unit = found["unit"] or ""
    fitting = _fitting(rows, found["value"], unit)
    stop = found.end()
    if not fitting and unit:
        # "K 4.1 and", "BP 120/80 today": a word is no unit.
        unit, stop = "", found.start("unit")
        word = found["unit"]
        is_word = flat[stop - 1] == " " and (NEXT.match(word) or (word.islower() and len(word) > 1))
        fitting = _fitting(rows, found["value"], "") if is_word else []
        if word.lower() in DOSED:
            fitting = []
    elif not unit and (not BARE_END.match(flat, stop) or GLUED.match(flat, stop)):
        fitting = []
    if not fitting:
        return None
    codes = {each.loinc for each in fitting}
    stop = len(flat[:stop].rstrip())
    return Value(
        first,
        offset + stop,
        rows[0].en,
        rows[0].zh,
        codes.pop() if len(codes) == 1 else "",
        found["value"].replace(",", ""),
        (found["high"] or "").replace(",", ""),
        found["comparator"] or "",
        text[offset + found.start("unit") : offset + found.end("unit")] if unit else "",
    )


def _answered(
    text: str, flat: str, analyte: Analyte, first: int, last: int, offset: int
) -> Value | None:
    """Return the answer in words or signs behind a name."""
    found = ORDINAL.match(flat, last - offset)
    if found is None:
        return None
    begin, end = offset + found.start("value"), offset + found.end("value")
    return Value(first, end, analyte.en, analyte.zh, analyte.loinc, text[begin:end])


def _fitting(rows: Sequence[Analyte], value: str, unit: str) -> list[Analyte]:
    number = float(value.replace(",", ""))
    return [
        each
        for each in rows
        if (plain(unit) in each.units if unit else each.low <= number <= each.high)
        and (each.kind == "lab" or each.low <= number <= each.high)
    ]


def _pregnancy(text: str, flat: str, offset: int) -> Iterator[Value]:
    if not any(word in flat for word in ("孕", "妊", "停经", "G", "g", "P", "p", "w")):
        return
    for match in GESTATION.finditer(flat):
        name = match.lastgroup or ""
        weeks = match[name]
        analyte = FIRST_OF["Gestational age"]
        number = re.match(r"[0-9]+", weeks)
        if number and analyte.low <= int(number.group()) <= analyte.high:
            unit = "周" if name == "zh" else "weeks"
            yield Value(
                offset + match.start(),
                offset + match.end(),
                analyte.en,
                analyte.zh,
                analyte.loinc,
                text[offset + match.start(name) : offset + match.end(name)],
                unit=unit if unit in match.group() else "",
            )
    for match in PREGNANCIES.finditer(flat):
        for groups, name in ((("g", "gz", "ge"), "Pregnancies"), (("p", "pz", "pe"), "Parity")):
            group = next(each for each in groups if match[each] is not None)
            begin = offset + (match.start() if name == "Pregnancies" else match.start(group))
            stop = offset + match.end(group)
            analyte = FIRST_OF[name]
            yield Value(begin, stop, analyte.en, analyte.zh, analyte.loinc, match[group])
