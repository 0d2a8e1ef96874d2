"""Somebody read critical results: noted in every Communication of a notice, once per person."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from services.gateway.call import Call
from services.gateway.commit import signer
from services.gateway.critical import communication
from services.gateway.critical.communication import KIND, Reader
from services.gateway.critical.notifier import current
from services.gateway.progress import to_instant
from services.gateway.signing import Signature, practitioner
from services.gateway.store.critical import NEVER_US, OPEN, READ, WITHDRAWN, Notice
from services.kernel import fhir, telemetry
from services.kernel.errors import Precondition


async def acknowledge(
    call: Call,
    ids: Collection[str],
    reader: Reader,
    interaction: str,
    *,
    person: Mapping[str, Any] | None = None,
) -> None:
    """Note that somebody read some notices; the first time stays, a reader is noted once.

    Parameters
    ----------
    ids : of notices
    interaction : for the audit trail
    person : the reader as a Practitioner, stored with it; None: it is known, or another's

    Raises
    ------
    Precondition
        One was withdrawn: what it says does not hold, so nobody may go on from it.
    """
    store = call.store
    async with store.cases.transaction() as connection:
        notices = await store.critical.lock(connection, call.tenant, ids)
        if any(each.state == WITHDRAWN for each in notices):
            raise Precondition("the notice was withdrawn", reason="NOTICE_WITHDRAWN")
        async with store.resources.writing(call.tenant, connection=connection) as writing:
            now_us = store.critical.now_us()
            patients: list[str] = []
            for notice in notices:
                for stored in await current(writing, notice):
                    resource = fhir.parse(stored.content)
                    patients.append(str(resource["subject"]["reference"]))
                    made = communication.read_by(resource, reader, to_instant(now_us))
                    await writing.save(made, case_id=notice.case_id, owned=True)
                if notice.state == OPEN:
                    read = {"state": READ, "read_us": now_us, "next_us": NEVER_US}
                    await store.critical.set(connection, notice, **read)
            if person and notices:
                await writing.save(dict(person), owned=True)
            await _audit(call, notices, patients, interaction, writing)
    for notice in notices:
        if notice.state == OPEN:
            telemetry.took("critical.read", (now_us - notice.sent_us) / 1e6)


async def _audit(
    call: Call, notices: Sequence[Notice], patients: list[str], interaction: str, writing: Any
) -> None:
    seen = [f"{KIND}/{each}" for notice in notices for each in notice.communications]
    await call.audit(
        interaction,
        seen[0] if seen else KIND,
        patient=patients,
        seen=seen[1:],
        case_id=notices[0].case_id if notices else "",
        writing=writing,
    )


async def themselves(call: Call) -> tuple[Reader, dict[str, Any]]:
    """Return the physician who asks, as a reader and as a Practitioner."""
    hasher = await call.gateway.hasher_for(call.tenant)
    who = call.principal
    known = Signature(
        practitioner_id=signer(hasher, who.name)[:64],
        display=who.display,
        identifier=who.practitioner,
        signed_at="",
        amendment=False,
        language="",
        comment="",
        verdicts={},
    )
    person = practitioner(known)
    reference = {"reference": f"Practitioner/{person['id']}"}
    return Reader(reference, who.display or who.name), person
