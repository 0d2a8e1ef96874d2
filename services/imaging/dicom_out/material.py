"""The sources of one series, with the headers that its objects refer to."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from dxmesh.event.v1.model_use_pb2 import ModelUse
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb
from pydicom.dataset import Dataset
from pydicom.uid import VLWholeSlideMicroscopyImageStorage

from services.imaging.dicom_out import uids
from services.imaging.reading import Lesion, ReadSource
from services.imaging.series.headers import UNREADABLE
from services.imaging.series.volume import Volume

_TYPE_2 = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "ReferringPhysicianName"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
)
"""Attributes of patient and study that every object must hold, empty where not known."""


@dataclass(slots=True)
class Series:
    """Everything read of one series."""

    uid: str
    headers: dict[str, Dataset]
    """SOP instance UID → the data set without its pixels."""

    read: list[ReadSource]
    seed: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.seed = uids.seed(self.uid, sorted(self.headers), self.read)

    @property
    def first(self) -> Dataset:
        """The header that tells patient and study."""
        return next(iter(self.headers.values()))

    @property
    def lesions(self) -> list[Lesion]:
        """Every lesion of the series, whichever reader saw it."""
        return [lesion for one in self.read for lesion in one.reading.lesions]

    @property
    def findings(self) -> list[pb.Finding]:
        """What the lesions say."""
        return [lesion.finding for lesion in self.lesions]

    @property
    def models(self) -> list[ModelUse]:
        """Every model that spoke of the series, once."""
        found = {(m.name, m.version, m.model_sha256): m for one in self.read for m in one.models}
        return [found[key] for key in sorted(found)]

    def models_of(self, finding: pb.Finding) -> list[ModelUse]:
        """Return the models of the reading that saw a finding."""
        return [
            model
            for one in self.read
            if one.reading.answer.function == finding.function
            for model in one.models
        ]

    @property
    def is_slide(self) -> bool:
        """Whether it is a whole slide."""
        return bool(self.first.SOPClassUID == VLWholeSlideMicroscopyImageStorage)

    @property
    def is_stack(self) -> bool:
        """Whether it is slices of a volume."""
        return any(isinstance(one.source, Volume) for one in self.read)

    def uid_of(self, *role: str) -> str:
        """Return the UID of one thing that is made of this series."""
        return str(uids.of(self.seed, *role))


def collect(read: Sequence[ReadSource]) -> Iterator[Series]:
    """Yield the series of a part that are DICOM and were read, headers loaded."""
    by_uid: dict[str, list[ReadSource]] = {}
    for one in read:
        by_uid.setdefault(one.facts.series_uid, []).append(one)
    for uid, sources in by_uid.items():
        paths = dict.fromkeys(path for one in sources for path in one.files)
        headers = _headers(list(paths), uid)
        if headers:
            yield Series(uid, headers, sources)


def _headers(paths: Sequence[Path], series_uid: str) -> dict[str, Dataset]:
    """Return the headers of a series' files, by SOP instance UID, in order of the UIDs."""
    found: dict[str, Dataset] = {}
    for path in paths:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom's warnings quote values
                dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
                if str(dataset.get("SeriesInstanceUID", "")) != series_uid:
                    continue
                found[str(dataset.SOPInstanceUID)] = _complete(dataset)
        except UNREADABLE:
            continue  # what could not be read is in no source either
    return {uid: found[uid] for uid in sorted(found)}


def _complete(dataset: Dataset) -> Dataset:
    for keyword in _TYPE_2:
        if keyword not in dataset:
            setattr(dataset, keyword, "")
    return dataset
