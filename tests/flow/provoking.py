"""Requests that fail, with something planted in each: an error must not repeat what it was sent."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import httpx

from services.cli import accounts
from services.kernel import fhir
from tests.flow.planting import Plants
from tests.flow.running import Running

FORM = "application/x-www-form-urlencoded"


def provoke(running: Running, plants: Plants) -> int:
    """Send everything that is refused or finds nothing; return how many requests that were."""
    known = accounts.read(running.state.root)
    http = httpx.Client(base_url=running.mesh.url, timeout=60)
    http.headers["Authorization"] = f"Bearer {known.ehr_token}"
    statuses = [
        http.request(method, path, **options).status_code
        for method, path, options in (*_reads(plants), *_submissions(plants), *_uploads(plants))
    ]
    stranger = httpx.Client(base_url=running.mesh.url)
    statuses += [
        stranger.post("/sign-in", data=_said(plants, "sign-in", "name", "password")).status_code,
        stranger.get(f"/cases/{plants.token('address without a credential')}").status_code,
    ]
    assert not [status for status in statuses if status >= 500], statuses
    return len(statuses)


def _said(plants: Plants, where: str, *names: str) -> dict[str, str]:
    return {name: plants.token(f"{where} {name}") for name in names}


def _reads(plants: Plants) -> list[tuple[str, str, dict[str, Any]]]:
    who, token = plants.person, plants.token
    reads = [
        f"/fhir/Patient?identifier={who.record}",
        f"/fhir/Patient?name={token('search by an unknown parameter')}",
        f"/fhir/Observation?patient=Patient/{token('search by patient')}",
        f"/fhir/{token('resource type in an address')}/1",
        f"/fhir/Patient/{token('id in an address')}",
        f"/fhir/DiagnosticReport?_count={token('count')}",
        f"/ops/cases/{token('case id')}",
        f"/nowhere/{token('unknown address')}",
    ]
    form = {"content": f"patient=Patient/{token('search form')}", "headers": {"Content-Type": FORM}}
    made: list[tuple[str, str, dict[str, Any]]] = [("GET", path, {}) for path in reads]
    made.append(("POST", "/fhir/Observation/_search", form))
    headers = {"If-None-Match": token("header"), "User-Agent": token("user agent")}
    made.append(("GET", "/fhir/metadata", {"headers": headers}))
    return made


def _submissions(plants: Plants) -> list[tuple[str, str, dict[str, Any]]]:
    token = plants.token
    odd = {
        "resourceType": "Bundle",
        "type": token("Bundle.type"),
        token("unknown member"): token("value of an unknown member"),
        "entry": [{"resource": {"resourceType": token("unknown resource type")}}],
    }
    patient = {"resourceType": "Patient", "birthDate": token("malformed date"), "name": "no list"}
    consent = {"resourceType": "Consent", "id": "x", "patient": {"reference": token("stranger")}}
    contents = [
        ("POST", "/fhir", json.dumps(odd)),
        ("POST", "/fhir", json.dumps({**odd, "entry": [{"resource": patient}]})),
        ("POST", "/fhir", '{"resourceType": "Bundle", "x": "' + token("JSON that is cut off")),
        ("PUT", "/fhir/Consent/x", json.dumps(consent)),
    ]
    kind = {"Content-Type": fhir.MEDIA_TYPE}
    return [(m, path, {"content": text, "headers": kind}) for m, path, text in contents]


def _uploads(plants: Plants) -> list[tuple[str, str, dict[str, Any]]]:
    token = plants.token
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"{token('file name in an archive')}.dcm", token("file in an archive"))
        archive.writestr(f"../{token('unsafe file name')}", b"x")
    boundary = "planted"
    part = (
        f"--{boundary}\r\nContent-Type: application/dicom\r\n"
        f'Content-Location: "{token("file name of a part")}.dcm"\r\n\r\n'
        f"{token('content that is no DICOM')}\r\n--{boundary}--\r\n"
    )
    related = f'multipart/related; type="application/dicom"; boundary={boundary}'
    bodies = [
        ("application/zip", packed.getvalue()),
        (related, part.encode()),
        ("application/dicom", b"\0" * 128 + b"DICM" + token("broken DICOM").encode()),
        (f"text/{token('content type').lower()}", b"x"),
    ]
    address = "/dicom-web/studies"
    return [
        ("POST", address, {"content": body, "headers": {"Content-Type": kind}})
        for kind, body in bodies
    ]
