"""What is known of a case, as the features of conditions ask for it: pure, from the findings.

A mention counts as present only where it is affirmed, of the patient, and neither over, planned
nor under a condition. Of several results of one analyte the latest counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from dxmesh.imaging.v1 import imaging_findings_pb2 as pb
from dxmesh.labs.v1 import lab_findings_pb2 as labs
from dxmesh.nlp.v1 import note_findings_pb2 as notes

from services.kernel.ucum import readable, written
from services.reporting import imaging_observations as images
from services.reporting import imaging_words, lab_names, stated
from services.reporting.analytes import ANALYTES, VITALS, analyte_of
from services.reporting.draft import Part
from services.reporting.elements import text
from services.reporting.suggestions import broader, pregnancy
from services.reporting.suggestions.known import Known
from services.reporting.suggestions.model import Fact, Facts, Span
from services.reporting.words import Language, listed, say, term, why

LANGUAGES: tuple[Language, Language] = ("zh", "en")
KINDS = {1: "nodule", 2: "haemorrhage", 3: "fracture", 4: "tumour"}
"""What each reading of images looks for, by dxmesh.imaging.v1.Function."""
REMARKS = {"SPECIMEN_HAEMOLYSED": "haemolysed", "SPECIMEN_CONTAMINATED": "contaminated"}
"""What a laboratory wrote beside a result, by the reason of its remark."""
_FLAGS = {
    labs.FLAG_NORMAL: ("normal", "negative"),
    labs.FLAG_LOW: ("low",),
    labs.FLAG_HIGH: ("high", "positive"),
    labs.FLAG_CRITICAL_LOW: ("low", "critical"),
    labs.FLAG_CRITICAL_HIGH: ("high", "critical", "positive"),
    labs.FLAG_ABNORMAL: ("abnormal",),
}
_NEGATIVE = re.compile(
    r"阴性|未检出|negative|non-?reactive|not detected|^\s*[(（]?-[)）]?\s*$", re.I
)
_POSITIVE = re.compile(r"阳性|检出|positive|reactive|detected|\+", re.I)
_PERSON = re.compile(
    r"(?P<zh_sex>男|女)性?[患者]{0,2}[,，、 ]{0,2}(?:年龄[:：]?)?(?P<zh_age>[0-9]{1,3})\s*岁"
    r"|(?P<en_age>[0-9]{1,3})[- ]?(?:year|yr)s?[- ]old (?:[a-z-]+ ){0,2}"
    r"(?P<en_sex>man|male|gentleman|boy|woman|female|lady|girl)",
    re.I,
)
_MEN = frozenset(("男", "man", "male", "gentleman", "boy"))
HEAD_CHARS = 600
"""Age and sex are read from the beginning of a note alone: further on somebody else's may stand."""


def facts_of(known: Known) -> Facts:
    """Return everything that the completed parts of a draft say."""
    facts = Facts()
    for part in known.draft.parts:
        match part.findings:
            case notes.NoteFindings():
                _of_notes(known, part, part.findings, facts)
            case labs.LabFindings():
                _of_labs(known, part, part.findings, facts)
            case pb.ImagingFindings():
                _of_images(known, part, part.findings, facts)
    pregnancy.told(known, facts)
    return facts


def _of_notes(known: Known, part: Part, found: notes.NoteFindings, facts: Facts) -> None:
    merged: dict[str, Fact] = {}
    for entity in found.entities:
        for key, zh, en in _said(entity):
            span = Span(part.part_id, entity.span.note_id, entity.span.start, entity.span.end)
            for each in broader.keys(key):
                _merge(merged, each, zh, en, known.places(part, entity.entity_id), span)
    for note_id, claim in stated.vital_signs(found):
        span = Span(part.part_id, note_id, claim.start, claim.end)
        written = text(claim.written)
        facts.add(Fact(f"vital:{claim.what}", written, written, claim.number, spans=(span,)))
    for note in found.notes:
        _person(part, note, facts)
    for fact in merged.values():
        facts.add(fact)


MENTIONS_MAX = 3
"""Places of one thing that are named; the note has the others."""


def _merge(
    merged: dict[str, Fact], key: str, zh: str, en: str, places: tuple[str, ...], span: Span
) -> None:
    old = merged.get(key)
    if old is None:
        merged[key] = Fact(key, zh, en, places=places, spans=(span,))
    elif len(old.spans) < MENTIONS_MAX:
        merged[key] = Fact(key, zh, en, places=old.places + places, spans=(*old.spans, span))


def _said(entity: notes.Entity) -> Iterable[tuple[str, str, str]]:
    """Return the keys that a mention answers to, with its words in both languages."""
    name = entity.display_en
    if not name or entity.planned or entity.conditional:
        return
    zh, en = text(entity.display_zh) or text(entity.text), text(name)
    affirmed = entity.certainty == notes.CERTAINTY_AFFIRMED
    if entity.kind == notes.ENTITY_KIND_MEDICATION:
        if affirmed and not entity.other_person and not entity.historical:
            yield f"med:{name}", _word("zh", "med", zh), _word("en", "med", en)
        return
    if entity.kind != notes.ENTITY_KIND_PROBLEM:
        return
    if entity.other_person:
        if affirmed:
            yield f"family:{name}", _word("zh", "family", zh), _word("en", "family", en)
    elif affirmed:
        past = entity.historical
        words = (_word("zh", "past", zh), _word("en", "past", en)) if past else (zh, en)
        yield f"history:{name}", *words
        if not past:
            yield f"note:{name}", zh, en
            if name in ("Pregnancy", "Twin pregnancy"):
                yield "person:pregnant", zh, en
    elif entity.resolved:
        yield f"history:{name}", _word("zh", "past", zh), _word("en", "past", en)
    elif entity.certainty == notes.CERTAINTY_NEGATED:
        yield f"denied:{name}", _word("zh", "denied", zh), _word("en", "denied", en)
    else:
        yield f"possible:{name}", _word("zh", "possible", zh), _word("en", "possible", en)


def _word(language: Language, how: str, name: str) -> str:
    return say(language, f"evidence-{how}", name=name)


def _person(part: Part, note: notes.NoteText, facts: Facts) -> None:
    found = _PERSON.search(note.text, 0, HEAD_CHARS)
    if found is None:
        return
    spans = (Span(part.part_id, note.note_id, found.start(), found.end()),)
    written = text(found[0])
    age = float(found["zh_age"] or found["en_age"])
    sex = (found["zh_sex"] or found["en_sex"]).casefold()
    if age <= 130 and "person:age" not in facts.by_key:
        facts.add(Fact("person:age", written, written, age, spans=spans))
    if not {"person:M", "person:F"} & facts.by_key.keys():
        key = "person:M" if sex in _MEN else "person:F"
        facts.add(Fact(key, written, written, spans=spans))


def _of_labs(known: Known, part: Part, found: labs.LabFindings, facts: Facts) -> None:
    latest: dict[str, labs.LabResult] = {}
    for result in found.results:
        vital = VITALS.get(result.loinc_code)
        analyte = analyte_of(result.analyte_id, result.loinc_code)
        key = f"vital:{vital}" if vital else f"lab:{analyte}" if analyte in ANALYTES else ""
        if key and (key not in latest or result.effective_time >= latest[key].effective_time):
            latest[key] = result
    for key, result in latest.items():
        facts.add(_result(known, part, key, result))
        for fact in _remarks(known, part, key, result):
            facts.add(fact)
    by_id = {result.observation_id: result for result in found.results}
    for score in found.scores:
        if (number := _float(score.value)) is not None:
            zh, en = (_score(score, language) for language in LANGUAGES)
            places = known.places(part, score.score_id)
            facts.add(Fact(f"score:{score.score_id}", zh, en, number, places=places))
        _person_of_score(known, part, score, facts)
    for risk in found.risks:
        shown = [by_id[each] for each in risk.evidence_ids if each in by_id]
        zh, en = (_risk(risk, shown, language) for language in LANGUAGES)
        own = f"risk-{risk.risk_id}"
        places = known.places(part, own, *(each.observation_id for each in shown))
        statement = (_statement(risk.text_zh), _statement(risk.text_en))
        results = _ids(part, shown)
        for rule in (risk.risk_id, *risk.covers):
            key = f"risk:{rule}"
            facts.add(Fact(key, zh, en, places=places, stated=statement, results=results))


def _ids(part: Part, results: Iterable[labs.LabResult]) -> frozenset[str]:
    return frozenset(f"{part.part_id}/{each.observation_id}" for each in results)


def _remarks(known: Known, part: Part, key: str, result: labs.LabResult) -> Iterable[Fact]:
    """Yield what the laboratory wrote of the specimen that speaks against a result."""
    for each in result.remarks:
        if name := REMARKS.get(each.reason):
            zh, en = (why(language, each) for language in LANGUAGES)
            places = known.places(part, result.observation_id)
            yield Fact(f"remark:{name}-{key.partition(':')[2]}", zh, en, places=places)


def _result(known: Known, part: Part, key: str, result: labs.LabResult) -> Fact:
    said = set(_FLAGS.get(result.flag, ()))
    number = None if result.comparator else _float(result.canonical_value)
    if key.startswith("vital:"):
        number = number if number is not None else _float(result.value_text)
    elif number is None and not result.comparator:
        if _NEGATIVE.search(result.value_text):
            said |= {"negative"}
        elif _POSITIVE.search(result.value_text):
            said |= {"positive"}
    zh, en = (lab_names.item(language, result) for language in LANGUAGES)
    places = known.places(part, result.observation_id)
    own = frozenset() if key.startswith("vital:") else _ids(part, (result,))
    made = Fact(key, zh, en, number, frozenset(said), places, results=own)
    if number is not None:
        return made
    strict = result.comparator in ("<", ">")
    least, most = _float(result.canonical_low), _float(result.canonical_high)
    return replace(made, least=least, most=most, strict=strict)


def _score(score: labs.Score, language: Language) -> str:
    name = text(score.display_zh if language == "zh" else score.display_en) or score.score_id
    return text(f"{name} {score.value} {readable(score.unit)}")


def _risk(risk: labs.Risk, shown: list[labs.LabResult], language: Language) -> str:
    if shown:
        items = [lab_names.item(language, each) for each in shown[:4]]
        return listed(language, list(dict.fromkeys(items)))
    return _statement(risk.text_zh if language == "zh" else risk.text_en) or risk.risk_id


def _statement(sentence: str) -> str:
    return written(text(sentence)).rstrip("。.")


def _person_of_score(known: Known, part: Part, score: labs.Score, facts: Facts) -> None:
    for each in score.inputs:
        places = known.places(part, score.score_id)
        age = _float(each.value) if each.name == "age" and each.unit in ("a", "") else None
        if age is not None and "person:age" not in facts.by_key:
            zh, en = f"{each.value}岁", f"age {each.value}"
            facts.add(Fact("person:age", zh, en, age, places=places))
        key = {"male": "person:M", "female": "person:F"}.get(each.value)
        if each.name == "sex" and key and not {"person:M", "person:F"} & facts.by_key.keys():
            zh, en = (say(language, f"sex-{each.value}") for language in LANGUAGES)
            facts.add(Fact(key, zh, en, places=places))


def _of_images(known: Known, part: Part, found: pb.ImagingFindings, facts: Facts) -> None:
    for finding in found.findings:
        places = known.places(part, finding.finding_id)
        zh, en = (finding_words(language, finding) for language in LANGUAGES)
        facts.add(Fact(f"image:{finding.kind}", zh, en, places=places))
        for quality in finding.qualities:
            if quality.value:
                key = f"image:{finding.kind}/{quality.name}/{quality.value}"
                zh, en = (_quality(language, finding.kind, quality) for language in LANGUAGES)
                facts.add(Fact(key, zh, en, places=places))
    for answer in found.answers:
        kind = KINDS.get(answer.function)
        positive = images.is_positive(found, answer)
        if kind is None or images.of_series(found, answer) or not (positive or answer.looked_for):
            continue
        local = f"answer-{answer.function}-{answer.series_instance_uid}"
        key = f"image:{kind}" if positive else f"image:no-{kind}"
        how = "present-name" if positive else "none-found-name"
        zh, en = (_answer(language, how, answer.function) for language in LANGUAGES)
        places = known.places(part, local)
        facts.add(Fact(key, zh, en, places=places))
        if positive:  # no place was marked, so no type is known either
            facts.add(Fact(f"image:{kind}/untyped", zh, en, places=places))


def _answer(language: Language, how: str, function: int) -> str:
    name = imaging_words.label(language, say(language, f"function-{function}"))
    return say(language, how, name=name)


def finding_words(language: Language, finding: pb.Finding) -> str:
    """Return a finding in short: its name, where, how large."""
    name = imaging_words.label(language, imaging_words.finding_name(language, finding))
    sizes = [imaging_words.quantity(language, each) for each in finding.measures[:1]]
    facts = [each for each in (imaging_words.place(language, finding), *sizes) if each]
    return say(language, "evidence-image", name=name, facts=listed(language, facts))


def _quality(language: Language, kind: str, quality: pb.Quality) -> str:
    name = imaging_words.label(language, term(language, f"finding-{kind}"))
    property_ = term(language, f"quality-{quality.name}")
    value = imaging_words.value_name(language, quality)
    said = say(language, "quality-line", name=property_, value=value)
    return say(language, "evidence-quality", name=name, said=said)


def _float(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
