"""Key images as a Key Object Selection: what a radiologist should open first. Pure.

Source: PS3.16 TID 2010; CID 7010.
"""

from __future__ import annotations

from collections.abc import Sequence

from highdicom import sr
from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.dataset import Dataset

from services.imaging.dicom_out import codes, stamp, uids
from services.imaging.dicom_out.material import Series


def select(series: Series, made: Sequence[Dataset]) -> KeyObjectSelectionDocument | None:
    """Return the selection of the images that show a lesion best, and of the objects on them."""
    named = dict.fromkeys(finding.place.sop_instance_uid for finding in series.findings)
    images = [series.headers[uid] for uid in named if uid in series.headers]
    if not images:
        return None
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=str(uids.of("observer", *(uids.device(m) for m in series.models))),
        name=stamp.MODEL,
        manufacturer_name=stamp.MANUFACTURER,
        model_name=stamp.MODEL,
    )
    observer = sr.ObserverContext(sr.CodedConcept("121007", "DCM", "Device"), device)
    selection = KeyObjectSelection(
        document_title=codes.concept("key-of-interest"),
        referenced_objects=[*images, *made],
        observer_device_context=observer,
        description="Images with findings of dxmesh, not reviewed",
    )
    return KeyObjectSelectionDocument(
        evidence=[*images, *made],
        content=selection,
        series_description="AI findings: key images",
        **stamp.maker(),
        **stamp.identity(series, "KO"),
    )
