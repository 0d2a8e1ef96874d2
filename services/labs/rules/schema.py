"""A file of rules, checked and compiled: what is wrong with it is said all at once, by rule.

Columns and words are in docs/labs-rules.md. A tenant's thresholds replace those of the file by
name; a threshold is never replaced by anything but a number in the same unit.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.kernel.errors import InvalidInput
from services.labs.analytes import ANALYTES
from services.labs.qualitative import BY_ID as ORDINALS
from services.labs.rules import expression
from services.labs.rules.expression import BadCondition, Condition
from services.labs.rules.heading import (
    Check,
    Thresholds,
    derived_quantities,
    mapping_at,
    named_thresholds,
    sources_of,
    text_at,
)
from services.labs.rules.model import (
    WORDS,
    Against,
    Derived,
    Json,
    Node,
    Rule,
    Source,
    Threshold,
    Topic,
    When,
)

KINDS = ("finding", "risk", "issue")
PRIORITIES = ("urgent", "important", "routine")
STRENGTHS = ("definition", "strong", "moderate", "weak")
POPULATIONS = ("adult", "adult-or-pregnant", "pregnant", "child", "any")
WITHIN_HOURS = 720.0
"""Inputs of one rule lie at most this far apart, unless it says otherwise: as for scores."""
_THRESHOLD = re.compile(r"\{\$([a-z][a-z0-9_]*)\}")
GROUPS = ("all", "any", "not", "unless")
_TEXTS = ("en", "zh", "next_en", "next_zh")
_FIELDS = frozenset(
    (*GROUPS, *_TEXTS, "id", "kind", "priority", "strength", "population", "sex", "value")
) | {"source", "against", "contradicts", "covers", "within_hours", "positive", "negative"}
_NEEDED = ("id", "kind", "priority", "strength", "en", "zh", "source", "positive", "negative")
_TOPIC = frozenset({"topic", "name_en", "name_zh", "thresholds", "quantities", "sources", "rule"})


def read(text: str, file: str, replaced: Thresholds | None = None) -> Topic:
    """Return a file of rules, compiled with its thresholds or those that replace them.

    Raises
    ------
    InvalidInput
        Names every field that cannot be used, by file, rule and field.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{file} is not TOML: {error}", reason="BAD_RULES") from error
    check = Check(f"{file}: ")
    for name in sorted(document.keys() - _TOPIC):
        check.say(name, "is no field of a file of rules")
    topic = text_at(check, document, "topic")
    thresholds = named_thresholds(check, document.get("thresholds", {}), replaced or {})
    limits = {name: each.value for name, each in thresholds.items()}
    document["rule"] = _worded(document.get("rule", []), thresholds)
    derived = derived_quantities(check, document.get("quantities", {}), limits)
    sources = sources_of(check, document.get("sources", {}))
    rules = _rules(check, document, _Context(topic, limits, derived, sources))
    name_en, name_zh = (text_at(check, document, key) for key in ("name_en", "name_zh"))
    if check.problems:
        raise InvalidInput(f"{file} has rules that cannot be used", check.problems)
    return Topic(topic, name_en, name_zh, thresholds, derived, rules)


def _worded(entry: Any, thresholds: Mapping[str, Threshold]) -> Any:
    """Return rules with `{$name}` of their texts replaced by the threshold, whoever set it."""
    if isinstance(entry, Mapping):
        return {key: _worded(each, thresholds) for key, each in entry.items()}
    if isinstance(entry, list):
        return [_worded(each, thresholds) for each in entry]
    if not isinstance(entry, str) or "{$" not in entry:
        return entry

    def shown(name: re.Match[str]) -> str:
        return thresholds[name[1]].written if name[1] in thresholds else name[0]

    return _THRESHOLD.sub(shown, entry)


@dataclass(frozen=True, slots=True)
class _Context:
    topic: str
    limits: Thresholds
    derived: Mapping[str, Derived]
    sources: Mapping[str, Source]

    def base_names(self, names: Iterable[str]) -> frozenset[str]:
        """Return names with derived quantities taken apart."""
        found: set[str] = set()
        for name in names:
            own = self.derived.get(name)
            found |= self.base_names(own.quantity.names) if own else {name}
        return frozenset(found)

    def knows(self, name: str) -> bool:
        """Tell whether facts can ever have this name."""
        return (
            name in ANALYTES
            or name in ORDINALS
            or name in self.derived
            or name in WORDS
            or name.startswith(("score:", "gas:"))
        )


def _rules(check: Check, document: Json, context: _Context) -> tuple[Rule, ...]:
    entries = document.get("rule", [])
    if not isinstance(entries, list) or not entries:
        check.say("rule", "there is none")
        return ()
    made = []
    seen: set[str] = set()
    for number, entry in enumerate(entries, 1):
        own = Check(f"{check.place}rule {entry.get('id', number)}: ")
        rule = _rule(own, entry, context)
        if rule.risk_id in seen:
            own.say("id", "is there twice")
        seen.add(rule.risk_id)
        check.problems += own.problems
        made.append(rule)
    return tuple(made)


def _rule(check: Check, entry: Json, context: _Context) -> Rule:
    for name in sorted(entry.keys() - _FIELDS):
        check.say(name, "is no field of a rule")
    for name in _NEEDED:
        if name not in entry:
            check.say(name, "is missing")
    for name, words in (
        ("kind", KINDS),
        ("priority", PRIORITIES),
        ("strength", STRENGTHS),
        ("population", POPULATIONS),
    ):
        if name in entry and entry[name] not in words:
            check.say(name, f"is one of {', '.join(words)}")
    if entry.get("sex", "all") not in ("all", "M", "F"):
        check.say("sex", "is M or F")
    when = _when(check, {g: entry[g] for g in GROUPS if g in entry}, context, "")
    names = _in_order(when)
    value = entry.get("value", next((n for n in names if n not in WORDS), ""))
    values = tuple(value) if isinstance(value, list) else (value,)
    for name in values:
        if not context.knows(str(name)):
            check.say("value", f"{name} is nothing that can be shown")
    _placeholders(check, entry, context)
    return Rule(
        risk_id=text_at(check, entry, "id") if "id" in entry else "",
        topic=context.topic,
        kind=entry.get("kind", ""),
        priority=entry.get("priority", ""),
        strength=entry.get("strength", ""),
        population=entry.get("population", "adult"),
        sex=entry.get("sex", "all"),
        when=when,
        value=values,
        text_en=str(entry.get("en", "")),
        text_zh=str(entry.get("zh", "")),
        next_en=str(entry.get("next_en", "")),
        next_zh=str(entry.get("next_zh", "")),
        sources=_cited(check, entry.get("source", []), context),
        against=_against(check, entry.get("against", []), context),
        contradicts=tuple(entry.get("contradicts", ())),
        covers=tuple(entry.get("covers", ())),
        within_hours=float(entry.get("within_hours", WITHIN_HOURS)),
        positive=mapping_at(check, entry, "positive"),
        negative=mapping_at(check, entry, "negative"),
        needs=context.base_names(when.needed()),
        names=tuple(names),
    )


def _when(check: Check, groups: Json, context: _Context, path: str) -> When:
    if not groups:
        check.say(path or "all", "there is no condition: all, any, not or unless")
    made: dict[str, tuple[Node, ...]] = {}
    for group, items in groups.items():
        where = f"{path}{group}"
        if group not in GROUPS:
            check.say(where, f"is none of {', '.join(GROUPS)}")
            continue
        if not isinstance(items, list) or not items:
            check.say(where, "is a list of conditions")
            continue
        nodes: list[Node] = []
        for number, item in enumerate(items, 1):
            if isinstance(item, Mapping):
                nodes.append(_when(check, item, context, f"{where}[{number}]."))
            elif node := _condition(check, item, context, f"{where}[{number}]"):
                nodes.append(node)
        made[group] = tuple(nodes)
    return When(
        made.get("all", ()), made.get("any", ()), made.get("not", ()), made.get("unless", ())
    )


def _condition(check: Check, item: object, context: _Context, where: str) -> Condition | None:
    if not isinstance(item, str):
        check.say(where, "is a text or a table of conditions")
        return None
    try:
        made = expression.condition(item, context.limits)
    except BadCondition as error:
        check.say(where, f"“{item}”: {error}")
        return None
    for name in sorted(made.names):
        if not context.knows(name):
            check.say(where, f"“{item}”: {name} is no analyte, test, score or quantity")
    return made


def _placeholders(check: Check, entry: Json, context: _Context) -> None:
    texts = [(key, entry.get(key, "")) for key in _TEXTS]
    for key, text in texts:
        if not isinstance(text, str):
            check.say(key, "is a text")
            continue
        for part in text.split("{")[1:]:
            name, closed, _ = part.partition("}")
            if not closed or (name not in ("value", "unit", "gas") and not context.knows(name)):
                check.say(key, f"{{{name}}} is nothing that can be shown")
    for one, other in (("en", "zh"), ("next_en", "next_zh")):
        if bool(entry.get(one)) != bool(entry.get(other)):
            check.say(other, "is needed in both languages")


def _against(check: Check, entries: object, context: _Context) -> tuple[Against, ...]:
    if not isinstance(entries, list):
        check.say("against", "is a list")
        return ()
    made = []
    for number, entry in enumerate(entries, 1):
        where = f"against[{number}]"
        if not isinstance(entry, Mapping) or not entry.get("en") or not entry.get("zh"):
            check.say(where, "has en and zh, and when")
            continue
        when = _condition(check, entry["when"], context, where) if "when" in entry else None
        made.append(Against(str(entry["en"]), str(entry["zh"]), when))
    return tuple(made)


def _cited(check: Check, keys: object, context: _Context) -> tuple[Source, ...]:
    names: Sequence[object] = [keys] if isinstance(keys, str) else keys  # type: ignore[assignment]
    found = []
    for name in names if isinstance(names, list) else []:
        if str(name) in context.sources:
            found.append(context.sources[str(name)])
        else:
            check.say("source", f"{name} is not among the sources of the file")
    if not found:
        check.say("source", "is missing")
    return tuple(found)


def _in_order(when: When) -> list[str]:
    """Return names in the order in which the conditions first use them."""
    found: dict[str, None] = {}
    for leaf in when.leaves():
        for name in sorted(leaf.names, key=leaf.text.find):
            found.setdefault(name)
    return list(found)
