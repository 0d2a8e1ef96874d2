"""Signed reports into the EHR they belong to: durable, retried for days, one report in the end.

A report is looked for by its identifier first; it is created only where none is
(`If-None-Exist`), and updated only in the version that was seen (`If-Match`). So a process
that dies between the EHR's answer and our note of it does no harm: the next one finds the
report and updates it with the same content.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import random
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from services.gateway.call import Gateway
from services.gateway.ehr import grants, report, scopes
from services.gateway.ehr.client import EhrClient, EhrRefused, refused
from services.gateway.ehr.report import CASES, Home, Signed
from services.gateway.ehr.tokens import Tokens
from services.gateway.outbound import Answer
from services.gateway.store.audit import AuditEntry
from services.gateway.store.ehr_writes import DONE, FAILED, WAITING, Write
from services.kernel import fhir, telemetry
from services.kernel.errors import MeshError, NotFound, as_outage

log = logging.getLogger(__name__)

US = 1_000_000
LEASE_S = 240.0
IDLE_S = 1.0
AT_ONCE = 3
BACKOFF_S, BACKOFF_S_MAX = 15.0, 3600.0
TRIES = 4
"""Times a report is looked for again at once when it changed under our hands."""
LASTING = frozenset({400, 413, 415, 422})
"""Answers that the same report gets however often it is sent."""


class WriteBack:
    """Writes what is due; any number of processes may do so side by side."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._writes = gateway.store.ehr_writes

    async def keep_writing(self) -> None:
        """Write what is due, until the process stops."""
        if self._gateway.ehrs.clients:
            await asyncio.gather(*(self._loop() for _ in range(AT_ONCE)))

    async def _loop(self) -> None:
        while True:
            if not await self.step():
                await asyncio.sleep(IDLE_S * random.uniform(0.8, 1.2))  # noqa: S311 - no secret

    async def step(self) -> bool:
        """Write one report that is due; return whether there was one."""
        write = await self._writes.lease(LEASE_S)
        if write is None:
            return False
        with telemetry.case(write.case_id), telemetry.span("gateway ehr write"):
            try:
                await self._write(write)
            except Exception as error:  # noqa: BLE001 - every error is a reason to try again
                await self._later(write, _as_mesh_error(error))
            else:
                await self._done(write)
        return True

    async def _write(self, write: Write) -> None:
        client = self._gateway.ehrs.clients.get(write.ehr)
        if client is None or client.ehr.tenant != write.tenant:
            raise NotFound("the EHR is no longer configured", reason="EHR_NOT_KNOWN")
        if client.ehr.write_back == "none":
            return
        signed = await self._signed(write)
        home = Home(
            write.content["patient"],
            write.content["encounter"],
            frozenset(write.content["sent"]),
            write.content.get("signers", {}),
        )
        problem: EhrRefused | None = None
        async for held in self._tokens(client, write):
            try:
                await put(client, held, signed, home)
            except EhrRefused as error:
                if error.status not in (401, 403):
                    raise
                problem = error  # another launch of the signer may be allowed
            else:
                return
        raise problem or EhrRefused(401, reason="EHR_TOKEN_EXPIRED")

    async def _tokens(self, client: EhrClient, write: Write) -> Any:
        """Yield tokens that may be used: our own, then those of who asked for or signed it."""
        if client.ehr.backend_client_id:
            yield await client.backend()
            return
        people = {write.content["user"], *write.content.get("signers", {}).values()} - {""}
        launches = self._gateway.store.ehr
        granted = True
        for launch in await launches.of_patient(write.tenant, write.patient_hash):
            if launch.content["user"]["fhir_user"] not in people:
                continue
            for force in (False, True):
                try:
                    held = await grants.current(launches, client, launch, force=force)
                except EhrRefused as error:
                    if error.retry_after_s is not None:
                        raise
                    break  # ended or revoked: an older launch may still be good
                if held.scope and not scopes.allows(held.scope, "DiagnosticReport", "c"):
                    granted = False
                    break
                yield held
        if not granted:
            raise EhrRefused(403, reason="EHR_NOT_GRANTED")

    async def _signed(self, write: Write) -> Signed:
        store = self._gateway.store
        case = await store.cases.get(write.tenant, write.case_id)
        found = await store.resources.of_case(write.tenant, write.case_id)
        contents = await asyncio.gather(
            *(asyncio.to_thread(fhir.parse, stored.content) for stored in found)
        )
        resources = {f"{r['resourceType']}/{r['id']}": r for r in contents}
        signed = resources.get(str(case.label.get("report", "")))
        if signed is None:
            raise NotFound("the signed report is not here", reason="REPORT_MISSING")
        pdf = resources.get(f"Binary/{write.case_id}-pdf", {}).get("data", "")
        content = await asyncio.to_thread(base64.b64decode, pdf)
        return Signed(write.case_id, signed, resources, content)

    async def _done(self, write: Write) -> None:
        await self._audit(write, None)
        await self._writes.finish(
            write, state=DONE, written_us=write.wanted_us, reason="", attempts=0
        )

    async def _later(self, write: Write, error: MeshError) -> None:
        """Note why, and when to try again; give up what cannot succeed or took too long."""
        client = self._gateway.ehrs.clients.get(write.ehr)
        now = client.now_us() if client else self._gateway.store.database.now_us()
        age_days = (now - write.since_us) / US / 86_400
        lasting = isinstance(error, EhrRefused) and error.status in LASTING
        given_up = lasting or age_days > self._gateway.settings.ehr_write_days
        wait_s = min(BACKOFF_S * 2**write.attempts, BACKOFF_S_MAX)
        wait_s = max(wait_s, min(error.retry_after_s or 0.0, BACKOFF_S_MAX))
        wait_s *= random.uniform(0.8, 1.2)  # noqa: S311 - only spreads the load
        telemetry.failure("gateway.ehr.write", error.reason)
        log.warning("a report is not in the EHR yet: %s", error.reason)
        if given_up:
            await self._audit(write, error)
        await self._writes.finish(
            write,
            state=FAILED if given_up else WAITING,
            reason=error.reason[:64],
            attempts=min(write.attempts + 1, 30),
            next_us=now + int(wait_s * US),
        )

    async def _audit(self, write: Write, error: MeshError | None) -> None:
        await self._gateway.store.audit.record(
            AuditEntry(
                tenant=write.tenant,
                interaction="ehr-write",
                agent=f"ehr-{write.ehr}",
                role="ehr",
                resource=f"Task/{write.case_id}",
                case_id=write.case_id,
                outcome="4" if error else "0",
                reason=error.reason if error else "",
            )
        )


async def put(client: EhrClient, held: Tokens, signed: Signed, home: Home) -> None:
    """Create the report at the EHR, or update it.

    Raises
    ------
    EhrRefused, Unavailable
    """
    for _ in range(TRIES):
        number, version = await _known(client, held, signed.case_id)
        if client.ehr.write_back == "transaction":
            answer = await _transaction(client, held, signed, home, number, version)
        else:
            answer = await _single(client, held, signed, home, number, version)
        if answer.status == 201 or (answer.status == 200 and (number or not _single_form(client))):
            return
        if answer.status not in (200, 404, 409, 410, 412):
            raise refused(answer)
        # Somebody made, changed or deleted it meanwhile: look again.
    raise EhrRefused(409, reason="EHR_BUSY")


def _single_form(client: EhrClient) -> bool:
    return client.ehr.write_back != "transaction"


async def _single(
    client: EhrClient, held: Tokens, signed: Signed, home: Home, number: str, version: str
) -> Answer:
    made = await asyncio.to_thread(report.contained, signed, home)
    if not number:
        condition = {"If-None-Exist": f"identifier={_identifier(signed.case_id)}"}
        path = "DiagnosticReport"
        return await client.send("POST", path, held.access, resource=made, headers=condition)
    match = {"If-Match": f'W/"{version}"'} if version else {}
    path = f"DiagnosticReport/{number}"
    made["id"] = number
    return await client.send("PUT", path, held.access, resource=made, headers=match)


async def _transaction(
    client: EhrClient, held: Tokens, signed: Signed, home: Home, number: str, version: str
) -> Answer:
    made = await asyncio.to_thread(report.transaction, signed, home, number, version)
    return await client.send("POST", client.ehr.issuer, held.access, resource=made)


async def _known(client: EhrClient, held: Tokens, case_id: str) -> tuple[str, str]:
    """Return id and version of the case's report at the EHR; empty: there is none.

    Raises
    ------
    EhrRefused
        There are several: which one is meant is for people to decide.
    """
    page = await client.get(f"DiagnosticReport?identifier={_identifier(case_id)}", held.access)
    found = [r for e in page.get("entry", []) if _is_of(r := e.get("resource", {}), case_id)]
    if len(found) > 1:
        raise EhrRefused(412, reason="EHR_SEVERAL_REPORTS")
    if not found:
        return "", ""
    return str(found[0].get("id", "")), str(found[0].get("meta", {}).get("versionId", ""))


def _is_of(resource: Mapping[str, Any], case_id: str) -> bool:
    """Tell whether a resource is the case's report; a server may answer more than was asked."""
    wanted = (CASES, case_id)
    pairs = [(i.get("system"), i.get("value")) for i in resource.get("identifier", [])]
    return resource.get("resourceType") == "DiagnosticReport" and wanted in pairs


def _identifier(case_id: str) -> str:
    return quote(f"{CASES}|{case_id}", safe="")


def _as_mesh_error(error: Exception) -> MeshError:
    if isinstance(error, MeshError):
        return error
    if outage := as_outage(error):
        return outage
    log.error("writing to an EHR failed: %s", telemetry.frames(error))
    return MeshError("an unexpected error", reason="UNEXPECTED")
