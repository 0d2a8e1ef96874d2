"""Printed names made comparable: width, case, traditional characters, Greek letters, punctuation.

The labs service matches names so folded, and de-identification knows them in the same form: a name
that one of the two folded otherwise would be lost between them. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_TRADITIONAL = (
    "紅細計數總膽鹼鉀鈉鈣鎂鐵鋅銅葉維轉電澱醯穀膠時間國際標準質纖單網織腎濾過載體濃縮離乾氣飽壓動"
    "靜脈鉛鋰補類風濕環狀睪絨黃測試驗檢陰陽強亞鹽隱潛鏡顏濁顆圓漿腦結滲氫連鏈鈷鉻錳釩鎘餘釋"
    "塊親膚綠藍黴腸經變異蟲鈍膿劑鹵螢臨醫當絲齡聯關係嚴級純頻後線顯滯綜島雙傳樣沈醣併鎳矽鋁碘團遊"
)
_SIMPLIFIED = (
    "红细计数总胆碱钾钠钙镁铁锌铜叶维转电淀酰谷胶时间国际标准质纤单网织肾滤过载体浓缩离干气饱压动"
    "静脉铅锂补类风湿环状睾绒黄测试验检阴阳强亚盐隐潜镜颜浊颗圆浆脑结渗氢连链钴铬锰钒镉余释"
    "块亲肤绿蓝霉肠经变异虫钝脓剂卤荧临医当丝龄联关系严级纯频后线显滞综岛双传样沉糖并镍硅铝碘团游"
)
_GREEK = {"α": "a", "β": "b", "γ": "g", "δ": "d", "κ": "k", "λ": "l", "μ": "u"}
_PLAIN = str.maketrans(dict(zip(_TRADITIONAL, _SIMPLIFIED, strict=True)) | _GREEK)
_NOISE = re.compile(r"[\s\-_·.,;:'\"*★☆▲△●◎※↑↓^~()\[\]{}【】<>《》、。]+")


@lru_cache(maxsize=8192)
def fold(text: str) -> str:
    """Return a name without what does not tell names apart; `%`, `#`, `/` and `+` do."""
    plain = unicodedata.normalize("NFKC", text).casefold().translate(_PLAIN)
    return unicodedata.normalize("NFKC", _NOISE.sub("", plain))
