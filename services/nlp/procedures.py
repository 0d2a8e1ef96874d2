"""Operations, interventions and examinations: known names, and words that end as such names do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from services.nlp import tables
from services.nlp.found import Found
from services.nlp.phrases import Phrases
from services.nlp.terms import Kind, Term
from services.nlp.tokens import Token, narrow

NAMED_ZH = re.compile(
    r"(?P<name>(?:经(?:皮|尿道|阴道|腹|导管|鼻|口|颅|胸|颈))?"
    r"(?:(?![拟行予曾因经于在年月日前后及并、曾时至为了患者施])[\u4e00-\u9fff]){2,12}?"
    r"(?:切除|造影|植入|移植|成形|修补|置换|吻合|引流|穿刺|清扫|内固定|搭桥|结扎|探查|减压|消融|栓塞|取出|根治|缝合"
    r"|造口|切开|固定|融合|复位|碎石|取石|剥除|清除|电切|松解|切断|注射|止血)术)"
)
NAMED_EN = re.compile(
    r"\b(?P<name>(?:(?:laparoscopic|total|partial|radical|left|right|bilateral|open|robotic) ){0,2}"
    r"[a-z]{3,20}(?:ectomy|otomy|ostomy|plasty|oscopy|centesis|pexy|rrhaphy))\b",
    re.IGNORECASE,
)
ONLY_NAMED = ("时间窗", "指征", "禁忌", "适应", "风险", "知情同意", "同意书", "手术指征")
"""Behind a name: it is spoken of, neither done nor planned."""
ENDS_EN = re.compile("tomy|plasty|scopy|tesis|pexy|aphy")
NOT_ONE = frozenset(("anatomy", "dichotomy", "stereoscopy", "microscopy", "autotomy"))


def _load() -> Iterator[tuple[str, Term]]:
    for row in tables.rows("procedures"):
        term = Term(Kind.PROCEDURE, row["en"], row["zh"])
        for name in (row["en"], *tables.names(row["names_en"])):
            yield name.lower(), term
        for name in (row["zh"], *tables.names(row["names_zh"])):
            yield name, term


NAMES: Phrases[Term] = Phrases(_load())


def find(text: str, tokens: Sequence[Token]) -> list[Found]:
    """Return the procedures in the sentence made of `tokens`, in order, none overlapping."""
    named = [*_known(tokens), *_named(text, tokens)]
    if not named:
        return []
    taken = [False] * len(tokens)
    found: list[Found] = []
    for first, last, term in sorted(named, key=lambda each: each[0] - each[1]):
        behind = narrow(text[tokens[last - 1].end : tokens[last - 1].end + 8])
        if any(taken[first:last]) or behind.startswith(ONLY_NAMED):
            continue
        taken[first:last] = [True] * (last - first)
        start, end = tokens[first].start, tokens[last - 1].end
        found.append(Found(Kind.PROCEDURE, start, end, first, last, term))
    return sorted(found, key=lambda each: each.start)


def _known(tokens: Sequence[Token]) -> Iterator[tuple[int, int, Term | None]]:
    for match in NAMES.find(tokens):
        yield match.first, match.last, match.value


def _named(text: str, tokens: Sequence[Token]) -> Iterator[tuple[int, int, Term | None]]:
    start = tokens[0].start
    flat = narrow(text[start : tokens[-1].end])
    lower = flat.lower()
    matches = [*NAMED_ZH.finditer(flat)] if "术" in flat else []
    if ENDS_EN.search(lower):
        matches += NAMED_EN.finditer(flat)
    if not matches:
        return
    firsts = {token.start - start: place for place, token in enumerate(tokens)}
    lasts = {token.end - start: place + 1 for place, token in enumerate(tokens)}
    for match in matches:
        first, last = firsts.get(match.start("name")), lasts.get(match.end("name"))
        if first is not None and last is not None and match["name"].lower() not in NOT_ONE:
            yield first, last, None
