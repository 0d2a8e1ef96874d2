"""Tobacco and alcohol in the words of the summary: how much, how long, given up since when."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from services.nlp import tables
from services.nlp.details import DetailKind

ORDER = (DetailKind.AMOUNT, DetailKind.DURATION, DetailKind.QUIT)
NUMBER = r"[0-9]{1,4}(?:\.[0-9])?"
WORDS = {
    "half a": "half", "1/2": "half", "半": "half", "a": "1", "one": "1", "two": "2", "three": "3",
    "four": "4", "five": "5", "six": "6", "ten": "10", "twenty": "20", "thirty": "30", "一": "1",
    "二": "2", "两": "2", "三": "3", "四": "4", "五": "5", "六": "6", "七": "7", "八": "8",
    "九": "9", "十": "10", "二十": "20", "三十": "30", "四十": "40",
}  # fmt: skip
COUNT = re.compile(
    rf"(?P<count>half a|1/2|{NUMBER}(?:[ ]?(?:-|~|至|to)[ ]?{NUMBER})?"
    r"|[二三四]?十|[一二两三四五六七八九半](?![日天十])"
    r"|\b(?:one|two|three|four|five|six|ten|twenty|thirty|a)\b)(?P<more>余|多|(?<=十)几)?"
)
EVERY_ZH = re.compile(r"(?:每|一|1)[日天周]")
WHOLE = (
    (re.compile(rf"({NUMBER})(?:[ -]?pack[ -]?years?|[ ]?包年)"), "{}包年", "{} pack-years"),
    (re.compile(rf"吸烟指数\D*({NUMBER})"), "吸烟指数{}", "cigarettes a day times years {}"),
    (re.compile("(socially)"), "社交场合", "socially"),
    (re.compile("(occasionally|偶尔)"), "偶尔", "occasionally"),
    (re.compile("(少量)"), "少量", "a little"),
)
"""What is said without a thing and a time."""
SINCE = re.compile(
    rf"(?P<count>{NUMBER}|[一二两三四五六七八九十半]|[a-z]+)"
    r"(?P<more>余|多)?[ ]?(?P<unit>年|个?月|周|天|years?|months?|weeks?)"
)
UNITS = {"年": "year", "月": "month", "周": "week", "天": "day"}
IN_YEAR = re.compile(r"in ((?:19|20)[0-9]{2})")


def _load() -> Iterator[tuple[str, str, dict[str, str]]]:
    for row in tables.rows("habits"):
        for name in tables.names(row["names"]):
            yield row["kind"], name, row


NAMES = sorted(_load(), key=lambda each: -len(each[1]))


def facts(told: Iterable[tuple[DetailKind, str]], language: str) -> list[str]:
    """Return in the words of a language what is told of a habit: amount, years, giving up.

    `told` are kinds and texts as written, in plain form. Of several words of giving up one
    with a time counts.
    """
    found: dict[DetailKind, list[str]] = {}
    for kind, text in told:
        put = {DetailKind.AMOUNT: amount, DetailKind.DURATION: lasting, DetailKind.QUIT: quit_since}
        if kind in put:
            found.setdefault(kind, []).append(put[kind](text.lower().strip(), language))
    quits = found.get(DetailKind.QUIT, [])
    found[DetailKind.QUIT] = sorted(quits, key=len)[-1:]
    return list(dict.fromkeys(words for kind in ORDER for words in found.get(kind, [])))


def amount(text: str, language: str) -> str:
    """Return how much in a language; as written where it cannot be taken apart."""
    for pattern, zh, en in WHOLE:
        if whole := pattern.search(text):
            return (zh if language == "zh" else en).format(whole[1])
    every = EVERY_ZH.search(text)
    counted = COUNT.search(text, every.end() if every else 0)
    often = _named("often", text)
    if counted is None or often is None:
        return text
    thing = _named("thing", text[counted.end() :])
    if thing is None:
        return text
    drink = _named("drink", text)
    count = _count(counted, language)
    if language == "zh":
        of = drink["zh"] if drink and drink["zh"] not in thing["zh"] else ""
        return f"{often['zh']}{of}{count}{thing['zh']}"
    one = count in ("1", "half a")
    of = f" of {drink['en']}" if drink and drink["en"] != thing["en"] else ""
    return f"{count} {thing['en' if one else 'many']}{of} {often['en']}"


def lasting(text: str, language: str) -> str:
    """Return how many years; as written where they are not told in a number that is known."""
    counted = COUNT.search(text)
    if counted is None:
        return text
    count = _count(counted, language)
    if language == "zh":
        return f"{count}年"
    return f"{count} year" if count in ("1", "half a") else f"{count} years"


def quit_since(text: str, language: str) -> str:
    """Return that it was given up, and when if that is told."""
    if year := IN_YEAR.search(text):
        return f"{year[1]}年已戒" if language == "zh" else f"quit in {year[1]}"
    since = SINCE.search(text)
    if since is None:
        return "已戒" if language == "zh" else "quit"
    count = _count(since, language)
    unit = UNITS.get(since["unit"][-1:], since["unit"].rstrip("s"))
    if language == "zh":
        zh = next(key for key, name in UNITS.items() if name == unit)
        return f"已戒{count}{'个' if zh == '月' else ''}{zh}"
    return f"quit {count} {unit}{'' if count in ('1', 'half a') else 's'} ago"


def _named(kind: str, text: str) -> dict[str, str] | None:
    """Return the row of the longest name of a kind in a text."""
    for own, name, row in NAMES:
        if own == kind and re.search(rf"(?<![a-z]){re.escape(name)}(?![a-z])", text):
            return row
    return None


def _count(counted: re.Match[str], language: str) -> str:
    count = WORDS.get(counted["count"], counted["count"])
    if count == "half":
        return "半" if language == "zh" else "half a"
    if counted["more"]:
        return f"{count}余" if language == "zh" else f"more than {count}"
    return count
