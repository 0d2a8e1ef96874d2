"""Numbers that identify: national ids, telephones, addresses on the net, record numbers."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from services.anonymization.text.edits import Edit

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"

_DIGIT = r"[0-9０-９]"
_PATTERNS = (
    ("EMAIL", re.compile(r"(?<![\w.+%-])[\w.+%-]++[@＠][\w-]+(?:\.[\w-]+)+")),
    ("URL", re.compile(r"(?:https?|ftp)://[^\s，。；）)]+|\bwww\.[^\s，。；）)]+", re.I)),
    ("ID", re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\d|\.\d)")),
    ("ID", re.compile(r"(?<![0-9a-f:])(?:[0-9a-f]{1,4}:){4,7}[0-9a-f]{1,4}(?![0-9a-f:])", re.I)),
    # 18-digit citizen number; one with a wrong check digit is a typing error, not a measurement
    ("ID", re.compile(rf"(?<!\d){_DIGIT}{{17}}[0-9０-９XxＸｘ](?![\dA-Za-z])")),
    ("ID", re.compile(r"(?<!\d)\d{6}[ -]\d{8}[ -]\d{3}[\dXx](?!\d)")),
    ("PHONE", re.compile(r"(?:\+|00)\d{1,3}[ -]?(?:\(?\d{2,4}\)?[ -]?){2,4}\d{2,4}(?!\d)")),
    ("PHONE", re.compile(r"(?<!\d)1[3-9]\d(?:[ -]?\d{4}){2}(?!\d)")),
    (
        "PHONE",
        re.compile(r"(?<![\d.])\(?0\d{2,3}\)?[ -]?[1-9]\d{2,3}[ -]?\d{4}(?:-\d{1,5})?(?!\d|\.\d)"),
    ),
    ("PHONE", re.compile(r"(?<![\d.])(?:\(\d{3}\) ?|\d{3}[-.])\d{3}[-.]\d{4}(?!\d|\.\d)")),
    ("PHONE", re.compile(r"(?<!\d)400[ -]?\d{3}[ -]?\d{4}(?!\d)")),
    ("ID", re.compile(r"(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)")),
    ("ID", re.compile(r"\b(?:SSN|social security)\D{0,12}\d{3}[ -]\d{2}[ -]\d{4}(?!\d)", re.I)),
    ("ID", re.compile(r"(?<![\d.,])\d{7,}(?!\d|\.\d)")),
    ("ID", re.compile(r"[０-９]{5,}")),
)

_LABELS_ZH = (
    "住院号|门诊号|病案号|病历号|就诊号|就诊卡号|诊疗卡号|登记号|检查号|影像号|放射号|超声号|病理号|"
    "标本号|条码号|流水号|申请单号|医嘱号|社保卡?号|医保卡?号|医保编号|医保证号|身份证号码?|身份证|"
    "证件号码?|护照号?|军官证号?|工号|学号|车牌号?|银行卡号|账号|ID号?|卡号|编号|床号|电话|手机号?|"
    "联系电话|联系方式|微信号?|QQ号?"
)
_NO = r"(?:number|no\.?|#|id)"
_LABELS_EN = (
    rf"MRN|(?:medical record|hospital|patient|encounter|visit|account|insurance|policy|NHS|case|"
    rf"study|licen[cs]e|specimen) {_NO}|(?:accession|passport|social security|bed)(?: {_NO})?|"
    r"national id|SSN|room|phone|tel|telephone|mobile|cell|fax|pager"
)
_AFTER_LABEL_ZH = re.compile(
    rf"(?<![A-Za-z])(?:{_LABELS_ZH})\s*(?:[：:＃#]|为|是)\s*([A-Za-z0-9０-９+(（\u4e00-\u9fff-][^\s，。；,;、）)]{{0,29}})"
)
_NUMBER_AFTER_LABEL_ZH = re.compile(
    rf"(?<![A-Za-z])(?:{_LABELS_ZH})\s*([A-Za-z]{{0,4}}[-]?\d[\dA-Za-z-]{{1,24}})"
)
_AFTER_LABEL_EN = re.compile(
    rf"\b(?:{_LABELS_EN})\s*(?:[:#=]|is)+\s*(\S+?)(?=[,;.)]?(?:\s|$))", re.I
)
_NUMBER_AFTER_LABEL_EN = re.compile(
    rf"\b(?:{_LABELS_EN})\s+#?((?=\S*\d\S*\d)[A-Z0-9-]{{3,25}})\b", re.I
)
_BED_ZH = re.compile(r"(?<![\d.])[+]?\d{1,3}\s*床(?![旁位上边铺])")

_CODE = re.compile(r"(?<![A-Za-z0-9_.^-])[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)*(?![A-Za-z0-9_^-])")
_MEASURE = re.compile(r"x?\d{1,4}(?:[a-zA-Zμ]{1,5}\d?)?|[A-Za-z]+\d{0,2}|\d{1,2}[A-Za-z]\d{0,2}")
_STAGE = re.compile(
    r"[cpyra]{0,2}T(?:is|[0-4X])[a-d]?N[0-3X][a-c]?(?:M[01X][a-c]?)?(?:R[0-2])?", re.I
)
CODE_LENGTH_MIN = 7
CODE_DIGITS_MIN = 4
SWITCHES_MIN = 4
"""Changes between letters and digits from which a long token is a code, not a term."""


def is_citizen_id(text: str) -> bool:
    """Tell whether 18 characters carry the check digit of GB 11643-1999."""
    if not re.fullmatch(r"\d{17}[\dXx]", text):
        return False
    total = sum(int(digit) * weight for digit, weight in zip(text, _WEIGHTS, strict=False))
    return _CHECK[total % 11] == text[-1].upper()


def find(text: str) -> Iterator[Edit]:
    """Yield every number that identifies."""
    for label, pattern in _PATTERNS:
        for match in pattern.finditer(text):
            if label != "ID" or not _is_day(match[0]):
                yield Edit(*match.span(), label)
    for pattern in (
        *(_AFTER_LABEL_ZH, _NUMBER_AFTER_LABEL_ZH),
        *(_AFTER_LABEL_EN, _NUMBER_AFTER_LABEL_EN),
    ):
        for match in pattern.finditer(text):
            yield Edit(*match.span(1), "ID")
    for match in _BED_ZH.finditer(text):
        yield Edit(*match.span(), "ID")
    yield from _codes(text)


def _codes(text: str) -> Iterator[Edit]:
    """Yield tokens that mix letters and digits as record numbers do and terms do not."""
    for match in _CODE.finditer(text):
        token = match[0]
        letters, digits = sum(map(str.isalpha, token)), sum(map(str.isdigit, token))
        if not (letters and digits) or len(token) < CODE_LENGTH_MIN or _STAGE.fullmatch(token):
            continue
        if all(_MEASURE.fullmatch(part) for part in re.split(r"[-_]", token)):
            continue
        if digits >= CODE_DIGITS_MIN or _switches(token) >= SWITCHES_MIN:
            yield Edit(*match.span(), "ID")


def _switches(token: str) -> int:
    kinds = [char.isdigit() for char in token if char.isalnum()]
    return sum(a != b for a, b in itertools.pairwise(kinds))


def _is_day(text: str) -> bool:
    """Tell whether eight digits are a day of our time; `days` moves those."""
    found = re.fullmatch(r"(?:19|20)\d{2}(\d{2})(\d{2})", text)
    return found is not None and 1 <= int(found[1]) <= 12 and 1 <= int(found[2]) <= 31
