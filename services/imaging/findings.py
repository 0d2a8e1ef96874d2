"""Everything that was found in a part, put together as the report takes it. Pure."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import dataclass, field

from dxmesh.event.v1.model_use_pb2 import ModelUse
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.imaging.reading import DicomObject, Lesion, Picture, ReadSource
from services.imaging.routing import explain
from services.imaging.series.facts import Facts

SAME_MM = 5.0
"""Findings of two series nearer than this, or than half their length, are one."""

FINDINGS_MAX = 40
"""Most findings a part reports; the most urgent and probable are kept."""


@dataclass(slots=True)
class Taken(ReadSource):
    """One source that was read, with the pictures of its findings."""

    drawn: dict[tuple[str, int], Picture] = field(default_factory=dict)
    """Key images by SOP instance UID and frame."""

    @property
    def series_uid(self) -> str:
        """UID of its series."""
        return str(self.facts.series_uid)


@dataclass(slots=True)
class Part:
    """An imaging part while it is read."""

    series: list[Facts] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    decisions: list[pb.Decision] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    """What nobody foresaw, in readings that then were not made."""

    def uses(self) -> list[ModelUse]:
        """Return each model that spoke once; of several series, the digest of all its inputs."""
        found: dict[tuple[str, str], list[ModelUse]] = {}
        for taken in self.taken:
            for use in taken.models:
                found.setdefault((use.name, use.model_sha256), []).append(use)
        return [_one_use(uses) for uses in found.values()]

    def read_uids(self) -> set[str]:
        """Return the series that some reading has read."""
        return {one.series_uid for one in self.taken}


def finish(part: Part, case_id: str, part_id: str) -> None:
    """Merge, order and name the findings of a part, in place.

    Reconstructions of one scan show the same lesion at the same place of the patient: it is
    kept once, where it is most probable. Ids count within the part, segments within a series;
    tracking UIDs are made from what they follow, so that a part read again has the same.
    """
    lesions = [(taken, lesion) for taken in part.taken for lesion in taken.reading.lesions]
    lesions.sort(key=lambda pair: _pressing(pair[1].finding))
    kept: list[tuple[Taken, Lesion]] = []
    for taken, lesion in lesions:
        known = any(
            other.series_uid != taken.series_uid and _same(lesion.finding, seen.finding)
            for other, seen in kept
        )
        if known:
            taken.reading.answer.reported_elsewhere += 1
        elif len(kept) < FINDINGS_MAX:
            kept.append((taken, lesion))
    for one in part.taken:
        one.reading.lesions = []
        one.reading.answer.series_instance_uid = one.series_uid
    numbers: Counter[str] = Counter()
    segments: Counter[str] = Counter()
    for taken, lesion in kept:
        finding = lesion.finding
        numbers[finding.kind] += 1
        finding.finding_id = f"{finding.kind}-{numbers[finding.kind]}"
        finding.place.series_instance_uid = taken.series_uid
        if lesion.mask is not None:
            segments[taken.series_uid] += 1
            finding.segment_number = segments[taken.series_uid]
        finding.tracking_uid = _tracking_uid(case_id, part_id, finding)
        taken.reading.lesions.append(lesion)


def compose(part: Part) -> tuple[pb.ImagingFindings, dict[str, bytes]]:
    """Return the findings of a finished part, and its pictures by image id; they have no blob yet.

    Pictures of lesions are drawn once for each image that shows some.
    """
    found = pb.ImagingFindings()
    found.series.extend(
        _series(facts, facts.series_uid in part.read_uids()) for facts in part.series
    )
    found.decisions.extend(explain.merged(part.decisions))
    lesions = [lesion.finding for taken in part.taken for lesion in taken.reading.lesions]
    found.findings.extend(sorted(lesions, key=_pressing))
    found.answers.extend(taken.reading.answer for taken in part.taken)
    pictures: dict[str, bytes] = {}
    for taken in part.taken:
        _add_pictures(found, taken, pictures)
    return found, pictures


def derived(one: DicomObject) -> pb.DerivedObject:
    """Return a DICOM object as findings name it; it has no blob yet."""
    return pb.DerivedObject(
        sop_class_uid=one.sop_class_uid,
        sop_instance_uid=one.sop_instance_uid,
        series_instance_uid=one.series_instance_uid,
        study_instance_uid=one.study_instance_uid,
        source_series_instance_uid=one.source_series_instance_uid,
        modality=one.modality,
    )


def _one_use(uses: list[ModelUse]) -> ModelUse:
    if len(uses) == 1:
        return uses[0]
    together = "".join(use.input_sha256 for use in uses)
    made = ModelUse()
    made.CopyFrom(uses[0])
    made.input_sha256 = hashlib.sha256(together.encode()).hexdigest()
    return made


def _add_pictures(found: pb.ImagingFindings, taken: Taken, pictures: dict[str, bytes]) -> None:
    images: dict[tuple[str, int], pb.KeyImage] = {}
    for finding in sorted((one.finding for one in taken.reading.lesions), key=_pressing):
        key = (finding.place.sop_instance_uid, finding.place.frame)
        picture = taken.drawn.get(key)
        if picture is None:
            continue
        if key not in images:
            images[key] = _key_image(f"key-{finding.finding_id}", taken, picture)
            pictures[images[key].image_id] = picture.png
        images[key].finding_ids.append(finding.finding_id)
    found.key_images.extend(images.values())
    for picture in taken.reading.pictures:
        name = f"key-{picture.role}-{sum(i.role == picture.role for i in found.key_images) + 1}"
        found.key_images.append(_key_image(name, taken, picture))
        pictures[name] = picture.png


def _key_image(image_id: str, taken: Taken, picture: Picture) -> pb.KeyImage:
    image = pb.KeyImage(
        image_id=image_id,
        sop_instance_uid=picture.sop_uid,
        width_px=picture.width_px,
        height_px=picture.height_px,
        frame=picture.frame,
        role=picture.role,
        series_instance_uid=taken.series_uid,
    )
    if picture.window is not None:
        image.window_center_hu, image.window_width_hu = picture.window
    return image


def _series(facts: Facts, read: bool) -> pb.SeriesUse:
    use = pb.SeriesUse(
        series_instance_uid=facts.series_uid,
        study_instance_uid=facts.study_uid,
        modality=facts.modality,
        slices=facts.slices,
        spacing_mm=facts.spacing_mm,
        pixel_mm=facts.pixel_mm,
        read=read,
    )
    if facts.refusal is not None and not read:
        use.refusal.CopyFrom(explain.refusal(facts.refusal))
    return use


def _pressing(finding: pb.Finding) -> tuple[bool, float]:
    """Order findings: urgent first, then most probable."""
    return not finding.urgent, -finding.probability


def _same(one: pb.Finding, other: pb.Finding) -> bool:
    """Tell whether two series show one lesion: the same kind at the same place of the patient."""
    if (one.function, one.kind) != (other.function, other.kind):
        return False
    if not (one.place.HasField("center") and other.place.HasField("center")):
        return False
    a, b = one.place.center, other.place.center
    return math.dist((a.x, a.y, a.z), (b.x, b.y, b.z)) < max(SAME_MM, _length_mm(other) / 2)


def _length_mm(finding: pb.Finding) -> float:
    return next((one.value for one in finding.measures if one.name == "long-axis"), 0.0)


def _tracking_uid(case_id: str, part_id: str, finding: pb.Finding) -> str:
    """Return `2.25.<128 bits>` (PS3.5 B.2) made from where the finding was first seen."""
    place = finding.place
    seed = (case_id, part_id, finding.finding_id, place.series_instance_uid, place.sop_instance_uid)
    digest = hashlib.sha256("\0".join(seed).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"
