"""The fake EHR's FHIR server: reads, searches, conditional writes, transactions; in memory."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

FHIR = "application/fhir+json"


@dataclass
class FakeFhir:
    """Resources; `url` is the FHIR base."""

    origin: str = ""
    resources: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    access: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Access token → scope and end."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    fails: dict[str, list[int]] = field(default_factory=dict)
    """"METHOD Kind" → statuses to answer with, one per request."""
    after: Callable[[str, str], Any] | None = None
    """Called after a change was made and before it is answered: (method, "Kind/id")."""
    down: bool = False
    slow_s: dict[str, float] = field(default_factory=dict)
    """Kind → seconds an answer takes."""
    conditional: bool = True
    """Whether it understands If-None-Exist."""
    page: int = 50
    ignores: set[str] = field(default_factory=set)
    """Search parameters that it does not understand."""

    @property
    def url(self) -> str:
        return f"{self.origin}/fhir"

    def put(self, *resources: dict[str, Any]) -> None:
        for resource in resources:
            self.resources[resource["resourceType"], resource["id"]] = json.loads(
                json.dumps(resource)
            )

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [r for (k, _), r in self.resources.items() if k == kind]

    def _refusal(self, request: Request, kind: str) -> Response | None:
        self.requests.append((request.method, kind))
        if self.down:
            return Response(status_code=503)
        statuses = self.fails.get(f"{request.method} {kind}")
        if statuses:
            return JSONResponse({"resourceType": "OperationOutcome"}, statuses.pop(0))
        token = request.headers.get("authorization", "").partition(" ")[2]
        held = self.access.get(token)
        if held is None or held["until"] < time.time():
            return JSONResponse({"resourceType": "OperationOutcome"}, 401)
        return None

    async def _type(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        await asyncio.sleep(self.slow_s.get(kind, 0.0))
        if refusal := self._refusal(request, kind):
            return refusal
        if request.method == "POST":
            resource = json.loads(await request.body())
            return self._create(kind, resource, request.headers.get("if-none-exist", ""))
        found = self._search(kind, dict(request.query_params))
        offset = int(request.query_params.get("_offset", 0))
        count = min(int(request.query_params.get("_count", 50)), self.page)
        bundle: dict[str, Any] = {
            "resourceType": "Bundle",
            "type": "searchset",
            "entry": [{"resource": r} for r in found[offset : offset + count]],
        }
        if offset + count < len(found):
            query = urlencode(dict(request.query_params) | {"_offset": offset + count})
            bundle["link"] = [{"relation": "next", "url": f"{self.url}/{kind}?{query}"}]
        return JSONResponse(bundle, media_type=FHIR)

    def _search(self, kind: str, query: dict[str, str]) -> list[dict[str, Any]]:
        found = self.of(kind)
        query = {name: value for name, value in query.items() if name not in self.ignores}
        if wanted := query.get("patient"):
            found = [
                r
                for r in found
                if (r.get("subject") or r.get("patient") or {}).get("reference")
                == f"Patient/{wanted.removeprefix('Patient/')}"
            ]
        if wanted := query.get("identifier"):
            system, _, value = wanted.partition("|")
            pair = {"system": system, "value": value}
            found = [
                r
                for r in found
                if any({"system": i["system"], "value": i["value"]} == pair for i in _numbers(r))
            ]
        return found

    def _create(self, kind: str, resource: dict[str, Any], condition: str) -> Response:
        if condition and self.conditional:
            query = {k: v[0] for k, v in parse_qs(condition).items()}
            found = self._search(kind, query)
            if len(found) > 1:
                return JSONResponse({"resourceType": "OperationOutcome"}, 412)
            if found:
                return self._stored(found[0], 200)
        resource = resource | {"id": secrets.token_hex(6), "meta": resource.get("meta", {})}
        return self._save(resource, "1", 201, "POST")

    def _save(self, resource: dict[str, Any], version: str, status: int, method: str) -> Response:
        resource["meta"] = {**resource.get("meta", {}), "versionId": version}
        self.put(resource)
        if self.after:
            self.after(method, f"{resource['resourceType']}/{resource['id']}")
        return self._stored(resource, status)

    def _stored(self, resource: dict[str, Any], status: int) -> Response:
        version = resource["meta"].get("versionId", "1")
        place = f"{self.url}/{resource['resourceType']}/{resource['id']}"
        headers = {"ETag": f'W/"{version}"', "Location": f"{place}/_history/{version}"}
        return JSONResponse(resource, status, headers, media_type=FHIR)

    async def _one(self, request: Request) -> Response:
        kind, number = request.path_params["kind"], request.path_params["id"]
        if refusal := self._refusal(request, kind):
            return refusal
        held = self.resources.get((kind, number))
        if held is None:
            return JSONResponse({"resourceType": "OperationOutcome"}, 404)
        if request.method == "GET":
            return JSONResponse(held, media_type=FHIR)
        version = held.get("meta", {}).get("versionId", "1")
        wanted = request.headers.get("if-match")
        if wanted and wanted != f'W/"{version}"':
            return JSONResponse({"resourceType": "OperationOutcome"}, 412)
        resource = json.loads(await request.body())
        assert resource["id"] == number
        return self._save(resource, str(int(version) + 1), 200, "PUT")

    def _place(self, entry: dict[str, Any]) -> str:
        """Return "Kind/id" an entry of a transaction is about; conditional ones are looked for."""
        request = entry["request"]
        kind, _, condition = request["url"].partition("?")
        condition = condition or request.get("ifNoneExist", "")
        if not condition:
            return kind if "/" in kind else f"{kind}/{secrets.token_hex(6)}"
        found = self._search(kind, {k: v[0] for k, v in parse_qs(condition).items()})
        return f"{kind}/{found[0]['id'] if found else secrets.token_hex(6)}"

    async def _batch(self, request: Request) -> Response:
        if refusal := self._refusal(request, "Bundle"):
            return refusal
        bundle = json.loads(await request.body())
        assert bundle["type"] == "transaction"
        places = {e["fullUrl"]: self._place(e) for e in bundle["entry"]}
        answers = []
        for entry in bundle["entry"]:
            wanted = entry["request"].get("ifMatch")
            kind, _, number = places[entry["fullUrl"]].partition("/")
            held = self.resources.get((kind, number), {})
            if wanted and wanted != f'W/"{held.get("meta", {}).get("versionId")}"':
                return JSONResponse({"resourceType": "OperationOutcome"}, 412)
        for entry in bundle["entry"]:
            kind, number = places[entry["fullUrl"]].split("/")
            text = json.dumps(entry["resource"])
            for full, place in places.items():
                text = text.replace(json.dumps(full), json.dumps(place))
            before = self.resources.get((kind, number), {}).get("meta", {}).get("versionId", "0")
            self._save(json.loads(text) | {"id": number}, str(int(before) + 1), 200, "PUT")
            location = f"{self.url}/{kind}/{number}"
            answers.append({"response": {"status": "200 OK", "location": location}})
        answer = {"resourceType": "Bundle", "type": "transaction-response", "entry": answers}
        return JSONResponse(answer, media_type=FHIR)


def _numbers(resource: dict[str, Any]) -> list[dict[str, Any]]:
    return [i for i in resource.get("identifier", []) if "system" in i]
