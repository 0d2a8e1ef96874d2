"""The sentences of a summary put into words: templates of `words.tsv`, names of the term tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from services.nlp import amounts, habits, lesions, overdose, tables, timeline
from services.nlp.chart import Chart
from services.nlp.details import Detail, DetailKind
from services.nlp.headings import Section
from services.nlp.reading import Mention
from services.nlp.sides import Side
from services.nlp.terms import Kind

ITEMS_MAX = 12
_SIDES = frozenset("左右双")
"""In the name of a site (左下腹), the side is said already."""
WORDS = {row["key"]: row for row in tables.rows("words")}
JOIN, FACTS_JOIN = {"zh": "、", "en": ", "}, {"zh": "，", "en": ", "}


def say(key: str, language: str, **facts: str) -> str:
    """Return a sentence; facts are put in literally, braces in them mean nothing."""
    text = WORDS[key][language]
    for name, value in facts.items():
        before, found, after = text.partition("{" + name + "}")
        text = before + value + after if found else text
    return text


def listed(chosen: Iterable[Mention], chart: Chart, language: str) -> str:
    """Return the items of some mentions as a list, cut at `ITEMS_MAX` with how many there are."""
    items = list(_items(chosen, chart, language))
    shown = JOIN[language].join(items[:ITEMS_MAX])
    if len(items) <= ITEMS_MAX:
        return shown
    more = str(len(items) - ITEMS_MAX)
    return say("more", language, items=shown, count=str(len(items)), more=more)


def name_of(mention: Mention, language: str) -> str:
    """Return what a mention is called in a language; as written where no table knows it."""
    if mention.term is None:
        return mention.written
    return mention.term.zh if language == "zh" else mention.term.en


def site_of(mention: Mention) -> Detail | None:
    """Return where a problem is, unless its own name says so ("back pain", 胸闷)."""
    if mention.kind is not Kind.PROBLEM:
        return None
    for each in mention.details:
        if each.kind is not DetailKind.SITE or each.word is None:
            continue
        inside = mention.start <= each.start and each.end <= mention.end
        lobe = each.word.zh.startswith("肺") and each.word.zh != "肺"
        named = each.word.zh[: None if lobe else 1] in name_of(mention, "zh")
        if (
            (lobe or not inside)
            and not named
            and each.word.en not in name_of(mention, "en").lower()
        ):
            return each
    return None


def _items(chosen: Iterable[Mention], chart: Chart, language: str) -> Iterator[str]:
    """Yield each concept once for each side, with what is known of it anywhere in the section."""
    same: dict[tuple[str, Side | None, str], list[Mention]] = {}
    for mention in chosen:
        sided = chart.side(mention)
        word = place.word if (place := site_of(mention)) else None
        site = (word.zh if language == "zh" else word.en) if word else ""
        side = sided.side if sided and not (word and _SIDES & set(word.zh)) else None
        key = (name_of(mention, language), side, site)
        same.setdefault(key, []).append(mention)
    for (name, side, site), mentions in same.items():
        facts = [site] if site else []
        facts += _facts(mentions, side, chart, language)
        doses = list(_doses(mentions, language))
        if doses:
            name = say("dose", language, name=name, facts=WORDS["doses-join"][language].join(doses))
        if facts:
            name = say("with", language, name=name, facts=FACTS_JOIN[language].join(facts))
        yield name


def _is_over(mention: Mention) -> bool:
    """Tell whether a medicine was taken; what a plan stops is told as such."""
    is_medicine = mention.kind is Kind.MEDICATION and mention.section is not Section.PLAN
    return is_medicine and mention.said.historical


def _overdose(same: Sequence[Mention], chart: Chart, language: str) -> Iterator[str]:
    """Yield of how many tablets an overdose was, and when."""
    for mention in same:
        if mention.term is None or mention.term.en != overdose.NAME:
            continue
        for each in mention.details:
            if each.kind is DetailKind.AMOUNT:
                count = chart.text(mention.note_id, each.start, each.end)
                number = "".join(filter(str.isdigit, count))
                yield f"{number}片" if language == "zh" else f"{number} tablets"
            if each.kind is DetailKind.ONSET:
                told = chart.text(mention.note_id, each.start, each.end)
                for time in timeline.times(told, 0, len(told)):
                    yield time.words(language)


def _relatives(same: Sequence[Mention], language: str) -> Iterator[str]:
    """Yield who has what somebody else has."""
    for mention in same:
        for each in mention.details if mention.said.other_person else ():
            if each.kind is DetailKind.RELATIVE and each.word:
                yield each.word.zh if language == "zh" else each.word.en.lower()


def _sizes(same: Sequence[Mention], chart: Chart, language: str) -> Iterator[str]:
    """Yield how large lesions are."""
    for mention in same:
        for each in mention.details:
            if each.kind is DetailKind.SIZE:
                yield lesions.size(chart.text(mention.note_id, each.start, each.end), language)


def _habit(same: Sequence[Mention], chart: Chart, language: str) -> Iterator[str]:
    """Yield how much somebody smokes or drinks, how long, and since when no more."""
    if any(amounts.is_habit(mention.term) for mention in same):
        told = [
            (each.kind, chart.text(mention.note_id, each.start, each.end))
            for mention in same
            for each in mention.details
        ]
        yield from habits.facts(told, language)


def _doses(same: Sequence[Mention], language: str) -> Iterator[str]:
    """Yield every dose that is told of a medicine, once, in the order of the note."""
    told: dict[str, None] = {}
    for dose in (mention.dose for mention in same if mention.dose):
        often = getattr(dose.frequency, language) if dose.frequency else ""
        told[" ".join(fact for fact in (dose.amount, often) if fact)] = None
    yield from told


def _facts(
    same: Sequence[Mention], side: Side | None, chart: Chart, language: str
) -> Iterator[str]:
    detailed = [mention for mention in same if mention.details]
    if detailed:
        yield from dict.fromkeys(_relatives(detailed, language))
    if side:
        yield WORDS[f"side-{side.value}"][language]
    if detailed:
        yield from dict.fromkeys(_overdose(detailed, chart, language))
    yield from lesions.kinds(same[0].term, (mention.written for mention in same), language)
    yield from dict.fromkeys(_sizes(detailed, chart, language))
    habit = list(_habit(detailed, chart, language))
    yield from habit
    lasts = next((mention.lasts for mention in same if mention.lasts), None)
    if lasts and not habit:
        yield lasts.words(language)
    yield from dict.fromkeys(name_of(r, language) for m in same for r in m.reactions)
    if (
        not any(detail.kind is DetailKind.QUIT for m in detailed for detail in m.details)
        and all(m.said.historical and not m.said.resolved for m in same)
        and same[0].kind is Kind.PROBLEM
    ):
        yield WORDS["over"][language]
    if all(mention.kind is not Kind.MEDICATION for mention in same):
        return  # only these are stopped
    in_plan = all(mention.section is Section.PLAN for mention in same)
    stops = [chart.stopped(mention) for mention in same]
    stopped = all(stops) and not in_plan
    if not stopped and all(_is_over(mention) for mention in same):
        yield WORDS["over"][language]
    if stopped:
        yield WORDS["stopped"][language]
    elif not in_plan and any(stops):
        yield WORDS["stopped-elsewhere"][language]
