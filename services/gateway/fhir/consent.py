"""A Consent that a client stores is told to the consent service, which decides by it.

It is told when its patient is known there, that is, has had a case, and when it names its patient
by an identifier with a system: results of a laboratory come without a Consent, and ask for the one
that was given under the patient's number. Any other Consent is only stored. A withdrawal is a
Consent with status `inactive`, or one that denies: open cases of the patient are stopped.
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
        subject_key = subject_key or await _by_number(call, consent)
        if not subject_key:
            continue
        try:
            async with asyncio.timeout(TOLD_WITHIN_S):
                await call.gateway.peers.record_consent(
                    call.tenant, subject_key, fhir.dump(consent)
                )
        except TimeoutError as error:
            raise Unavailable("the consent service does not answer in time") from error


async def _by_number(call: Call, consent: dict[str, Any]) -> str:
    """Return the subject that the patient's identifier means; empty where it names none.

    As ingest makes it of the same identifier (`services/ingest/patient.py`, `key_of`).
    """
    number = consent.get("patient", {}).get("identifier", {})
    system, value = str(number.get("system", "")).strip(), str(number.get("value", "")).strip()
    if not system or not value:
        return ""
    return (await call.gateway.hasher_for(call.tenant))("subject", "identifier", system, value)


def names_of(consent: dict[str, Any]) -> list[str]:
    """Return how a Consent names its patient: reference and identifier."""
    patient = consent.get("patient", {})
    names = [str(patient["reference"])] if patient.get("reference") else []
    if patient.get("identifier"):
        names += submission.identifiers([patient["identifier"]])
    return names
