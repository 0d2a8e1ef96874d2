"""The studies a submission names, and what of them did not arrive. Pure.

Source: FHIR R4 ImagingStudy; identifiers of DICOM UIDs (R4 imagingstudy, 9.6.4.1).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeInstance, IntakeProblem

Json = Any
Resource = Mapping[str, Json]

DICOM_UID = "urn:dicom:uid"
_UID = re.compile(r"(?:urn:oid:)?([0-9]+(?:\.[0-9]+)*)")


@dataclass(slots=True)
class NamedSeries:
    """A series that an ImagingStudy lists."""

    count: int = 0
    """Instances stated; 0: not stated."""
    instances: set[str] = field(default_factory=set)
    """Instances listed."""


@dataclass(slots=True)
class NamedStudy:
    """A study that a submission refers to."""

    uid: str
    path: str
    count: int = 0
    series: dict[str, NamedSeries] = field(default_factory=dict)


def named(
    resources: Iterable[tuple[str, Resource]],
) -> tuple[list[NamedStudy], list[IntakeProblem]]:
    """Return the studies of the ImagingStudies at these paths, and those that name none."""
    found: dict[str, NamedStudy] = {}
    problems: list[IntakeProblem] = []
    for path, resource in resources:
        uid = _study_uid(resource)
        if not uid:
            text = "the ImagingStudy has no identifier with system urn:dicom:uid"
            problems.append(IntakeProblem(source=path, reason="STUDY_NOT_NAMED", message=text))
            continue
        study = found.setdefault(uid, NamedStudy(uid, path))
        study.count = max(study.count, _count(resource))
        for each in resource.get("series") or ():
            series = study.series.setdefault(_uid(each.get("uid")), NamedSeries())
            series.count = max(series.count, _count(each))
            series.instances |= {_uid(i.get("uid")) for i in each.get("instance") or ()}
    return list(found.values()), problems


def missing(
    study: NamedStudy, received: Sequence[IntakeInstance], *, were_used: bool
) -> Iterator[IntakeProblem]:
    """Yield what a study's ImagingStudy states and the upload lacks."""
    if not received:
        text = "no instance of this study was uploaded; upload it, then submit anew"
        if were_used:
            text = "an earlier case has used up this study; upload it again, then submit anew"
        yield IntakeProblem(source=study.path, reason="STUDY_NOT_UPLOADED", message=text)
        return
    counts = Counter(instance.series_instance_uid for instance in received)
    uids = {instance.sop_instance_uid for instance in received}
    for number, (uid, series) in enumerate(study.series.items()):
        expected = max(series.count, len(series.instances))
        lacking = max(expected - counts[uid], len(series.instances - uids))
        if not counts[uid] or lacking > 0:
            text = f"{counts[uid]} of {expected or 'its'} instances of this series were uploaded"
            reason = "INSTANCES_NOT_UPLOADED" if counts[uid] else "SERIES_NOT_UPLOADED"
            source = f"{study.path}.series[{number}]"
            yield IntakeProblem(source=source, reason=reason, message=text)
    if not study.series and study.count > len(received):
        text = f"{len(received)} of {study.count} instances of this study were uploaded"
        yield IntakeProblem(source=study.path, reason="INSTANCES_NOT_UPLOADED", message=text)


def _study_uid(resource: Resource) -> str:
    for identifier in resource.get("identifier") or ():
        if identifier.get("system") == DICOM_UID and (uid := _uid(identifier.get("value"))):
            return uid
    return ""


def _uid(value: Json) -> str:
    match = _UID.fullmatch(value.strip()) if isinstance(value, str) else None
    return match[1] if match else ""


def _count(resource: Resource) -> int:
    value = resource.get("numberOfInstances")
    return value if isinstance(value, int) and value > 0 else 0
