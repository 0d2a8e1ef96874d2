"""What the store has on the patient an EHR asks about: keyed look-ups, nothing computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.gateway.fhir.parameters import PARAMETERS
from services.gateway.hooks.clients import CdsClient
from services.gateway.hooks.facts import CaseFacts, of_case
from services.gateway.hooks.person import agree, identifiers, is_same
from services.gateway.hooks.request import HookRequest
from services.gateway.store import Store
from services.gateway.store.resources import Criterion, Stored
from services.kernel import fhir
from services.kernel.errors import NotFound

CASES_MAX = 20
"""Newest cases of a patient that are looked at."""
IDENTIFIERS_MAX = 8

Json = Mapping[str, Any]


async def patients(store: Store, client: CdsClient, request: HookRequest) -> list[str]:
    """Return the ids of the Patients in the client's tenant that are the one asked about."""
    found: dict[str, Json] = {}
    if client.patient_ids and (stored := await _find(store, client, request.patient_id)):
        found[request.patient_id] = stored
    for system, value in identifiers(request.patient)[:IDENTIFIERS_MAX]:
        for match in await _search(store, client.tenant, "Patient", "identifier", system, value):
            found.setdefault(match.id, fhir.parse(match.content))
    same = [
        patient_id
        for patient_id, stored in found.items()
        if is_same(
            stored,
            request.patient,
            by_id=client.patient_ids and patient_id == request.patient_id,
        )
    ]
    # Before its first report a case is known by its Task alone.
    known = not client.patient_ids or request.patient_id in found
    return same if known else [*same, request.patient_id]


async def cases(
    store: Store,
    client: CdsClient,
    patient_ids: Sequence[str],
    asked: Json | None,
    *,
    with_orders: bool,
) -> list[CaseFacts]:
    """Return the newest cases of a patient, newest first.

    Parameters
    ----------
    asked : the EHR's Patient; a case sent with another date of birth is left out
    with_orders : read each case's ServiceRequest as well, to know what was examined by its code
    """
    tasks: list[Stored] = []
    for patient_id in patient_ids:
        tasks += await _search(store, client.tenant, "Task", "patient", "", f"Patient/{patient_id}")
    facts: list[CaseFacts] = []
    for task in sorted(tasks, key=lambda task: task.updated_us, reverse=True)[:CASES_MAX]:
        try:
            case = await store.cases.get(client.tenant, task.id)
        except NotFound:
            continue  # a Task of the hospital's own
        born = case.label.get("patient", {}).get("birth_date", "")
        if case.stopped or (asked and not agree(born, asked.get("birthDate"))):
            continue
        order = await _read(store, client, case.label.get("based_on", "")) if with_orders else None
        report = await _read(store, client, case.label.get("report", ""))
        facts.append(of_case(case, order, report))
    return sorted(facts, key=lambda each: each.time_us, reverse=True)


async def _find(store: Store, client: CdsClient, patient_id: str) -> Json | None:
    return await _read(store, client, f"Patient/{patient_id}")


async def _read(store: Store, client: CdsClient, reference: str) -> Json | None:
    kind, _, resource_id = reference.partition("/")
    if not resource_id:
        return None
    try:
        stored = await store.resources.read(client.tenant, kind, resource_id)
    except NotFound:
        return None
    return dict(fhir.parse(stored.content))


async def _search(
    store: Store, tenant: str, kind: str, name: str, system: str, value: str
) -> list[Stored]:
    parameter = next(p for p in PARAMETERS[kind] if p.name == name)
    wanted = f"{system}|{value}" if system else value
    criterion = Criterion(parameter, (wanted,))
    return await store.resources.search(tenant, kind, [criterion], count=CASES_MAX)
