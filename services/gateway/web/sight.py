"""What of a case may be shown on its pages: the same as FHIR and DICOMweb show of it.

Whoever may not see a case's report, its patient or its order sees no case; whoever may not
see an ImagingStudy sees no picture of it. Labels count as they are now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.gateway import attachments
from services.gateway.access.rights import Visibility
from services.gateway.call import Call
from services.gateway.dicomweb import rights, wanted
from services.gateway.dicomweb.archive import Held
from services.gateway.fhir import allowed, binary_rights, studies
from services.gateway.fhir.binary_rights import BINARY, PATIENT, STUDY, is_restricted
from services.gateway.fhir.search import match
from services.gateway.progress import Case
from services.gateway.store.dicom import Series, Wanted
from services.gateway.store.stored import Key
from services.kernel.errors import NotFound

Json = Mapping[str, Any]
NAMES = ("report", "patient_reference", "based_on")
"""What a case's label names: each must be seen."""
MEDIA = "Media"


async def case(call: Call) -> Case:
    """Return the case of the address.

    Raises
    ------
    NotFound
        There is none, or none that may be seen.
    """
    found = await call.store.cases.get(call.tenant, call.path("id"))
    if not await cases(call, [found]):
        raise NotFound("there is no such case")
    return found


async def cases(call: Call, found: Sequence[Case]) -> list[Case]:
    """Return the cases that may be shown.

    Before its report is stored a case goes by the labels that it was submitted with.
    """
    visibility = _visibility(call)
    hidden = await _hidden(call, visibility, [key for each in found for key in _keys(each)])
    return [
        each
        for each in found
        if not hidden.intersection(_keys(each))
        and (each.report_version or visibility.restricted or not each.label.get("restricted"))
    ]


async def bundle(call: Call, content: dict[str, Any]) -> dict[str, Any]:
    """Return a composed version without what may not be shown of it.

    Key images are pictures of the studies: they go where one of those may not be seen, be it
    that there is no ImagingStudy of it. A file goes with the resource that names it.
    """
    visibility = _visibility(call)
    entries = [(_key_of(each["resource"]), each) for each in content["entry"]]
    hidden = await _hidden(call, visibility, [key for key, _ in entries])
    resources = [each["resource"] for _, each in entries]
    if any(kind == STUDY for kind, _ in hidden) or await _unseen_study(call, resources):
        hidden |= {key for key, _ in entries if key[0] == MEDIA}
    if not hidden:
        return content
    for resource in resources:
        if _key_of(resource) in hidden:
            hidden |= {_key(address) for address in attachments.addresses(resource)}
    return {**content, "entry": [each for key, each in entries if key not in hidden]}


async def withholds_document(call: Call, shown: Case) -> bool:
    """Tell whether a case's PDF shows what its reader may not see, so that it is not given."""
    if _visibility(call).restricted:
        return False
    return await binary_rights.withholds_document(call.store, call.tenant, shown.case_id)


async def series(call: Call, case_id: str) -> list[Series]:
    """Return the series of a case that may be shown, the mesh's own objects among them.

    Raises
    ------
    Unavailable
        Images are not served here.
    """
    archive = wanted.archive_of(call)
    held = archive.recent(call.tenant, case_id)
    if held is None:
        await archive.catch_up(call.tenant)
        found = wanted.merged(await call.store.dicom.of_case(call.tenant, case_id))
        uids = list(dict.fromkeys(one.study for one in found))
        studies = [
            study
            async for batch in call.store.dicom.studies(call.tenant, Wanted(studies=uids))
            for group in batch
            for study in group
            if study.case_id == case_id
        ]
        held = Held(found, studies if uids else [])
        archive.remember(call.tenant, case_id, held)
    shown = {study.uid for study in await rights.seen(call, _visibility(call), held.studies)}
    return [one for one in held.series if one.study in shown]


def _visibility(call: Call) -> Visibility:
    return call.principal.rights.visibility(rights.READ)


async def _unseen_study(call: Call, resources: Sequence[Json]) -> bool:
    """Tell whether a study that a report is about may not be seen by what is not in the report.

    That is an ImagingStudy that came otherwise and is labelled, or, where there is none with
    the report, what DICOMweb makes of the study, less what only its images say.
    """
    visibility = _visibility(call)
    if visibility.restricted and visibility.of(STUDY) is None:
        return False
    uids = set[str]().union(*map(studies.uids_of, resources))
    same = await studies.of_uids(call.store, call.tenant, sorted(uids))
    if not visibility.restricted and any(is_restricted(each.content) for each in same):
        return True
    named = [each for one in resources for each in one.get("imagingStudy", [])]
    sent = any(one["resourceType"] == STUDY for one in resources)
    if sent and all("reference" in each for each in named):
        return False
    patient = next((f"{PATIENT}/{one['id']}" for one in resources if _is(one, PATIENT)), "")
    made: Json = {"resourceType": STUDY, "status": "available", "subject": {"reference": patient}}
    return not match.visible(visibility, made)


async def _hidden(call: Call, visibility: Visibility, keys: Sequence[Key]) -> set[Key]:
    """Return which of the resources are there and may not be seen.

    A deleted one counts as it last was; a deleted ImagingStudy shows nothing, as in DICOMweb.
    A Binary is looked at for its own label alone: whoever sees what names it, sees the rest.
    """
    if not keys or (visibility.restricted and all(visibility.of(k) is None for k, _ in keys)):
        return set()
    found = await call.store.resources.find_many(call.tenant, list(dict.fromkeys(keys)))
    hidden: set[Key] = set()
    for one in found:
        last = await call.store.resources.last(call.tenant, one)
        if one.type == BINARY:
            seen = visibility.restricted or not is_restricted(last.content)
        else:
            seen = allowed.sees(visibility, last) and not (one.type == STUDY and one.deleted)
        if not seen:
            hidden.add((one.type, one.id))
    return hidden


def _keys(found: Case) -> list[Key]:
    return [_key(str(found.label[name])) for name in NAMES if found.label.get(name)]


def _key(reference: str) -> Key:
    kind, _, resource_id = reference.partition("/")
    return kind, resource_id


def _key_of(resource: Json) -> Key:
    return str(resource["resourceType"]), str(resource.get("id", ""))


def _is(resource: Json, kind: str) -> bool:
    return bool(resource["resourceType"] == kind and resource.get("id"))
