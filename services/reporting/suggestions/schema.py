"""A file of conditions, checked and compiled: what is wrong with it is said all at once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.kernel.errors import InvalidInput, Violation
from services.reporting.suggestions import features
from services.reporting.suggestions.features import BadFeature, Groups
from services.reporting.suggestions.model import Condition, Feature, Limits, Source, Weight

Table = Mapping[str, Any]
_WEIGHTS = {
    "decisive": Weight.DECISIVE,
    "strong": Weight.STRONG,
    "some": Weight.SUPPORTIVE,
    "against": Weight.OPPOSING,
    "against_strong": Weight.STRONGLY_OPPOSING,
}
_LIMITS = ("age_min", "age_max", "sex", "pregnancy")
_NEEDED = ("id", "zh", "en", "next_zh", "next_en", "source", "positive", "negative")
_FIELDS = frozenset((*_WEIGHTS, *_LIMITS, *_NEEDED, "red", "core", "ask_zh", "ask_en"))
_FILE = frozenset(("topic", "zh", "en", "sources", "condition"))


@dataclass(frozen=True, slots=True)
class Topic:
    """One file of conditions."""

    topic: str
    zh: str
    en: str
    conditions: tuple[Condition, ...]


@dataclass(slots=True)
class _Check:
    place: str
    problems: list[Violation] = field(default_factory=list)

    def say(self, where: str, problem: str) -> None:
        self.problems.append(Violation(f"{self.place}{where}", problem))


def read(text: str, file: str, groups: Groups) -> Topic:
    """Return a file of conditions, compiled.

    Raises
    ------
    InvalidInput
        Names every field that cannot be used, by file, condition and field.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{file} is not TOML: {error}", reason="BAD_SUGGESTIONS") from error
    check = _Check(f"{file}: ")
    for name in sorted(document.keys() ^ _FILE):
        check.say(name, "is missing, or no field of a file of conditions")
    sources = _sources(check, document.get("sources", {}))
    made, seen = [], set()
    for number, entry in enumerate(document.get("condition", ()), 1):
        own = _Check(f"{check.place}{entry.get('id', number)}: ")
        condition = _condition(own, entry, str(document.get("topic")), sources, groups)
        if condition.id in seen:
            own.say("id", "is there twice")
        seen.add(condition.id)
        check.problems += own.problems
        made.append(condition)
    if check.problems:
        summary = f"{file} has conditions that cannot be used"
        raise InvalidInput(summary, check.problems, reason="BAD_SUGGESTIONS")
    return Topic(document["topic"], document["zh"], document["en"], tuple(made))


def _sources(check: _Check, table: Table) -> dict[str, Source]:
    made = {}
    for name, each in table.items():
        fits = set(each) == {"text", "link", "checked"} and isinstance(each["checked"], bool)
        if not fits or not str(each.get("link", "")).startswith("https://"):
            check.say(f"sources.{name}", "has text, an https link, and checked, true or false")
            continue
        made[name] = Source(each["text"], each["link"], each["checked"])
    return made


def _condition(
    check: _Check, entry: Table, topic: str, sources: Mapping[str, Source], groups: Groups
) -> Condition:
    for name in sorted(entry.keys() - _FIELDS):
        check.say(name, "is no field of a condition")
    for name in _NEEDED:
        if not entry.get(name):
            check.say(name, "is missing")
    if bool(entry.get("ask_zh")) != bool(entry.get("ask_en")):
        check.say("ask_zh", "is needed in both languages")
    weighed = [
        (weight, each)
        for name, weight in _WEIGHTS.items()
        for each in _features(check, entry, name, groups)
    ]
    support = [each for weight, each in weighed if weight > 0]
    if not support:
        check.say("strong", "nothing supports it")
    core = _features(check, entry, "core", groups) or tuple(support)
    for each in core:
        if all(key.startswith(("person:", "denied:")) for key in each.asked()):
            check.say("core", f"“{each.text}” alone suggests nothing")
    return Condition(
        id=str(entry.get("id", "")),
        topic=topic,
        zh=str(entry.get("zh", "")),
        en=str(entry.get("en", "")),
        limits=_limits(check, entry),
        red=_features(check, entry, "red", groups),
        weighed=tuple(weighed),
        core=core,
        ask=(str(entry.get("ask_zh", "")), str(entry.get("ask_en", ""))),
        next=(str(entry.get("next_zh", "")), str(entry.get("next_en", ""))),
        sources=_cited(check, entry, sources),
        positive=_examples(check, entry, "positive"),
        negative=_examples(check, entry, "negative"),
    )


def _features(check: _Check, entry: Table, name: str, groups: Groups) -> tuple[Feature, ...]:
    made = []
    for number, each in enumerate(entry.get(name, ()), 1):
        given = each if isinstance(each, Mapping) else {"if": each, "zh": "", "en": ""}
        if set(given) != {"if", "zh", "en"}:
            check.say(f"{name}[{number}]", "has if, zh and en")
            continue
        try:
            made.append(features.feature(str(given["if"]), groups, given["zh"], given["en"]))
        except BadFeature as error:
            check.say(f"{name}[{number}]", str(error))
    return tuple(made)


def _limits(check: _Check, entry: Table) -> Limits:
    if entry.get("sex", "") not in ("", "M", "F"):
        check.say("sex", "is M or F")
    if entry.get("pregnancy", "") not in ("", "only", "never"):
        check.say("pregnancy", "is only or never")
    return Limits(**{name: entry[name] for name in _LIMITS if name in entry})


def _cited(check: _Check, entry: Table, sources: Mapping[str, Source]) -> tuple[Source, ...]:
    found = []
    for name in entry.get("source", ()):
        if name in sources:
            found.append(sources[name])
        else:
            check.say("source", f"{name} is not among the sources of the file")
    return tuple(found)


def _examples(check: _Check, entry: Table, name: str) -> tuple[str, ...]:
    for text in entry.get(name, ()):
        try:
            features.fact(text)
        except BadFeature as error:
            check.say(name, str(error))
    return tuple(entry.get(name, ()))
