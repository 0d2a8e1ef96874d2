"""Observations of imaging: one per finding, one per reading of a series."""

from __future__ import annotations

from collections.abc import Sequence

from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.reporting import codes, ids
from services.reporting import imaging_components as components
from services.reporting import imaging_words as words
from services.reporting.draft import Draft, Part
from services.reporting.elements import (
    UID_SYSTEM,
    Json,
    compound,
    extension,
    placeholder,
    reference,
    rounded,
    uid,
)
from services.reporting.words import say


def of_finding(
    draft: Draft, part: Part, found: pb.ImagingFindings, finding: pb.Finding, drawn: Sequence[Json]
) -> Json:
    """Return the Observation of one finding; `drawn` are the Media that show it."""
    language = draft.language
    series = finding.place.series_instance_uid
    made = draft.observation(part, finding.finding_id, "category-imaging", review=True) | {
        "code": codes.concept("finding"),
        "valueCodeableConcept": _kind(
            found, finding, words.label(language, words.finding_name(language, finding))
        ),
        "bodySite": _site(draft, finding),
        "note": [{"text": words.line(language, finding)}, *_notes(draft, finding.statements)],
        "component": components.of_finding(draft, finding),
        "derivedFrom": [*_study(found, series), *(reference(media) for media in drawn)],
        "extension": [_location(finding), *_tracking(found, finding), *_boxes(finding, drawn)],
    }
    _device(made, part, found, finding.function, series)
    return {name: value for name, value in made.items() if value != []}


def of_answer(
    draft: Draft, part: Part, found: pb.ImagingFindings, answer: pb.Answer, *, positive: bool
) -> Json:
    """Return the Observation of what one reading says of one series as a whole."""
    language, series = draft.language, answer.series_instance_uid
    name = words.label(language, say(language, f"function-{answer.function}"))
    if positive or answer.looked_for:
        title = say(language, "present-name" if positive else "none-found-name", name=name)
        said = codes.concept("present" if positive else "not-detected", title)
        value = {"code": codes.concept("finding"), "valueCodeableConcept": said}
    else:  # figures alone: that nothing was found would say too much
        title = say(language, "not-judged-name", name=name)
        value = {
            "code": codes.concept("finding", title),
            "dataAbsentReason": codes.concept("absent-not-performed"),
        }
    local = f"answer-{answer.function}-{series}"
    made = draft.observation(part, local, "category-imaging", review=True) | {
        **value,
        "note": [
            *({"text": text} for text in answer_lines(draft, found, answer)),
            *_notes(draft, answer.statements),
        ],
        "component": components.of_answer(draft, answer, positive=positive),
        "derivedFrom": _study(found, series),
        "extension": [extension("series", valueUri=uid(series))] if series else [],
    }
    if codes.has(f"organ-{answer.function}"):
        made["bodySite"] = codes.concept(f"organ-{answer.function}")
    _device(made, part, found, answer.function, series)
    return {name: value for name, value in made.items() if value != []}


def answer_lines(
    draft: Draft, found: pb.ImagingFindings, answer: pb.Answer, *, alone: bool = True
) -> list[str]:
    """Return in sentences what a reading says of a series, from its counts and probabilities.

    alone : the reading has no sentences of its own that say the probability
    """
    language = draft.language
    name = words.label(language, say(language, f"function-{answer.function}"))
    marked = of_series(found, answer)
    lines = []
    if marked:
        best = words.share(language, max(finding.probability for finding in marked))
        lines.append(say(language, "answer-present", name=name, count=len(marked), share=best))
    elif answer.reported_elsewhere:
        count = answer.reported_elsewhere
        lines.append(say(language, "answer-elsewhere", name=name, count=count))
    elif not answer.looked_for and not is_positive(found, answer):
        lines.append(say(language, "answer-not-judged", name=name))
    elif is_positive(found, answer):
        lines.append(say(language, "answer-suspected", name=name, **_chance(draft, answer)))
    else:
        threshold = words.percent(answer.operating_point)
        lines.append(say(language, "answer-none", name=name, threshold=threshold))
    placed = marked or answer.reported_elsewhere
    if alone and answer.HasField("probability") and (placed or not is_positive(found, answer)):
        lines.append(say(language, "answer-probability", **_chance(draft, answer)))
    facts = [words.measured(language, answer.measures)] if answer.measures else []
    facts += [said for each in answer.qualities if (said := words.quality(language, each))]
    if facts:
        separator = "；" if language == "zh" else "; "
        lines.append(say(language, "answer-measured", name=name, facts=separator.join(facts)))
    return lines


def of_series(found: pb.ImagingFindings, answer: pb.Answer) -> list[pb.Finding]:
    """Return the findings of a reading in a series."""
    return [
        finding
        for finding in found.findings
        if finding.function == answer.function
        and finding.place.series_instance_uid == answer.series_instance_uid
    ]


def is_positive(found: pb.ImagingFindings, answer: pb.Answer) -> bool:
    """Tell whether a reading says that a series shows what it looked for."""
    if of_series(found, answer) or answer.reported_elsewhere:
        return True
    if not answer.HasField("probability"):
        return answer.urgent
    # What is urgent need not be what was looked for: a shifted midline without blood is.
    return 0 < answer.operating_point <= answer.probability


def _chance(draft: Draft, answer: pb.Answer) -> dict[str, object]:
    return {
        "probability": words.percent(answer.probability),
        "share": words.share(draft.language, answer.probability),
    }


def _kind(found: pb.ImagingFindings, finding: pb.Finding, name: str) -> Json:
    """Return what a finding is: the most exact code that a standard at hand has for it."""
    alone = sum(other.kind == finding.kind for other in found.findings) == 1
    if finding.kind == "nodule" and alone:
        return codes.concept("solitary-nodule", name)
    own = {"system": codes.VALUES, "code": finding.kind or "finding"}
    return codes.named(f"finding-{finding.kind}", own, name)


def _site(draft: Draft, finding: pb.Finding) -> Json:
    """Return the body site; where nothing is known, words that say so."""
    text = words.place(draft.language, finding) or say(draft.language, "site-unknown")
    for key in (f"site-{finding.site}", f"organ-{finding.function}"):
        if codes.has(key):
            return codes.concept(key, text)
    return {"text": text}


def _notes(draft: Draft, statements: Sequence[pb.Statement]) -> list[Json]:
    return [
        {"text": text}
        for section in words.SECTIONS
        for text in words.sentences(draft.language, statements, section)
    ]


def _study(found: pb.ImagingFindings, series: str) -> list[Json]:
    """Return the ImagingStudy that a series belongs to, as the gateway resolves it."""
    studies = [use.study_instance_uid for use in found.series if use.series_instance_uid == series]
    return [placeholder("ImagingStudy", uid(study), UID_SYSTEM) for study in studies[:1] if study]


def models_of(found: pb.ImagingFindings, finding: pb.Finding) -> list[str]:
    """Return the names of the models of the reading that saw a finding."""
    return _models(found, finding.function, finding.place.series_instance_uid)


def _models(found: pb.ImagingFindings, function: int, series: str) -> list[str]:
    for answer in found.answers:
        if (answer.function, answer.series_instance_uid) == (function, series):
            return list(answer.models)
    return []


def _device(made: Json, part: Part, found: pb.ImagingFindings, function: int, series: str) -> None:
    """Name the first model of the reading that made an Observation, where that is known."""
    named = _models(found, function, series)
    for model in part.models:
        if model.name in named:
            made["device"] = {"reference": f"Device/{ids.device_id(model)}"}
            return


def _location(finding: pb.Finding) -> Json:
    """Where the finding lies: image, slices from 0 at the feet, centre in mm (LPS)."""
    place = finding.place
    facts = []
    if place.series_instance_uid:
        facts.append(extension("seriesUid", valueUri=uid(place.series_instance_uid)))
    if place.sop_instance_uid:
        facts.append(extension("sopInstanceUid", valueUri=uid(place.sop_instance_uid)))
    if place.frame:
        facts.append(extension("frame", valuePositiveInt=place.frame))
    if place.HasField("center"):
        facts += [
            extension("sliceIndex", valueInteger=place.slice_index),
            extension("firstSliceIndex", valueInteger=place.first_slice_index),
            extension("lastSliceIndex", valueInteger=place.last_slice_index),
            extension("xMm", valueDecimal=rounded(place.center.x, 2)),
            extension("yMm", valueDecimal=rounded(place.center.y, 2)),
            extension("zMm", valueDecimal=rounded(place.center.z, 2)),
        ]
    return compound("image-location", *facts)


def _tracking(found: pb.ImagingFindings, finding: pb.Finding) -> list[Json]:
    """What follows the finding through SEG, SR and later studies, and its segment."""
    if not finding.tracking_uid:
        return []
    facts = [extension("trackingUid", valueUri=uid(finding.tracking_uid))]
    segmentation = next(
        (
            each.sop_instance_uid
            for each in found.derived
            if each.modality == "SEG"
            and each.source_series_instance_uid == finding.place.series_instance_uid
        ),
        "",
    )
    if finding.segment_number and segmentation:
        facts.append(extension("segmentationUid", valueUri=uid(segmentation)))
        facts.append(extension("segmentNumber", valuePositiveInt=finding.segment_number))
    return [compound("tracking", *facts)]


def _boxes(finding: pb.Finding, drawn: Sequence[Json]) -> list[Json]:
    """The finding's box on each key image it is drawn on, pixels of that image."""
    if not finding.place.HasField("box"):
        return []
    box = finding.place.box
    return [
        compound(
            "pixel-box",
            extension("media", valueReference=reference(media)),
            extension("left", valueInteger=box.left),
            extension("top", valueInteger=box.top),
            extension("right", valueInteger=box.right),
            extension("bottom", valueInteger=box.bottom),
        )
        for media in drawn
    ]
