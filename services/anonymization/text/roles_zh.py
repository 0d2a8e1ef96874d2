"""Chinese names without a label: beside a role, a relation or what a person does.

A family name begins them. A name is taken where its surroundings say that a person is meant:
a role before it or behind it, or an act that only people do. The words are in `roles_zh.txt`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from services.anonymization.text.edits import Edit
from services.anonymization.text.tables import either, sections, words

_ENTRIES = words("surnames_zh.txt")
_DOUBLE = either([word for word in _ENTRIES if len(word) == 2])
_SINGLE = "".join(sorted({c for w in _ENTRIES if len(w) != 2 for c in w}))
_SINGLE += "".join(words("rare_surnames_zh.txt"))
_FAMILY = rf"(?:{_DOUBLE}|[{_SINGLE}])"
_TABLE = sections("roles_zh.txt")
_WORDS = (*words("clinical_zh.txt"), *_TABLE["words"])
_PEOPLE = frozenset((*_TABLE["relatives"], *_TABLE["staff"], *_TABLE["persons"], "家人", "家长"))
_ROLES = f"(?:{either(sorted(_PEOPLE))}|[人员者师警工])"
_TITLES = f"(?:{either(_TABLE['titles'])})"
_SYLLABLES = f"(?:{either(words('given_names_zh.txt'))})"

_Z = r"[\u4e00-\u9fff]"
_PARTICLES = (
    "好了过后时中的下上到为以及等性度者病症炎痛史期级型内外前来去出入起开"
    "科室院部区自已未不无有主代医护师"
)
"""What follows a word, or begins the next one, more often than it ends a name."""
_NAME = rf"(?:{_FAMILY}{_Z}?(?![{_PARTICLES}]){_Z})"
_DOES = f"(?=(?:{either(_TABLE['acts'])}))"
_ENDS = r"(?=$|对|之|本人|[\s，,。；;、：:（()）/】\]！!？?“”\"]|\d{7}|的|和|及|与|等|因|于|在)"
_THEN = rf"(?:{_ENDS}|{_DOES}|(?={_TITLES}))"
_STARTS = r"(?:(?<=[，。；：、:;,\s（(【\[@/])|^)"
_CALLED = r"(?:名叫|名为|叫做|叫|为其弟|为其兄|为其|为|是|系)?"

_BY_FAMILY_NAME = tuple(
    re.compile(pattern, re.M)
    for pattern in (
        rf"{_ROLES}{_CALLED}\s?({_NAME})(?:{_ENDS}|{_DOES})",
        rf"(?:{either(_TABLE['told'])})({_NAME}){_THEN}",
        rf"(?:由|经|请|嘱|与|和|及|跟|向|对|让|被|找|委托)({_NAME})(?:{_DOES}|(?={_TITLES}))",
        rf"{_STARTS}({_NAME}){_DOES}",
        rf"(?:[时点分]|今晨|今日|昨日|昨晚|上午|下午|夜间|凌晨|\d:\d\d)\s?({_NAME}){_DOES}",
        rf"({_NAME})(?={_TITLES})",
        rf"((?:{_DOUBLE}){_Z}?(?![{_PARTICLES}]){_Z})(?:{_ENDS}|{_DOES})",
        rf"(?:{either(_TABLE['labels'])})[人员者]?[：:]\s?({_NAME})(?=$|[\s，,。；;、（(）)/])",
        rf"[（(]({_FAMILY}{_Z}(?![{_PARTICLES}]){_Z})[）)]",
        rf"[【@\[]\s?({_NAME})(?=[】\]\s，,：:])",
    )
)
"""A usual word may stand in these places too: `_is_word` tells."""
_BY_PLACE = tuple(
    re.compile(pattern, re.M)
    for pattern in (
        rf"{_ROLES}{_CALLED}\s?([A-Z][A-Za-z'-]{{1,30}}(?: [A-Z][A-Za-z'-]{{1,30}}){{1,2}})",
        rf"(?:{_STARTS}|(?<=[由经请与和及给向对找被让谢]))({_FAMILY})"
        r"(?=(?:副主任|主任|医师|医生|大夫|教授|护士长|护士|院长|先生|女士|小姐|师傅|老师)(?!医师|医生))",
        rf"(?:{_STARTS}|(?<=[由经请与和及给向对找被让者]))([老小阿]{_FAMILY})"
        r"(?=护士|医生|师傅|说|讲|诉|称|来电|告诉|反映)",
        rf"姓氏?({_Z}{{1,2}})(?=[，,、。]?\s?单?名|[，,。])",
        rf"单名[为一个“\"]{{0,3}}({_Z})(?=[，,。”\"字])",
        r"(?:曾用名|小名|乳名|昵称|绰号|外号|笔名|法名|英文名|原名|别名|又名|微信名|网名)[为是叫“\"]{0,2}"
        rf"({_Z}{{1,4}})(?=[，,。；;”\"）)\s]|$)",
        rf"({_Z}{{2,6}}(?:[·•・]{_Z}{{2,6}}){{0,2}}[·•・]{_Z}{{2,6}}?)(?:{_THEN}|(?!{_Z}))",
        rf"({_SYLLABLES}{{2,3}})",
    )
)
_NEXT = re.compile(rf"[、/，,和与及]\s?({_NAME}){_THEN}")
_PREVIOUS = re.compile(rf"(?:{_STARTS}|[与和由及请经])({_NAME})[、/，,和与及]\s?$")
CHAIN_MAX = 20
LOOK_BACK = 8


def find(text: str) -> Iterator[Edit]:
    """Yield every name that its surroundings show."""
    for pattern in _BY_FAMILY_NAME:
        for match in pattern.finditer(text):
            if not _is_word(match[1]):
                yield Edit(*match.span(1), "NAME")
    for pattern in _BY_PLACE:
        for match in pattern.finditer(text):
            yield Edit(*match.span(1), "NAME")


def beside(text: str, edits: Iterable[Edit]) -> Iterator[Edit]:
    """Yield the names that stand in one list with names found already."""
    for edit in edits:
        if edit.label == "NAME":
            yield from _after(text, edit.end)
            yield from _before(text, edit.start)


def _after(text: str, end: int) -> Iterator[Edit]:
    for _ in range(CHAIN_MAX):
        match = _NEXT.match(text, end)
        if not match or _is_word(match[1]):
            return
        yield Edit(*match.span(1), "NAME")
        end = match.end(1)


def _before(text: str, start: int) -> Iterator[Edit]:
    for _ in range(CHAIN_MAX):
        offset = max(0, start - LOOK_BACK)
        match = _PREVIOUS.search(text[offset:start])
        if not match or _is_word(match[1]):
            return
        start = offset + match.start(1)
        yield Edit(start, offset + match.end(1), "NAME")


@cache
def _is_word(name: str) -> bool:
    """Tell whether what looks like a name is a word, or one and the beginning of the next."""
    head = name[:2]
    if head in _PEOPLE or name.startswith(_WORDS):
        return True
    if head in _lexicon() or name in _lexicon():
        return len(name) == 2 or name[2] in _PARTICLES or name in _lexicon()
    return name[-1] in _PARTICLES


@cache
def _lexicon() -> frozenset[str]:
    """Return usual Chinese words, from the phrases that pinyin is looked up by."""
    from pypinyin.phrases_dict import phrases_dict  # slow to import, and only Chinese needs it

    return frozenset(word for word in phrases_dict if 2 <= len(word) <= 3)
