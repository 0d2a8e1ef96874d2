"""ImagingStudies by the study they are of, which may have come with several cases or alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from services.gateway.access.rights import EVERYTHING
from services.gateway.fhir.search.query import parse
from services.gateway.store import Store
from services.gateway.store.stored import Stored

STUDY = "ImagingStudy"
OID = "urn:oid:"
AT_ONCE, OF_ONE_MAX = 25, 20
"""Studies that are looked up by one search, and ImagingStudies of each."""
_UID = re.compile(r"[0-9.]{1,64}")


async def of_uids(store: Store, tenant: str, uids: Iterable[str]) -> list[Stored]:
    """Return the current ImagingStudies that name a Study Instance UID, whoever may see them."""
    wanted = [uid for uid in dict.fromkeys(uids) if _UID.fullmatch(uid)]
    everything = EVERYTHING.visibility("r")
    keys: dict[tuple[str, str], None] = {}
    for start in range(0, len(wanted), AT_ONCE):
        some = wanted[start : start + AT_ONCE]
        spelled = ",".join(f"{OID}{uid},{uid}" for uid in some)
        query = parse(STUDY, [("identifier", spelled)])
        limit = OF_ONE_MAX * len(some)
        for key in await store.searches.keys(None, tenant, query, everything, limit):
            keys.setdefault(key)
    found = await store.resources.find_many(tenant, list(keys))
    return [each for each in found if not each.deleted]


def uids_of(resource: Mapping[str, Any]) -> set[str]:
    """Return the UIDs that an ImagingStudy has, or that a DiagnosticReport names studies by."""
    identifiers = list(resource.get("identifier", [])) if is_study(resource) else []
    identifiers += [each.get("identifier", {}) for each in resource.get("imagingStudy", [])]
    values = (str(each.get("value", "")).removeprefix(OID) for each in identifiers)
    return {value for value in values if _UID.fullmatch(value)}


def is_study(resource: Mapping[str, Any]) -> bool:
    """Tell whether a resource is an ImagingStudy."""
    return resource.get("resourceType") == STUDY
