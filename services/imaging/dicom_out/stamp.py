"""What all objects share: who made them, when, and how they are written.

Follows IHE AI Results: one Contributing Equipment item per algorithm, with a Device UID that a
retraining changes. The analysis zone knows no true time but that of the case, so an object
bears the study's own date here, and the gateway puts the mesh's time in its place.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from dxmesh.event.v1.model_use_pb2 import ModelUse
from highdicom import AlgorithmIdentificationSequence, ContributingEquipment
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite

from services.imaging.dicom_out import codes, uids
from services.imaging.dicom_out.material import Series
from services.imaging.reading import DicomObject

MANUFACTURER, MODEL, SERIAL = "dxmesh", "dxmesh imaging", "1"
WITHOUT_DATE, WITHOUT_TIME = "19000101", "000000"
"""Stand where the study states no date: the elements must not be empty."""

DESIGNATOR = 0x00080102
"""Coding Scheme Designator."""

SERIES = {"SEG": 9101, "SR": 9102, "KO": 9103, "PR": 9104, "ANN": 9105}
"""Series number by modality, after those that scanners give."""


def identity(series: Series, modality: str, *role: str) -> dict[str, Any]:
    """Return the arguments that name an object and its maker."""
    return {
        "series_instance_uid": series.uid_of("series", modality),
        "series_number": SERIES[modality],
        "sop_instance_uid": series.uid_of("instance", modality, *role),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "contributing_equipment": equipment(series.models),
    }


def maker() -> dict[str, Any]:
    """Return the arguments that describe the maker's device, where an object takes them."""
    return {
        "manufacturer_model_name": MODEL,
        "software_versions": "-",  # `finished` puts the models here
        "device_serial_number": SERIAL,
    }


def versions(models: Sequence[ModelUse]) -> list[str]:
    """Return the models with their versions, as Software Versions."""
    return [f"{model.name} {model.version}"[:64] for model in models] or ["rules"]


def equipment(models: Sequence[ModelUse]) -> list[ContributingEquipment]:
    """Return one Contributing Equipment item per algorithm."""
    return [_equipment(model) for model in models]


def _equipment(model: ModelUse) -> ContributingEquipment:
    item = ContributingEquipment(
        manufacturer=MANUFACTURER,
        purpose_of_reference=codes.concept("processing-equipment"),
        manufacturer_model_name=model.name[:64],
        software_versions=model.version[:64] or "0",
        contribution_description="Algorithm that made these findings",
    )
    item.DeviceUID = uids.device(model)
    return item


def algorithms(models: Sequence[ModelUse]) -> AlgorithmIdentificationSequence:
    """Return the models as Algorithm Identification (PS3.3 10.16), one item each."""
    names = [(model.name, model.version) for model in models] or [("dxmesh-rules", "0")]
    made = [
        AlgorithmIdentificationSequence(
            name=name[:64],
            family=codes.concept("family-ai"),
            version=version[:64] or "0",
            source=MANUFACTURER,
        )
        for name, version in names
    ]
    for other in made[1:]:
        made[0].append(other[0])
    return made[0]


def finished(series: Series, dataset: Dataset, modality: str) -> DicomObject:
    """Return an object's file, with what highdicom takes from the clock or at random replaced."""
    date = str(series.first.get("StudyDate") or "") or WITHOUT_DATE
    time = str(series.first.get("StudyTime") or "") or WITHOUT_TIME
    for keyword in ("InstanceCreation", "Content", "Series", "PresentationCreation"):
        if keyword == "Series" or f"{keyword}Date" in dataset:
            setattr(dataset, f"{keyword}Date", date)
            setattr(dataset, f"{keyword}Time", time)
    dataset.SoftwareVersions = versions(series.models)
    for item in dataset.get("ContributingEquipmentSequence", []):
        if "ContributionDateTime" in item:
            item.ContributionDateTime = date + time.partition(".")[0].ljust(6, "0")[:6]
    if "ObservationDateTime" in dataset:
        del dataset.ObservationDateTime
    if dimensions := dataset.get("DimensionOrganizationSequence"):
        uid = series.uid_of("dimensions", str(dataset.SOPInstanceUID))
        for item in (*dimensions, *dataset.get("DimensionIndexSequence", [])):
            item.DimensionOrganizationUID = uid
    if any(item.value == codes.OWN for item in dataset.iterall() if item.tag == DESIGNATOR):
        dataset.CodingSchemeIdentificationSequence = [codes.scheme_item()]
    return DicomObject(
        content=_written(dataset),
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        study_instance_uid=str(dataset.StudyInstanceUID),
        source_series_instance_uid=series.uid,
        modality=modality,
    )


def _written(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()
