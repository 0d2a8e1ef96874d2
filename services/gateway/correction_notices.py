"""Tells that results of a report were corrected since, once for each later case."""

from __future__ import annotations

import uuid

from services.gateway import corrections
from services.gateway.call import Gateway
from services.gateway.commit import identity
from services.gateway.critical.communication import KIND
from services.gateway.fhir import confidential
from services.gateway.progress import Case
from services.kernel import telemetry
from services.kernel.errors import KeyDestroyed, NotFound


async def tell(gateway: Gateway, case: Case) -> None:
    """Store a Communication for each case that corrects a report which somebody may have read.

    A repeat finds it stored. Of a case without a report the pages tell, when it has one.

    Raises
    ------
    Unavailable
        Anonymization or the store is away.
    """
    found = corrections.read(case.label, corrections.CORRECTED)
    report = str(case.label.get("report", ""))
    if not found or not report:
        return
    try:
        who = identity(await gateway.peers.reidentify(case.tenant, case.case_id))
    except (NotFound, KeyDestroyed):
        telemetry.failure("gateway.corrections", "PATIENT_UNKNOWN")
        return
    hasher = await gateway.hasher_for(case.tenant)
    code = str(case.label.get("confidentiality", ""))
    async with gateway.store.resources.writing(case.tenant) as writing:
        for each in found:
            made = hasher("correction-notice", case.case_id, each.case_id)
            notice_id = str(uuid.UUID(made[:32]))
            if await writing.current(KIND, notice_id):
                continue
            told = corrections.notice(notice_id, case.case_id, report, each, who, each.at)
            resource = confidential.labelled(told, code)
            await writing.save(resource, case_id=case.case_id, owned=True)
