"""Personal names in text: after labels and titles, and where a family name begins one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib import resources

from services.anonymization import vocabulary
from services.anonymization.text.edits import Edit


def _words(name: str) -> list[str]:
    text = resources.files(__package__).joinpath(name).read_text("utf-8")
    return [w for line in text.splitlines() if not line.startswith("#") for w in line.split()]


_ENTRIES = _words("surnames_zh.txt")
_SURNAMES = sorted(word for word in _ENTRIES if len(word) == 2)
_SINGLE = "".join(sorted({char for word in _ENTRIES if len(word) != 2 for char in word}))
_CLINICAL = frozenset(_words("clinical_zh.txt"))
_NAMES_EN = frozenset(_words("names_en.txt"))

_SURNAME = rf"(?:{'|'.join(_SURNAMES)}|[{_SINGLE}])"
_Z = r"[\u4e00-\u9fff]"
_NAME_ZH = rf"{_SURNAME}{_Z}{{1,2}}"
_LABELS_ZH = (
    "患者姓名|病人姓名|姓名|联系人|紧急联系人|家属姓名|家属|监护人|陪护人?|亲属|父亲|母亲|配偶|丈夫|妻子|儿子|女儿|"
    "医师签名|医生签名|签名|签字|医师|医生|主治医师|住院医师|主任医师|副主任医师|主任|教授|护士|责任护士|记录者|记录人|"
    "记录医师|审核者?|审核医师|审核人|报告者|报告医师|报告人|检查者|检验者|检验者|操作者|术者|手术者|主刀|助手|一助|二助|"
    "麻醉师|麻醉医师|送检医师|申请医师|开单医师|接诊医师|经治医师|管床医师|病史陈述者|陈述者|供史者|代诉人|曾用名|原名|别名"
)
_LABELLED_ZH = re.compile(
    rf"(?:{_LABELS_ZH})\s*[：:]\s*({_Z}{{1,4}}(?:·{_Z}{{1,8}})?"
    r"|[A-Za-z][A-Za-z'.-]*(?: [A-Za-z'.-]+){0,3})"
)
_SPACED_ZH = re.compile(
    rf"(?:医师|医生|主任|护士|教授|签名|签字|记录|术者|助手)\s+({_NAME_ZH})(?!{_Z})"
)
_TITLED_ZH = re.compile(
    rf"({_SURNAME}{_Z}{{0,2}}?)(?:副主任|主任|主治|住院)?(?:医师|医生|大夫|主任|教授|护士长|护士|院长|先生|女士|小姐|"
    rf"阿姨|大爷|大妈|奶奶|爷爷|同志|师傅|老师)(?!{_Z}*签名)"
)
_PATIENT_ZH = re.compile(
    rf"(?:患者|病人|患儿|产妇|孕妇|死者|伤者|其妻|其夫|其子|其女|其父|其母|儿子|女儿|妻子|丈夫|父亲|母亲|"
    rf"家属|监护人|我叫|名叫)\s*({_NAME_ZH})(?=[，,、（(\s。；;]|因|诉|自诉|主诉|代诉|来院|来我|入院|"
    rf"家属|本人|患有|自述|，?男|，?女|要求|拒绝|同意|表示|签字|签名|于(?=[昨今前当本入术上下\d]))"
)
_SEXED_ZH = re.compile(
    rf"(?:(?<=[，。；：:\s、（(【])|^)({_NAME_ZH})(?=\s*[，,、/（(\s]\s*(?:男|女)性?\s*[，,、/）)\s]?\s*\d)",
    re.M,
)
_NAMED_ZH = re.compile(rf"(?:姓名|患者名)\s+({_Z}{{2,4}})(?=\s|$|[，。；、（(])")
_MASKED_ZH = re.compile(rf"{_SURNAME}(?:某某?|[xX×＊*]{{1,3}}|[○〇]{{1,2}})(?!{_Z}?侧)")
_ROUND_ZH = re.compile(
    rf"(?:查房|记录|会诊|主持|参加人员|参加者|陪同)\s*[：:]\s*({_NAME_ZH}(?:[、，,]\s*{_NAME_ZH}){{0,9}})(?![\u4e00-\u9fff])"
)
_CAUSES = frozenset(("基因", "病因", "诱因", "成因", "卡因", "原因"))
"""Words whose 因 does not begin a reason."""
_BOUNDARY_ZH = frozenset('由请经与和及给向对找是为被让随，。；、：:,;（( \n\t　"“')

_CAP = r"[A-Z][A-Za-z'’-]{1,60}"
"""Bounded: a run of capitals and hyphens begins a name at every letter."""
_TITLED_EN = re.compile(
    rf"\b(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Doctor|Professor|Sister|Rev|Sir|Madam)\b\.?[ ]+"
    rf"((?:[A-Z]\.? ?)*{_CAP}(?:[ -](?:[A-Z]\.?(?= )|{_CAP})){{0,2}})"
)
_LABELLED_EN = re.compile(
    r"\b(?:patient(?:'s)? name|name|next of kin|emergency contact|contact|attending(?: physician)?|"
    r"(?:referring |ordering |consulting |primary (?:care )?)?physician|provider|surgeon|assistant|"
    r"an(?:a)?esthesiologist|radiologist|pathologist|nurse|referred by|requested by|signed(?: by)?|"
    r"electronically signed by|dictated by|transcribed by|reviewed by|reported by|verified by|"
    r"interpreted by|author|PCP|spouse|guardian|carer)"
    rf"[ ]*[:=][ ]*((?:{_CAP}|[A-Z]\.?)(?:,? (?:{_CAP}|[A-Z]\.?)){{0,3}})",
    re.I,
)
_PATIENT_EN = re.compile(
    rf"\b(?:[Pp]atient|PATIENT|[Pp]t)\.?:? ((?:{_CAP}) (?:{_CAP})(?: {_CAP})?)"
)
_DEGREE_EN = re.compile(
    rf"\b({_CAP}(?: [A-Z]\.?)? {_CAP}),? "
    r"(?:MD|M\.D\.|DO|RN|R\.N\.|NP|PA-C|PhD|Ph\.D\.|MBBS|FRCR|FRCP)\b"
)
_RELATIVE_EN = re.compile(
    r"\b(?:wife|husband|spouse|son|daughter|mother|father|brother|sister|partner|carer|caregiver|"
    rf"friend|neighbou?r|aunt|uncle|niece|nephew|cousin|pt|patient),? ({_CAP})(?: {_CAP})?",
    re.I,
)
_EPONYMS = frozenset(
    (
        *("addison", "alzheimer", "barrett", "cooley", "crohn", "cushing", "down", "gilbert"),
        *("graves", "hodgkin", "huntington", "lynch", "marfan", "parkinson", "raynaud", "turner"),
        *("wilson", "bell", "paget", "sheehan", "hashimoto"),
    )
)
"""Names of diseases: behind "mother" one of them is what she had."""
_PAIR_EN = re.compile(rf"\b({_CAP})(?: [A-Z]\.?)?,? ({_CAP})\b")
_CASED = re.compile(r"[A-Z][A-Za-z'’-]*")


def find(text: str) -> Iterator[Edit]:
    """Yield every personal name."""
    for match in (
        *_LABELLED_ZH.finditer(text),
        *_SPACED_ZH.finditer(text),
        *_NAMED_ZH.finditer(text),
    ):
        if not _is_clinical(match[1]):
            yield Edit(*match.span(1), "NAME")
    for match in (*_PATIENT_ZH.finditer(text), *_SEXED_ZH.finditer(text)):
        if not (_is_clinical(match[1]) or text[match.end(1) - 1 : match.end(1) + 1] in _CAUSES):
            yield Edit(*match.span(1), "NAME")
    for match in _ROUND_ZH.finditer(text):
        if not any(map(_is_clinical, re.split(r"[、，,]\s*", match[1]))):
            yield Edit(*match.span(1), "NAME")
    for match in _MASKED_ZH.finditer(text):
        yield Edit(*match.span(), "NAME")
    for match in _TITLED_ZH.finditer(text):
        before = text[match.start() - 1 : match.start()]
        if (not before or before in _BOUNDARY_ZH) and not _is_clinical(match[1]):
            yield Edit(*match.span(1), "NAME")
    yield from _english(text)


def _english(text: str) -> Iterator[Edit]:
    for match in (*_TITLED_EN.finditer(text), *_DEGREE_EN.finditer(text)):
        yield Edit(*_trimmed(match, keep_known=True), "NAME")
    for match in _PATIENT_EN.finditer(text):
        if not match[1].isupper() and not all(map(_is_word, match[1].split())):
            yield Edit(*match.span(1), "NAME")
    for match in _LABELLED_EN.finditer(text):
        if _CASED.match(match[1]):
            yield Edit(*_trimmed(match, keep_known=False), "NAME")
    for match in _RELATIVE_EN.finditer(text):
        given = match[1].lower()
        if match[1][0].isupper() and given in _NAMES_EN and given not in _EPONYMS:
            yield Edit(*match.span(1), "NAME")
    for match in _PAIR_EN.finditer(text):
        given, family = match[1].lower(), match[2].lower()
        known = (given in _NAMES_EN) + (family in _NAMES_EN)
        shouted = match[1].isupper() and match[2].isupper()
        if known == 2 or (known and not shouted and not any(map(_is_word, (match[1], match[2])))):
            yield Edit(*match.span(), "NAME")


def _trimmed(match: re.Match[str], *, keep_known: bool) -> tuple[int, int]:
    """Return the span of the name less the words of the vocabulary that follow it."""
    start, end = match.span(1)
    words = match[1].split(" ")
    while len(words) > (1 if keep_known else 0) and _is_word(words[-1].strip(",.")):
        end -= len(words.pop()) + 1
    return start, max(end, start)


@cache
def _is_word(word: str) -> bool:
    """Tell whether a word is in the vocabulary and no name."""
    return len(word) > 1 and word.lower() in vocabulary.WORDS and word.lower() not in _NAMES_EN


def _is_clinical(name: str) -> bool:
    return any(name.startswith(word) or word.startswith(name) for word in _CLINICAL)
