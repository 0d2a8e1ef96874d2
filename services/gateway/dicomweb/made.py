"""DICOM objects of a report into the identity zone: identity and the hospital's UIDs inside.

The analysis zone makes SEG, SR and others with pseudonyms, remapped UIDs and the study's
shifted date. Here each gets patient, study, UIDs and dates of the hospital, and as the time of
its making that at which the case was received: the same in every version of the report, so
one SOP instance UID is always one content. Pixel data are not touched.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dxmesh.event.v1.report_composed_pb2 import ReportComposed
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite

from services.gateway.dicomweb import entries, identity
from services.gateway.restore import Identity
from services.kernel import telemetry
from services.kernel.blobs import Blobs
from services.kernel.errors import Damaged, NotFound

log = logging.getLogger(__name__)

Json = Any
BLOBS = "urn:dxmesh:blob"
MADE_AT = ("InstanceCreation", "Content", "Series", "PresentationCreation")
"""Dates and times of the making, which are the mesh's own."""


@dataclass(frozen=True, slots=True)
class Made:
    """One object with identity restored."""

    study: str
    series: str
    instance: str
    content: bytes

    @property
    def name(self) -> str:
        """Name of its blob in the scope of the case's objects."""
        return f"{self.study}/{self.series}/{self.instance}.dcm"

    @property
    def url(self) -> str:
        """Where DICOMweb serves it."""
        return f"/dicom-web/studies/{self.study}/series/{self.series}/instances/{self.instance}"


def scope(case_id: str) -> str:
    """Return the scope of what the mesh made of a case, in the identity zone."""
    return f"{case_id}.dicom"


def restored(content: bytes, known: Identity, received: datetime) -> Made:
    """Return an object as the hospital's own.

    Raises
    ------
    Damaged
        Not a DICOM object.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values
            dataset = dcmread(io.BytesIO(content))
            identity.restore(dataset, known)
            _stamp(dataset, received)
            buffer = io.BytesIO()
            dcmwrite(buffer, dataset, enforce_file_format=True)
            return Made(
                str(dataset.StudyInstanceUID),
                str(dataset.SeriesInstanceUID),
                str(dataset.SOPInstanceUID),
                buffer.getvalue(),
            )
    except entries.UNREADABLE as error:
        raise Damaged("a DICOM object of a report cannot be read") from error


def _stamp(dataset: Dataset, received: datetime) -> None:
    """Put the time of the making where the analysis zone had the study's date, UTC."""
    for part in MADE_AT:
        if f"{part}Date" in dataset:
            setattr(dataset, f"{part}Date", f"{received:%Y%m%d}")
            setattr(dataset, f"{part}Time", f"{received:%H%M%S}")
    for item in dataset.get("ContributingEquipmentSequence", []):
        if "ContributionDateTime" in item:
            item.ContributionDateTime = f"{received:%Y%m%d%H%M%S}+0000"


class MadeObjects:
    """Takes a report's objects from the analysis zone to the identity zone."""

    def __init__(self, analysis: Blobs, identity_zone: Blobs) -> None:
        self._analysis = analysis
        self._identity_zone = identity_zone

    async def keep(
        self, event: ReportComposed, bundle: Mapping[str, Json], known: Identity
    ) -> dict[str, Json]:
        """Keep every object of a version; return its Bundle with where each can be fetched.

        An object that cannot be read costs itself: its DocumentReference is left out.

        Raises
        ------
        KeyDestroyed, Unavailable
        """
        received = event.case.received_time.ToDatetime()
        found: dict[str, dict[str, Json]] = {}
        for ref in event.objects:
            try:
                content = await self._analysis.get(event.case.tenant, ref)
                made = await asyncio.to_thread(restored, content, known, received)
            except (Damaged, NotFound) as error:
                log.error("a DICOM object of a report is lost: %s", telemetry.frames(error))
                continue
            del content
            case_scope = scope(event.case.case_id)
            await self._identity_zone.put(event.case.tenant, case_scope, made.name, made.content)
            found[ref.name] = _attachment(made)
        return {**bundle, "entry": _entries(bundle, found)}


def _attachment(made: Made) -> dict[str, Json]:
    # R4 attachments carry SHA-1 (datatypes, Attachment.hash): a checksum, not a protection.
    digest = hashlib.sha1(made.content, usedforsecurity=False).digest()
    return {
        "url": made.url,
        "size": len(made.content),
        "hash": base64.b64encode(digest).decode(),
    }


def _entries(bundle: Mapping[str, Json], found: Mapping[str, dict[str, Json]]) -> list[Json]:
    """Return a Bundle's entries; what an object's DocumentReference says is completed."""
    kept: list[Json] = []
    for entry in bundle["entry"]:
        resource = entry["resource"]
        name = blob_name(resource)
        if name and name not in found:
            continue
        if name:
            content = [
                {**each, "attachment": {**each["attachment"], **found[name]}}
                for each in resource["content"]
            ]
            resource = {**resource, "content": content}
        kept.append({**entry, "resource": resource})
    return kept


def blob_name(resource: Mapping[str, Json]) -> str:
    """Return the blob of the object that a DocumentReference is about; empty when of none."""
    if resource["resourceType"] != "DocumentReference" or "masterIdentifier" not in resource:
        return ""
    names = [i["value"] for i in resource.get("identifier", []) if i.get("system") == BLOBS]
    return str(names[0]) if names else ""
