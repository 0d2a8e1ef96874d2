"""Which rules hold of a panel, most pressing first, with what supports and what opposes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from services.kernel.errors import InvalidInput, Violation
from services.kernel.ucum import readable
from services.labs.analytes import ANALYTES
from services.labs.interpret import Result
from services.labs.panel import Subject
from services.labs.rules import covering, heading, schema, together
from services.labs.rules.anchors import Anchors
from services.labs.rules.facts import Facts, Known, Score, gather
from services.labs.rules.model import Derived, Rule, Topic

_PLACEHOLDER = re.compile(r"\{([a-z0-9:_-]+)\}")
_ORDER = {name: rank for rank, name in enumerate(schema.PRIORITIES)}
_LETTERS = {"male": "M", "female": "F"}
_UNKNOWN = {"en": "(not measured)", "zh": "（未测）"}


@dataclass(slots=True)  # not frozen: a panel makes many, and freezing costs six times
class Counterpoint:
    """What argues against a risk; without evidence it is a caveat that always holds."""

    text_en: str
    text_zh: str
    evidence_ids: tuple[str, ...] = ()


@dataclass(slots=True)  # not frozen, as above
class Risk:
    """What a rule says, and the observations and scores it rests on."""

    risk_id: str
    topic: str
    kind: str
    priority: str
    strength: str
    text_en: str
    text_zh: str
    next_en: str
    next_zh: str
    evidence_ids: tuple[str, ...]
    source: str
    source_url: str
    against: tuple[Counterpoint, ...] = ()
    contradicts: tuple[str, ...] = ()
    covers: tuple[str, ...] = ()
    """Rules that hold as well and are left out, since this one says the same and more."""


_AGE_NOT_STATED = Counterpoint(
    "Age is not stated: judged by the limits of adults.", "年龄未注明：按成人界值判断。"
)


class RuleSet:
    """Rules of every topic, indexed by the inputs they need."""

    def __init__(self, topics: Sequence[Topic]) -> None:
        self.topics = tuple(topics)
        self.rules = tuple(rule for topic in topics for rule in topic.rules)
        self.derived: Mapping[str, Derived] = {
            name: each for topic in topics for name, each in topic.derived.items()
        }
        self.timed = together.timed(self.rules, self.derived.values())
        """Names of which rules ask earlier values."""
        together.check(self.topics, self.rules)
        self._anchors = Anchors(self.rules, self.derived)

    def find(
        self,
        results: Sequence[Result],
        scores: Sequence[Score],
        subject: Subject,
        earlier: Callable[[Facts], None] | None = None,
    ) -> list[Risk]:
        """Return what the rules say: urgent first, then in the order of the files.

        `earlier` puts what is known from before into the facts; None: nothing is.
        """
        facts, every = gather(results, scores, subject, self.derived)
        if earlier:
            earlier(facts)
        known = facts.names() | every.keys()
        anchored = self._anchors.of(frozenset(_populations(subject)), _LETTERS.get(subject.sex, ""))
        candidates: dict[int, Rule] = {}
        latest = facts.latest
        repeated = {name for name, values in every.items() if len(values) > 1}
        for name in anchored.keys() & known:
            for each in anchored[name]:
                if each.needs <= known and (
                    not each.fails(latest)
                    or (len(each.rule.needs) == 1 and not repeated.isdisjoint(each.rule.names))
                ):
                    candidates[each.number] = each.rule
        found = [
            (rule, risk)
            for _, rule in sorted(candidates.items())
            if (risk := _ask(rule, facts, every))
        ]
        if subject.age_years is None and not subject.pregnant:
            found = [(rule, _of_unknown_age(rule, risk)) for rule, risk in found]
        return _settled(found)


def load(replaced: Mapping[str, heading.Thresholds] | None = None) -> RuleSet:
    """Return the built-in rules, with thresholds replaced by topic and name.

    Raises
    ------
    InvalidInput
        A file, or a threshold that replaces one, cannot be used.
    """
    folder = files("services.labs").joinpath("data", "rules")
    paths = sorted((p for p in folder.iterdir() if p.name.endswith(".toml")), key=lambda p: p.name)
    given = replaced or {}
    names = [path.name.removesuffix(".toml") for path in paths]
    if strange := sorted(given.keys() - set(names)):
        problems = [Violation(name, "is no topic of the rules") for name in strange]
        raise InvalidInput("thresholds of topics that do not exist", problems)
    return RuleSet(
        [
            schema.read(path.read_text("utf-8"), path.name, given.get(name))
            for name, path in zip(names, paths, strict=True)
        ]
    )


@cache
def default() -> RuleSet:
    """Return the built-in rules, read once."""
    return load()


def _populations(subject: Subject) -> set[str]:
    """Return the populations a person belongs to.

    Somebody whose age is not stated is held to the emergencies of adults too, as to the critical
    limits: a missed emergency costs more than a false one. The risk then says so.
    """
    found = {"any"}
    if subject.pregnant:
        found |= {"pregnant", "adult-or-pregnant"}
    elif subject.adult:
        found |= {"adult", "adult-or-pregnant"}
    elif subject.age_years is None:
        found.add("adult-or-pregnant")
    else:
        found.add("child")
    return found


def _of_unknown_age(rule: Rule, risk: Risk) -> Risk:
    """Return the risk with the caveat that it is judged by the limits of adults."""
    if rule.population != "adult-or-pregnant":
        return risk
    return replace(risk, against=(*risk.against, _AGE_NOT_STATED))


def _ask(rule: Rule, facts: Facts, every: Mapping[str, Sequence[Known]]) -> Risk | None:
    if rule.when.holds(facts):
        return _risk(rule, facts)
    if len(rule.needs) != 1:
        return None
    measured = [name for name in rule.names if name in every]
    if len(measured) == 1 and len(every[measured[0]]) > 1:
        return _of_one_value(rule, facts, measured[0], every[measured[0]])
    return None


def _of_one_value(rule: Rule, facts: Facts, name: str, values: Sequence[Known]) -> Risk | None:
    """Ask a rule about a single input of each of its values, the latest first."""
    for known in reversed(values):
        alone = facts.with_value(name, known)
        if not rule.when.holds(alone):
            continue
        risk = _risk(rule, alone)
        later = facts.latest.get(name)
        if risk is None or later is None or later is known:
            return risk
        point = Counterpoint(
            f"A later value is {later.shown}.", f"之后复查为 {later.shown}。", later.evidence_ids
        )
        return replace(risk, against=(point, *risk.against))
    return None


def _risk(rule: Rule, facts: Facts) -> Risk | None:
    supporting = rule.when.supporting(facts)
    alone = len(supporting) == 1 and supporting <= facts.latest.keys()
    times = [] if alone else facts.times(supporting)
    if times and (max(times) - min(times)).total_seconds() > rule.within_hours * 3600:
        return None
    order = [name for name in rule.names if name in supporting]
    ids = dict.fromkeys(each for name in order for each in facts.evidence(name))
    values = rule.value
    if len(values) > 1:  # of several, {value} shows one that the conditions which hold speak of
        values = tuple(sorted(values, key=lambda name: name not in supporting))
    return Risk(
        risk_id=rule.risk_id,
        topic=rule.topic,
        kind=rule.kind,
        priority=rule.priority,
        strength=rule.strength,
        text_en=_filled(rule.text_en, values, facts, "en"),
        text_zh=_filled(rule.text_zh, values, facts, "zh"),
        next_en=_filled(rule.next_en, values, facts, "en"),
        next_zh=_filled(rule.next_zh, values, facts, "zh"),
        evidence_ids=tuple(ids),
        source="; ".join(source.text for source in rule.sources),
        source_url=next((source.link for source in rule.sources if source.link), ""),
        against=_against(rule, facts),
    )


def _against(rule: Rule, facts: Facts) -> tuple[Counterpoint, ...]:
    """Return what the results show against it first, then what always holds."""
    shown, caveats = [], []
    for each in rule.against:
        if each.when is None:
            caveats.append(Counterpoint(each.en, each.zh))
        elif each.when.holds(facts):
            ids = dict.fromkeys(i for n in sorted(each.when.names) for i in facts.evidence(n))
            shown.append(
                Counterpoint(
                    _filled(each.en, rule.value, facts, "en"),
                    _filled(each.zh, rule.value, facts, "zh"),
                    tuple(ids),
                )
            )
    return (*shown, *caveats)


def _filled(text: str, values: Sequence[str], facts: Facts, language: str) -> str:
    if "{" not in text:
        return text

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name == "gas":
            gas = facts.gas
            return (gas.text_zh if language == "zh" else gas.text_en) if gas else ""
        names = values if name in ("value", "unit") else (name,)
        if name == "unit":
            known = next((each for each in names if facts.shown(each)), "")
            return readable(ANALYTES[known].unit.ucum) if known in ANALYTES else ""
        return next((s for each in names if (s := facts.shown(each))), _UNKNOWN[language])

    return _PLACEHOLDER.sub(value, text)


def _settled(found: Sequence[tuple[Rule, Risk]]) -> list[Risk]:
    """Leave out what another risk covers, pair what contradicts, put the most pressing first."""
    covered = {other for rule, _ in found for other in rule.covers}
    kept = [(rule, risk) for rule, risk in found if risk.risk_id not in covered]
    if len(kept) < len(found):
        kept = [(rule, replace(risk, covers=covering.of(rule, found))) for rule, risk in kept]
    ids = {risk.risk_id for _, risk in kept}
    opposed: dict[str, set[str]] = {}
    for rule, _ in kept:
        for other in rule.contradicts:
            if other in ids:
                opposed.setdefault(rule.risk_id, set()).add(other)
                opposed.setdefault(other, set()).add(rule.risk_id)
    risks = [
        replace(risk, contradicts=tuple(sorted(opposed[risk.risk_id])))
        if risk.risk_id in opposed
        else risk
        for _, risk in kept
    ]
    return sorted(risks, key=lambda risk: _ORDER[risk.priority])
