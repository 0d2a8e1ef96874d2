"""What of a case may be shown on its pages: the same as FHIR and DICOMweb show of it.

Whoever may not see a case's report, its patient or its order sees no case; whoever may not
see an ImagingStudy sees no picture of it. Labels count as they are now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.gateway.access.rights import Visibility
from services.gateway.call import Call
from services.gateway.dicomweb import rights, wanted
from services.gateway.dicomweb.archive import Held
from services.gateway.fhir import allowed
from services.gateway.progress import Case
from services.gateway.store.dicom import Series, Wanted
from services.gateway.store.stored import Key, Stored
from services.kernel.errors import NotFound

Json = Mapping[str, Any]
NAMES = ("report", "patient_reference", "based_on")
"""What a case's label names: each must be seen."""
STUDY = "ImagingStudy"
PICTURES = frozenset({"Media", "Binary"})


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

    Key images are pictures of the studies: they go where one of those may not be seen.
    """
    entries = [(_key_of(each["resource"]), each) for each in content["entry"]]
    keys = [key for key, _ in entries if key[0] != "Binary"]
    hidden = await _hidden(call, _visibility(call), keys)
    if not hidden:
        return content
    kinds = PICTURES if any(kind == STUDY for kind, _ in hidden) else frozenset()
    kept = [each for key, each in entries if key not in hidden and key[0] not in kinds]
    return {**content, "entry": kept}


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


async def _hidden(call: Call, visibility: Visibility, keys: Sequence[Key]) -> set[Key]:
    """Return which of the resources are there and may not be seen."""
    if not keys or (visibility.restricted and all(visibility.of(k) is None for k, _ in keys)):
        return set()
    found: list[Stored] = await call.store.resources.find_many(
        call.tenant, list(dict.fromkeys(keys))
    )
    return {
        (one.type, one.id)
        for one in found
        if (one.type == STUDY if one.deleted else not allowed.sees(visibility, one))
    }


def _keys(found: Case) -> list[Key]:
    references = (str(found.label.get(name, "")).partition("/") for name in NAMES)
    return [(kind, resource_id) for kind, _, resource_id in references if resource_id]


def _key_of(resource: Json) -> Key:
    return str(resource["resourceType"]), str(resource.get("id", ""))
