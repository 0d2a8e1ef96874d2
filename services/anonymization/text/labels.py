"""Numbers, accounts, hosts and dates in further ways that clinical texts write them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.anonymization.text.edits import Edit

_PART = r"[A-Za-z0-9]{0,20}\d[A-Za-z0-9]{0,20}"
_VALUE = rf"((?:[A-Z]{{1,6}}[:/-]? ?)?{_PART}(?:[-/. ]{_PART}){{0,4}}(?: (?-i:[A-Z]{{2}})\b)?)"
"""Groups of letters and digits, a digit in each; a country or check group may end them."""
_LABELS_EN = (
    r"Medicare|Medicaid|health card|member(?:ship)?|policy|driver'?s? licen[cs]e|DL|FIN|CSN|Acct|"
    r"account|claim|certificate|serial|S/N|SN|lot|IMEI|UDI|barcode|NHI|CHI|IHI|NPI|DEA|GMC|NMC|MBI|"
    r"HICN|URN|EHR|EMPI|visit|(?:home |work |cell )?phone|telephone|mobile|cell|fax|pager|bleep|tel"
)
_MARKED_EN = r"group|case|order|reference|ref|requisition|block|slide|extension|ext"
_NUMBER = r"(?: (?:number|no\.?|id)\b)"
_LABELLED_EN = (
    re.compile(rf"\b(?:{_LABELS_EN})\b{_NUMBER}?[ ]?[.:#]*[ ]?#?(?=(?:\S*\d){{3}}){_VALUE}", re.I),
    re.compile(rf"\b(?:{_MARKED_EN})\b(?:{_NUMBER}[ ]?[.:#]*|[ ]?[.]?[:#])[ ]?{_VALUE}", re.I),
)
_LABELS_ZH = (
    "微信号?|QQ号?|支付宝|钉钉|抖音号?|账号|序列号|设备号|机身号|出厂编号|腕带号?|条码|条形码|医嘱单号|处方号|蜡块号?|切片号?|"
    "标本|片号|转|分机|短号|新农合证?号?|参合号|农合号|居民健康卡号?|健康码|就医卡|车牌号?|号牌|房号|工位|胸牌号?|执业证号|"
    "邮编|邮政编码|警号|尾号|管号|单号|票号|病人ID|患者ID|CT号|MR号|MRI号|DR号|X线号|B超号|内镜号|胃镜号|心电图号|血袋号|献血码"
)
_LABELLED_ZH = re.compile(
    rf"(?:{_LABELS_ZH})\s*(?:[：:＃#]|为|是)?\s*"
    r"([A-Za-z]{0,6}[_-]?[A-Za-z]{0,6}\d[A-Za-z0-9_.-]{2,29}|[A-Za-z]\w{0,20}_\w{1,20})"
)
_EXTENSION_ZH = re.compile(r"(?:转|分机)\s?(\d{2,6})(?!\d|[\u4e00-\u9fff]*(?:次|天|日|科|周|年))")
_PLATE = re.compile(
    r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-Z][·• -]?[A-Z0-9]{5,6}"
    r"(?![A-Z0-9])"
)
_HOST = re.compile(
    r"(?<![\w@.-])(?=[\w.-]{0,80}[\d-])[A-Za-z0-9][A-Za-z0-9-]{1,40}"
    r"(?:\.[A-Za-z0-9-]{2,40}){1,4}\.[A-Za-z]{2,10}(?![\w.-])"
)
_PHONES = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?<![\d.])\(0\d{2,5}\)[ -]?\d{3,4}[ -]?\d{3,4}(?!\d|\.\d)",
        r"(?<![\d.])0\d{3,4}[ -]\d{3}[ -]?\d{3,4}(?!\d|\.\d)",
        r"(?<![\d.,-])\d{3} \d{3} \d{4}(?!\d|\.\d)",
        r"(?<![\d.-])\d{2,6}-\d{3,6}-\d{3,6}(?![\d-])",
    )
)
_POSTCODE_UK = re.compile(r"\b[A-Z]{1,2}\d[A-Z\d]? \d[ABD-HJLNP-UW-Z]{2}\b")
_YEAR_SHORT_ZH = re.compile(r"(?<![\d.])\d{2}年\d{1,2}月(?:\d{1,2}[日号])?")
_AGE_LABEL = re.compile(r"(?:现年|年方|享年|时年)\s*(?P<n>9\d|1[0-4]\d)(?!\d|岁|周岁)")


def find(text: str) -> Iterator[Edit]:
    """Yield every one of them."""
    for pattern in (*_LABELLED_EN, _LABELLED_ZH, _EXTENSION_ZH, _AGE_LABEL):
        for match in pattern.finditer(text):
            yield Edit(*match.span(1), "ID")
    for pattern in _PHONES:
        for match in pattern.finditer(text):
            yield Edit(*match.span(), "PHONE")
    for match in _PLATE.finditer(text):
        yield Edit(*match.span(), "ID")
    for match in _HOST.finditer(text):
        yield Edit(*match.span(), "URL")
    for match in _POSTCODE_UK.finditer(text):
        yield Edit(*match.span(), "ADDRESS")
    for match in _YEAR_SHORT_ZH.finditer(text):
        yield Edit(*match.span(), "DATE")
