"""How one value meets one word of a search, slowly and obviously; see reference.py."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

Json = dict[str, Any]

FOREVER = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))


def get(node: Any, path: str) -> list[Any]:
    """Return what stands at a dotted path; lists are gone through."""
    nodes = [node]
    for name in path.split("."):
        step = [n.get(name) for n in nodes if isinstance(n, dict)]
        nodes = [
            item
            for found in step
            if found is not None
            for item in (found if isinstance(found, list) else [found])
        ]
    return nodes


def plain(text: str) -> str:
    """Return text without case, accents and double spaces."""
    letters = [c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)]
    return " ".join("".join(letters).casefold().split())


def interval(text: str) -> tuple[datetime, datetime]:
    """Return the beginning of a date, and the beginning of what follows it."""
    zone = UTC
    moment = text
    if "T" in text:
        moment, sign = (text[:-1], "Z") if text.endswith("Z") else (text[:-6], text[-6:])
        if sign != "Z":
            hours = timedelta(hours=int(sign[1:3]), minutes=int(sign[4:6]))
            zone = None
            offset = -hours if sign[0] == "-" else hours
    numbers = [int(n) for n in moment.replace("T", "-").replace(":", "-").split("-")]
    begin = datetime(*(numbers + [1, 1, 0, 0, 0][len(numbers) - 1 :])[:6], tzinfo=UTC)
    if len(numbers) == 1:
        end = begin.replace(year=begin.year + 1)
    elif len(numbers) == 2:
        end = (begin + timedelta(days=32)).replace(day=1)
    else:
        step = {3: timedelta(days=1), 5: timedelta(minutes=1), 6: timedelta(seconds=1)}
        end = begin + step[len(numbers)]
    if zone is None:
        begin, end = begin - offset, end - offset
    return begin, end


def period(value: Any) -> tuple[datetime, datetime]:
    if isinstance(value, str):
        return interval(value)
    start = interval(value["start"])[0] if "start" in value else FOREVER[0]
    end = interval(value["end"])[1] if "end" in value else FOREVER[1]
    return start, end


def compare(prefix: str, have: tuple[Any, Any], want: tuple[Any, Any]) -> bool:
    """Apply a prefix to half-open ranges (3.1.1.4.4)."""
    inside = want[0] <= have[0] and have[1] <= want[1]
    above, below = have[1] > want[1], have[0] < want[0]
    return {
        "eq": inside,
        "ne": not inside,
        "gt": above,
        "lt": below,
        "ge": above or inside,
        "le": below or inside,
        "sa": have[0] >= want[1],
        "eb": have[1] <= want[0],
    }[prefix]


def prefixed(text: str) -> tuple[str, str]:
    known = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
    return (text[:2], text[2:]) if text[:2] in known else ("eq", text)


def number(have: Decimal, text: str) -> bool:
    prefix, rest = prefixed(text)
    value = Decimal(rest)
    if prefix in ("eq", "ne"):
        half = Decimal(5).scaleb(int(value.as_tuple().exponent) - 1)
        inside = value - half <= have < value + half
        return inside == (prefix == "eq")
    if prefix == "ap":
        return abs(have - value) <= abs(value) / 10
    return {
        "gt": have > value,
        "lt": have < value,
        "ge": have >= value,
        "le": have <= value,
        "sa": have > value,
        "eb": have < value,
    }[prefix]


def quantity(have: Json, text: str) -> bool:
    value, _, unit = text.partition("|")
    if unit:
        system, _, code = unit.partition("|")
        if system and (have.get("system"), have.get("code")) != (system, code):
            return False
        if not system and code not in (have.get("code"), have.get("unit")):
            return False
    return number(have["value"], value)


def strings(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
        return
    for name in ("text", "family", "given", "prefix", "suffix", "line", "city", "country"):
        yield from get(node, name)
    if "family" in node and "given" in node:
        whole = node["family"] + "".join(node["given"])
        if all("\u4e00" <= c <= "\u9fff" for c in whole):
            yield whole


def string(node: Any, modifier: str, text: str) -> bool:
    for have in strings(node):
        if modifier == "exact" and have == text:
            return True
        if modifier == "contains" and plain(text) in plain(have):
            return True
        if modifier == "" and plain(have).startswith(plain(text)):
            return True
    return False


def codings(node: Any) -> list[tuple[str, str, list[str]]]:
    """Return (system, code, texts) of whatever a token may be."""
    if isinstance(node, bool):
        return [("", str(node).lower(), [])]
    if isinstance(node, str):
        return [("", node, [])]
    if "value" in node:
        return [(node.get("system", ""), node["value"], get(node, "type.text"))]
    found = []
    for coding in node.get("coding", [node]):
        texts = [t for t in (node.get("text"), coding.get("display")) if t]
        found.append((coding.get("system", ""), coding.get("code", ""), texts))
    return found


def token(node: Any, modifier: str, text: str) -> bool:
    for system, code, texts in codings(node):
        if modifier == "text":
            if any(plain(t).startswith(plain(text)) for t in texts):
                return True
            continue
        want_system, bar, want_code = text.rpartition("|")
        if bar and want_system != system:
            continue
        if want_code == code or (bar and not want_code and want_system):
            return True
    return False


def reference(node: Json, modifier: str, text: str) -> bool:
    if modifier == "identifier":
        return "identifier" in node and token(node["identifier"], "", text)
    have = node.get("reference", "")
    if modifier:
        text = text if "/" in text else f"{modifier}/{text}"
    return have == text or ("/" not in text and have.rpartition("/")[2] == text)


def uri(have: str, modifier: str, text: str) -> bool:
    if have == text:
        return True
    if "://" not in have or "://" not in text or not modifier:
        return False
    low, high = (have, text) if modifier == "below" else (text, have)
    return f"{low.rstrip('/')}/".startswith(f"{high.rstrip('/')}/")


Test = Callable[[Any, str, str], bool]

TESTS: dict[str, Test] = {
    "string": string,
    "token": token,
    "reference": reference,
    "uri": uri,
    "number": lambda node, _m, text: number(node, text),
    "quantity": lambda node, _m, text: quantity(node, text),
    "date": lambda node, _m, text: compare(
        prefixed(text)[0], period(node), interval(prefixed(text)[1])
    ),
}
