"""A Consent that a client stores is told to the consent service, which decides by it.

It is told when its patient is known there, that is, has had a case; any other Consent is only
stored. A withdrawal is a Consent with status `inactive`, or one that denies: open cases of the
patient are stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from services.gateway.call import Call
from services.gateway.fhir import submission
from services.gateway.store.writing import Writing
from services.kernel import fhir
from services.kernel.errors import Unavailable

TOLD_WITHIN_S = 5.0
"""The tenant's other writers wait meanwhile, so it may not be long."""


async def tell(call: Call, writing: Writing, consents: Sequence[dict[str, Any]]) -> None:
    """Record Consents that are about to be committed; when that fails nothing is.

    Raises
    ------
    Unavailable
        The consent service did not answer in time.
    """
    for consent in consents:
        subject_key = await call.store.people.subject(
            call.tenant, names_of(consent), connection=writing.connection
        )
        if subject_key is None:
            continue
        try:
            async with asyncio.timeout(TOLD_WITHIN_S):
                await call.gateway.peers.record_consent(
                    call.tenant, subject_key, fhir.dump(consent)
                )
        except TimeoutError as error:
            raise Unavailable("the consent service does not answer in time") from error


def names_of(consent: dict[str, Any]) -> list[str]:
    """Return how a Consent names its patient: reference and identifier."""
    patient = consent.get("patient", {})
    names = [str(patient["reference"])] if patient.get("reference") else []
    if patient.get("identifier"):
        names += submission.identifiers([patient["identifier"]])
    return names
