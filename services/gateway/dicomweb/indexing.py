"""Reads a case's archives once, so that a search reads none.

Archives of what was received lie in the analysis zone, one ZIP per series, without identity;
what the mesh made of them (SEG, SR …) lies in the identity zone, one file per object, with the
hospital's UIDs already.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from pydicom.dataset import FileDataset

from services.gateway.dicomweb import attributes, entries, identity
from services.gateway.dicomweb.attributes import INSTANCE, SERIES, STUDY
from services.gateway.restore import Identity
from services.gateway.store.dicom import Attributes, Instance, Series, Study
from services.kernel.errors import Damaged
from services.kernel.pieces import BlobReader

RECEIVED = re.compile(r"imaging-\d+(\.\d+)?/series-\d+\.zip")
"""Parts of a supplement carry its number: imaging-1.1."""
MADE = ".dcm"


def made_scope(case_id: str) -> str:
    """Return the scope of what the mesh made of a case, in the identity zone."""
    return f"{case_id}.dicom"


@dataclass(slots=True)
class Found:
    """What was found of a case so far."""

    case_id: str
    known: Identity
    studies: dict[str, Study] = field(default_factory=dict)
    heads: dict[tuple[str, str], tuple[bool, Attributes]] = field(default_factory=dict)
    """(study, series) → whether the mesh made it, and what is said of it."""
    instances: dict[tuple[str, str], list[Instance]] = field(default_factory=dict)
    unreadable: int = 0
    """Files that are no DICOM."""

    def series(self) -> list[Series]:
        """Return the series, each with its instances in their order."""
        return [
            Series(self.case_id, study, uid, made, said, tuple(self._ordered(study, uid)))
            for (study, uid), (made, said) in self.heads.items()
        ]

    def summed(self) -> list[Study]:
        """Return the studies, with what is counted of their series."""
        series = self.series()
        counts = {
            uid: attributes.sums_of([one for one in series if one.study == uid])
            for uid in self.studies
        }
        return [
            replace(study, attributes=study.attributes | counts[uid])
            for uid, study in self.studies.items()
        ]

    def _ordered(self, study: str, uid: str) -> list[Instance]:
        unique = {one.uid: one for one in self.instances[study, uid]}
        return sorted(unique.values(), key=lambda one: (number_of(one), one.uid))


def number_of(instance: Instance) -> int:
    """Return the Instance Number; 0 when it has none."""
    try:
        return int(attributes.first(instance.attributes, "00200013") or 0)
    except ValueError:
        return 0


async def read_received(found: Found, reader: BlobReader, name: str) -> None:
    """Add what an archive holds."""
    for place in await entries.entries(reader):
        await _read(found, reader, name, place, made=False)


async def read_made(found: Found, reader: BlobReader, name: str) -> None:
    """Add an object that the mesh made."""
    await _read(found, reader, name, entries.Place(0, reader.size), made=True)


async def _read(
    found: Found, reader: BlobReader, name: str, place: entries.Place, *, made: bool
) -> None:
    try:
        dataset, pixels = await entries.head(reader, place)
        syntax = entries.syntax_of(dataset)
        if not made:
            identity.restore(dataset, found.known)
        _add(found, dataset, _instance(dataset, syntax, name, place, pixels), made=made)
    except (Damaged, *entries.UNREADABLE):
        found.unreadable += 1


def _add(found: Found, dataset: FileDataset, instance: Instance, *, made: bool) -> None:
    study, uid = str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID)
    if study not in found.studies:
        found.studies[study] = _study(found, study, dataset)
    said = attributes.picked(dataset, attributes.LEVELS[SERIES])
    found.heads.setdefault((study, uid), (made, said))
    found.instances.setdefault((study, uid), []).append(instance)


def _study(found: Found, uid: str, dataset: FileDataset) -> Study:
    known = found.known
    patient = f"Patient/{known.patient['id']}" if known.patient.get("id") else ""
    resource = next((s for s in known.imaging_studies if identity.names(s, uid)), {})
    return Study(
        found.case_id,
        uid,
        patient,
        f"ImagingStudy/{resource['id']}" if resource.get("id") else "",
        attributes.picked(dataset, attributes.LEVELS[STUDY]),
    )


def _instance(
    dataset: FileDataset, syntax: str, name: str, place: entries.Place, pixels: int
) -> Instance:
    return Instance(
        uid=str(dataset.SOPInstanceUID),
        sop_class=str(dataset.get("SOPClassUID") or ""),
        syntax=syntax,
        blob=name,
        at=place.at,
        size=place.size,
        pixels=pixels,
        frames=max(1, int(dataset.get("NumberOfFrames") or 1)),
        attributes=attributes.picked(dataset, attributes.LEVELS[INSTANCE]),
    )
