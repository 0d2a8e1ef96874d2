"""Requests whose audit events are looked at."""

from __future__ import annotations

from typing import Any

import httpx
import orjson

FHIR = "application/fhir+json"

BALP = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."


class Trail:
    """A gateway with a patient in it, and what its trail says."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.http: httpx.AsyncClient = world.http

    async def send(
        self, method: str, path: str, body: Any = None, name: str = "ehr", **headers: str
    ) -> httpx.Response:
        sent = {**self.world.bearer(name), "Content-Type": FHIR, **headers}
        content = orjson.dumps(body) if body is not None else None
        return await self.http.request(method, path, content=content, headers=sent)

    async def events(self, query: str = "") -> list[dict[str, Any]]:
        """Return AuditEvents as an auditor finds them, oldest first."""
        path = f"/fhir/AuditEvent?_count=100&_sort=date{query}"
        answer = await self.send("GET", path, name="auditor")
        assert answer.status_code == 200, answer.text
        return [e["resource"] for e in answer.json().get("entry", [])]

    async def of(self, interaction: str) -> list[dict[str, Any]]:
        return [e for e in await self.events() if e["subtype"][0]["code"] == interaction]


def references(event: dict[str, Any]) -> set[str]:
    found = (entity.get("what", {}).get("reference") for entity in event.get("entity", []))
    return {one for one in found if one}
