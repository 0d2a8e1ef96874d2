"""Who may see a study: the rights to its ImagingStudy are the rights to its images.

Where the hospital sent an ImagingStudy, that one decides, as it is now: compartment, the
criteria of a scope, labels. Where it sent none with the case, one that it sent otherwise does;
else one is made of what the images say, as confidential as its Patient. The label of any
ImagingStudy of a study hides it in every case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.gateway.access.rights import Visibility
from services.gateway.call import Call
from services.gateway.dicomweb.attributes import first
from services.gateway.fhir import allowed
from services.gateway.fhir import studies as imaging_studies
from services.gateway.fhir.binary_rights import is_restricted
from services.gateway.fhir.search import match
from services.gateway.store.dicom import Series, Study, Wanted
from services.gateway.store.stored import Key, Stored
from services.kernel import fhir
from services.kernel.errors import NotFound

KIND = "ImagingStudy"
READ, SEARCH = "r", "s"
DCM = "http://dicom.nema.org/resources/ontology/DCM"


def require(call: Call, letter: str) -> Visibility:
    """Return what the caller may see of images.

    Raises
    ------
    Forbidden
        Nothing at all.
    """
    call.principal.rights.covering(KIND, letter)
    return call.principal.rights.visibility(letter)


async def seen(call: Call, visibility: Visibility, studies: Sequence[Study]) -> list[Study]:
    """Return the studies that may be shown."""
    if visibility.of(KIND) is None and visibility.restricted:
        return list(studies)
    keys: dict[Key, None] = {}
    for study in studies:
        for reference in (study.resource, study.patient):
            kind, _, resource_id = reference.partition("/")
            if resource_id:
                keys[kind, resource_id] = None
    found = await call.store.resources.find_many(call.tenant, list(keys))
    stored = {f"{one.type}/{one.id}": one for one in found}
    same: dict[str, list[Stored]] = {}
    uids = [study.uid for study in studies]
    for other in await imaging_studies.of_uids(call.store, call.tenant, uids):
        for uid in imaging_studies.uids_of(fhir.parse(other.content)):
            same.setdefault(uid, []).append(other)
    return [s for s in studies if _sees(visibility, s, stored, same.get(s.uid, []))]


async def one(call: Call, uid: str) -> list[Study]:
    """Return a study, as each of the cases it came in has it, the newest first.

    Raises
    ------
    Forbidden, NotFound
    """
    visibility = require(call, READ)
    studies: list[Study] = []
    async for batch in call.store.dicom.studies(call.tenant, Wanted(studies=[uid])):
        studies += await seen(call, visibility, [one for group in batch for one in group])
    if not studies:
        raise NotFound("there is no such study")
    return studies


def _sees(
    visibility: Visibility, study: Study, stored: Mapping[str, Stored], same: Sequence[Stored]
) -> bool:
    """Tell whether a study may be seen; `same` are all ImagingStudies of it."""
    if not visibility.restricted and any(is_restricted(one.content) for one in same):
        return False
    if found := stored.get(study.resource):
        return not found.deleted and allowed.sees(visibility, found)
    if same:
        return any(allowed.sees(visibility, one) for one in same)
    patient = stored.get(study.patient)
    labels: Any = []
    if patient and not patient.deleted and allowed.may_be_labelled(patient.content):
        labels = fhir.parse(patient.content).get("meta", {}).get("security", [])
    return match.visible(visibility, made(study, labels))


def made(study: Study, labels: Any) -> dict[str, Any]:
    """Return the ImagingStudy that stands for a study that was sent without one."""
    day = first(study.attributes, "00080020")
    modalities = study.attributes.get("00080061", {}).get("Value", [])
    resource: dict[str, Any] = {
        "resourceType": KIND,
        "status": "available",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{study.uid}"}],
        "subject": {"reference": study.patient},
        "modality": [{"system": DCM, "code": modality} for modality in modalities],
    }
    if len(day) == 8:
        resource["started"] = f"{day[:4]}-{day[4:6]}-{day[6:]}"
    if labels:
        resource["meta"] = {"security": labels}
    return resource


def modality_of(series: Series) -> str:
    """Return the modality of a series."""
    return first(series.attributes, "00080060")
