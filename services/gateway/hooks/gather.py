"""What the store has on the patient an EHR asks about: indexed look-ups, nothing computed.

A CDS client sees what a reader sees: no resource that is labelled restricted, so no case whose
report is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.gateway.access.rights import READING, Visibility
from services.gateway.fhir import allowed
from services.gateway.fhir.search.query import parse
from services.gateway.hooks.clients import CdsClient
from services.gateway.hooks.facts import CaseFacts, of_case
from services.gateway.hooks.person import agree, identifiers, is_same
from services.gateway.hooks.request import HookRequest
from services.gateway.progress import Case
from services.gateway.store import Store
from services.gateway.store.resources import Stored
from services.kernel import fhir

CASES_MAX = 20
"""Newest cases of a patient that are looked at."""
IDENTIFIERS_MAX = 8
VISIBLE: Visibility = READING.visibility("r")

Json = Mapping[str, Any]


async def patients(store: Store, client: CdsClient, request: HookRequest) -> list[str]:
    """Return the ids of the Patients in the client's tenant that are the one asked about."""
    found: dict[str, Json] = {}
    if client.patient_ids:
        references = [("Patient", request.patient_id)]
        found |= {
            key[1]: stored for key, stored in (await _read(store, client, references)).items()
        }
    for system, value in identifiers(request.patient)[:IDENTIFIERS_MAX]:
        wanted = f"{_escaped(system)}|{_escaped(value)}"
        for match in await _search(store, client, "Patient", "identifier", wanted):
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
    if not patient_ids:
        return []
    wanted = ",".join(f"Patient/{patient_id}" for patient_id in patient_ids)
    tasks = await _search(store, client, "Task", "patient", wanted)
    known: dict[str, Case] = {}
    # A Task of the hospital's own has no case.
    for case in await store.cases.get_many(client.tenant, [task.id for task in tasks]):
        born = case.label.get("patient", {}).get("birth_date", "")
        if not case.stopped and (not asked or agree(born, asked.get("birthDate"))):
            known[case.case_id] = case
    names = ("report", "based_on") if with_orders else ("report",)
    references = [_key(case.label.get(name, "")) for case in known.values() for name in names]
    read = await _read(store, client, [key for key in references if key[1]])
    facts = []
    for case in known.values():
        report = _key(case.label.get("report", ""))
        if case.report_version and report not in read:
            continue  # it is restricted
        order = read.get(_key(case.label.get("based_on", "")))
        facts.append(of_case(case, order, read.get(report)))
    return sorted(facts, key=lambda each: each.time_us, reverse=True)


def _key(reference: str) -> tuple[str, str]:
    kind, _, resource_id = reference.partition("/")
    return kind, resource_id


async def _read(
    store: Store, client: CdsClient, keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Json]:
    """Return the resources that exist and may be seen."""
    found = await store.resources.find_many(client.tenant, keys) if keys else []
    return {
        (stored.type, stored.id): dict(fhir.parse(stored.content))
        for stored in found
        if not stored.deleted and allowed.sees(VISIBLE, stored)
    }


async def _search(
    store: Store, client: CdsClient, kind: str, name: str, value: str
) -> list[Stored]:
    query = parse(kind, [(name, value), ("_count", str(CASES_MAX))])
    return (await store.searches.page(client.tenant, query, VISIBLE)).matches


def _escaped(text: str) -> str:
    """Return text whose marks have no meaning in a search value (R4 search, 3.1.1.4.3)."""
    for mark in ("\\", ",", "$", "|"):
        text = text.replace(mark, f"\\{mark}")
    return text
