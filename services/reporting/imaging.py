"""The imaging part: findings, impression and recommendation, from what the readings measured.

An Observation per finding, one per reading of a series that says more than its findings do,
key images, DICOM objects, and the text in the order of a radiology report.
"""

from __future__ import annotations

from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.reporting import codes, dicom_objects, key_images
from services.reporting import imaging_components as components
from services.reporting import imaging_observations as observations
from services.reporting import imaging_words as words
from services.reporting.draft import Draft, Part, Topic
from services.reporting.words import Language, listed, say, why


def compose(draft: Draft, part: Part, found: pb.ImagingFindings) -> Topic:
    """Return Observations, key images, DICOM objects and text of an imaging part."""
    topic = Topic()
    drawn = key_images.compose(draft, part, found, topic)
    dicom_objects.compose(draft, part, found, topic)
    for finding in found.findings:
        images = drawn.get(finding.finding_id, [])
        made = observations.of_finding(draft, part, found, finding, images)
        topic.add(made)
        for model in observations.models_of(found, finding):
            topic.made_by.setdefault(model, []).append(made)
    for answer in found.answers:
        marked = observations.of_series(found, answer)
        if not marked or _says_more(answer):
            positive = observations.is_positive(found, answer)
            made = observations.of_answer(draft, part, found, answer, positive=positive)
            topic.add(made)
            for model in answer.models:
                topic.made_by.setdefault(model, []).append(made)
    _alerts(draft, found, topic)
    _text(draft, found, topic)
    _codes(found, topic)
    return topic


def _says_more(answer: pb.Answer) -> bool:
    """Tell whether an answer states something of the series that no finding states."""
    return bool(answer.HasField("probability") or answer.measures or answer.qualities)


def _alerts(draft: Draft, found: pb.ImagingFindings, topic: Topic) -> None:
    """Put what must be seen at once before everything else in the conclusion."""
    told = set()
    for finding in found.findings:
        if finding.urgent:
            told.add((finding.function, finding.place.series_instance_uid))
            topic.alerts.append(words.alert(draft.language, finding))
    for answer in found.answers:
        if answer.urgent and (answer.function, answer.series_instance_uid) not in told:
            name = say(draft.language, f"function-{answer.function}")
            own = words.sentences(draft.language, answer.statements, words.ALERT)
            topic.alerts += own or [say(draft.language, "urgent-answer", name=name)]


def _text(draft: Draft, found: pb.ImagingFindings, topic: Topic) -> None:
    """Write findings, impression, recommendation and remarks; the last say what was not read."""
    language = draft.language
    written: dict[str, list[str]] = {section: [] for section in words.SECTIONS}
    for finding in found.findings:
        series = finding.place.series_instance_uid
        line = words.line(language, finding)
        written[words.FINDINGS] += _in_series(language, found, finding.function, series, [line])
    for answer in found.answers:
        own = words.sentences(language, answer.statements, words.IMPRESSION)
        # A reading's own sentences say what its count and probability say, and more.
        first, *rest = observations.answer_lines(draft, found, answer, alone=not own)
        where = (language, found, answer.function, answer.series_instance_uid)
        written[words.IMPRESSION] += _in_series(*where, own or [first])
        written[words.FINDINGS] += _in_series(*where, rest)
    for section in words.SECTIONS:
        for finding in found.findings:
            written[section] += words.of_finding(language, finding, section)
        if section != words.IMPRESSION:
            for answer in found.answers:
                written[section] += words.sentences(language, answer.statements, section)
    written[words.REMARK] += _remarks(draft, found)
    for section in words.SECTIONS:
        lines = list(dict.fromkeys(written[section]))
        if lines:
            topic.conclusion.append(say(language, f"{_HEADINGS[section]}-heading"))
            topic.conclusion += lines


def _in_series(
    language: Language, found: pb.ImagingFindings, function: int, series: str, lines: list[str]
) -> list[str]:
    """Return lines with the number of their series, where one reading has read several.

    Two views of one injury, or two reconstructions, would else contradict each other.
    """
    read = {one.series_instance_uid for one in found.answers if one.function == function}
    uids = [one.series_instance_uid for one in found.series]
    if len(read) < 2 or series not in uids:
        return lines
    number = uids.index(series) + 1
    return [say(language, "in-series", number=number, line=line) for line in lines]


_HEADINGS = {
    words.FINDINGS: "findings",
    words.IMPRESSION: "impression",
    words.RECOMMENDATION: "recommendation",
    words.REMARK: "remarks",
}


def _remarks(draft: Draft, found: pb.ImagingFindings) -> list[str]:
    """Return what was looked for, and each series that nobody read, with the reason."""
    language = draft.language
    lines = []
    functions = dict.fromkeys(answer.function for answer in found.answers if answer.looked_for)
    if not found.answers:
        lines.append(say(language, "series-none-read"))
    elif functions:
        names = listed(language, [say(language, f"function-{each}") for each in functions])
        lines.append(say(language, "looked-for-only", names=names))
    for series in found.series:
        if not series.read:
            facts = {
                "modality": series.modality or "?",
                "slices": series.slices,
                "why": why(language, _refusal(found, series)),
            }
            lines.append(say(language, "series-not-read", **facts))
    return lines


def _refusal(found: pb.ImagingFindings, series: pb.SeriesUse) -> Refusal:
    """Return why a series was not read: what it says itself, else the first reading's reason."""
    if series.HasField("refusal"):
        return series.refusal
    for decision in found.decisions:
        if decision.series_instance_uid == series.series_instance_uid and not decision.read:
            return decision.refusal
    return Refusal(reason="NOT_ROUTED", message="no reading takes such a series")


def _codes(found: pb.ImagingFindings, topic: Topic) -> None:
    """Code the conclusion: what was found, and that it is urgent."""
    keys: list[str] = []
    kinds = [finding.kind for finding in found.findings]
    for kind in dict.fromkeys(kinds):
        if kind == "nodule":
            keys.append("multiple-nodules" if kinds.count(kind) > 1 else "solitary-nodule")
        else:
            keys.append(f"finding-{kind}")
    for answer in found.answers:
        placed = observations.of_series(found, answer) or answer.reported_elsewhere
        if observations.is_positive(found, answer) and not placed:
            keys.append(components.looked_for(answer.function))
    if any(finding.urgent for finding in found.findings) or any(a.urgent for a in found.answers):
        keys.append("urgency-1")
    topic.conclusion_codes += [codes.concept(key) for key in dict.fromkeys(keys) if codes.has(key)]
