"""Places and institutions in text: addresses, hospitals, employers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.anonymization.text.edits import Edit

_Z = r"[\u4e00-\u9fff]"
_PROVINCES = (
    "北京|天津|上海|重庆|河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南|四川|贵州|云南|"
    "陕西|甘肃|青海|台湾|内蒙古|广西|西藏|宁夏|新疆|香港|澳门"
)
_CITIES = (
    "石家庄|唐山|保定|邯郸|太原|大同|沈阳|大连|鞍山|长春|哈尔滨|大庆|南京|苏州|无锡|常州|徐州|南通|扬州|杭州|宁波|温州|嘉兴|"
    "绍兴|金华|台州|合肥|芜湖|蚌埠|福州|厦门|泉州|漳州|南昌|九江|赣州|济南|青岛|烟台|潍坊|临沂|淄博|郑州|洛阳|南阳|新乡|"
    "武汉|宜昌|襄阳|荆州|长沙|株洲|衡阳|岳阳|广州|深圳|珠海|佛山|东莞|惠州|中山|汕头|湛江|南宁|桂林|柳州|海口|三亚|成都|"
    "绵阳|德阳|宜宾|贵阳|遵义|昆明|大理|拉萨|西安|宝鸡|咸阳|兰州|天水|西宁|银川|乌鲁木齐|呼和浩特|包头"
)
_END_ZH = rf"(?:{_Z}{{1,6}}?(?:自治州|地区|市|盟))"
_DISTRICT = rf"(?:{_Z}{{1,6}}?(?:区|县|旗|市))"
_STREET = (
    rf"(?:{_Z}{{1,10}}?(?:大道|街道|路|街|巷|胡同|镇|乡|村|屯|小区|社区|花园|家园|公寓|大厦|新村))"
)
_DOOR = r"(?:[A-Za-z]?\d{1,5}\s*(?:号楼|号院|号|弄|栋|幢|座|单元|室|楼|层|组|队)[-－]?)"
_REST = rf"(?:{_END_ZH})?(?:{_DISTRICT})?(?:{_STREET}){{0,3}}(?:{_DOOR}){{0,5}}(?:\d{{1,5}}室?)?"
_ANCHORED_ZH = re.compile(
    rf"(?:(?:{_PROVINCES})(?:省|市|壮族自治区|回族自治区|维吾尔自治区|自治区|特别行政区)|(?:{_CITIES})市){_REST}"
)
_CUED_ZH = re.compile(
    rf"(?<=[于在自到住至籍址来，。、：:；\s“（(]){_Z}{{2,5}}(?:省|自治区|市(?!场|民|售)|县|自治州)"
    rf"{_REST}"
)
_NOT_PLACES = re.compile(r"不省|超市|城市|都市|门市|上市|夜市|省略|反省|市级|省级|县级")
_STREET_ZH = re.compile(
    rf"(?<=[于在自到住至址，。、：:；\s“（(区县市]){_Z}{{2,8}}(?:路|街|大道|巷|胡同|小区|镇|村)(?:{_DOOR})+"
)
_LABELLED_ZH = re.compile(
    r"(?:家庭住址|家庭地址|现住址|户籍地址?|户口地址|联系地址|工作单位及?地址|工作单位|单位名称|住址|地址|籍贯|出生地|邮政编码|邮编)"
    r"\s*[：:]\s*([^\s，。；;\n]{2,60})"
)
_HOSPITAL_ZH = re.compile(rf"{_Z}{{1,18}}?(?:医院|卫生院|卫生服务中心|保健院|诊所|医学院|疗养院)")
_CUES_ZH = re.compile(
    r".*(?:就诊于|转诊至|转入|转至|收入|送至|送往|前往|曾于|曾在|来自|患者|病人|考虑|建议|联系|诊断|[于在至到由往从赴经去回来转，我及因伴])(?=.)",
    re.S,
)
_GENERIC_ZH = re.compile(
    r"^(?:[外我本该此某他当两多各]院?|当地|上级|下级|基层|社区|综合|专科|三甲|二甲|三级|二级|一级|甲等|县级|市级|省级|私立|公立|"
    r"民营|附近|其他|其它|外地|乡镇|原|小|大|儿童|妇产|口腔|精神|传染病|肿瘤|胸科|中|西|的|家|一家|某|入|住|出|"
    r"外|人民|多家|我们|村|镇|乡|个体|医联体)*(?:医院|卫生院|卫生服务中心|保健院|诊所|医学院|疗养院)$"
)

_CAP = r"[A-Z][\w'’.&-]{0,60}"
"""Bounded: a run of capitals and hyphens begins a name at every letter."""
_STREET_EN = re.compile(
    rf"\b\d{{1,5}}[A-Za-z]? (?:[NSEW]\.? )?(?:{_CAP} ){{1,4}}"
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Way|Place|Pl|Square|"
    r"Sq|Terrace|Highway|Hwy|Parkway|Pkwy|Close|Crescent)\b\.?"
    r"(?:,? (?:Apt|Suite|Unit|Flat|#)\.? ?\w+)?"
    rf"(?:, ?{_CAP}(?: {_CAP}){{0,2}})?(?:,? [A-Z]{{2}}\b)?(?:,? \d{{5}}(?:-\d{{4}})?)?"
)
_BOX_EN = re.compile(r"\bP\.?O\.? Box \d+", re.I)
_ZIP_EN = re.compile(rf"\b{_CAP}(?: {_CAP})?, [A-Z]{{2}},? \d{{5}}(?:-\d{{4}})?\b")
_LABELLED_EN = re.compile(
    r"\b(?:home address|mailing address|address|residence|employer|place of birth|postcode|"
    r"zip code|zip)"
    r"[ ]*[:=][ ]*([^\n;]{2,80}?)(?=\s{2,}|[.;]?\s*(?:\n|$)|\. )",
    re.I,
)
_HOSPITAL_EN = re.compile(
    rf"\b((?:(?:of|the|and|St\.?|{_CAP}) ){{1,6}})"
    r"(?:General |University |Community |Memorial |Medical |Regional |Children's |MEDICAL ){0,4}"
    r"(?:Hospitals?|HOSPITAL|Clinic|CLINIC|Medical Cent(?:er|re)|MEDICAL CENT(?:ER|RE)|Infirmary|"
    r"Health (?:Cent(?:er|re)|System)|Nursing Home|Hospice)\b"
)
_GENERIC_EN = frozenset(
    (
        *("the", "of", "and", "a", "an", "another", "other", "this", "that", "our", "your", "his"),
        *("her", "their", "in", "at", "to", "from", "outside", "local", "emergency", "general"),
        *("university", "community", "memorial", "regional", "primary", "care", "outpatient"),
        *("inpatient", "walk-in", "pain", "cancer", "eye", "sleep", "day", "patient", "she", "he"),
    )
)


def find(text: str) -> Iterator[Edit]:
    """Yield addresses and institutions."""
    for pattern in (_ANCHORED_ZH, _CUED_ZH, _STREET_ZH):
        for match in pattern.finditer(text):
            if not _NOT_PLACES.search(match[0]):
                yield Edit(*match.span(), "ADDRESS")
    for pattern in (_LABELLED_ZH, _LABELLED_EN):
        for match in pattern.finditer(text):
            yield Edit(*match.span(1), "ADDRESS")
    for pattern in (_STREET_EN, _BOX_EN, _ZIP_EN):
        for match in pattern.finditer(text):
            yield Edit(*match.span(), "ADDRESS")
    for match in _HOSPITAL_ZH.finditer(text):
        start = match.start()
        if cue := _CUES_ZH.match(match[0]):
            start += cue.end()
        if not _GENERIC_ZH.match(text[start : match.end()]):
            yield Edit(start, match.end(), "ORG")
    for match in _HOSPITAL_EN.finditer(text):
        words = [word.strip(".").lower() for word in match[1].split()]
        if any(word not in _GENERIC_EN for word in words):
            yield Edit(*match.span(), "ORG")
