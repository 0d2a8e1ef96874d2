"""Files of results made FHIR outside a mesh, for `dxmesh labs`: HL7 v2 and CSV. Pure."""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from services.ingest.csv_results import convert as csv_convert
from services.ingest.csv_results import rows as csv_rows
from services.ingest.hl7v2 import batch, message
from services.ingest.hl7v2.convert import Origin
from services.ingest.hl7v2.site import Site
from services.ingest.results import CSV, HL7V2
from services.kernel.errors import InvalidInput, MeshError

ENTRIES_MAX = 20_000


def answer(request: Any) -> dict[str, Any]:
    """Return the Bundles of a file, one a message or a patient, and what was not taken.

    `content` is base64, `media_type` application/hl7-v2 or text/csv, `now` an ISO 8601 time.

    Raises
    ------
    InvalidInput
        Nothing of it can be used.
    """
    asked = request if isinstance(request, Mapping) else {}
    try:
        content = b64decode(str(asked.get("content", "")), validate=True)
    except (ValueError, binascii.Error) as error:
        raise InvalidInput("the content is not base64") from error
    kind, now = asked.get("media_type"), _moment(str(asked.get("now", "")))
    if kind == HL7V2:
        return _of_messages(content, now)
    if kind == CSV:
        return _of_rows(content, now)
    raise InvalidInput("the media type is application/hl7-v2 or text/csv")


def _of_messages(content: bytes, now: datetime) -> dict[str, Any]:
    found: list[str] = []
    problems: list[str] = []
    for each in batch.messages(content).messages:
        try:
            made = message.results(each, Site(), _name, now, ENTRIES_MAX)
        except MeshError as error:
            problems.append(f"{error.reason}: {error.message}")
            continue
        found.append(made.bundle.decode())
        problems += [f"{p.reason}: {p.message}" for p in made.problems]
    return _told(found, problems)


def _of_rows(content: bytes, now: datetime) -> dict[str, Any]:
    file = csv_rows.read(content)
    found: list[str] = []
    problems = [f"{p.reason}: {p.message}" for p in file.problems]
    for rows in file.patients:
        origin = Origin(Site(), _name, now, hashlib.sha256(content).hexdigest(), ENTRIES_MAX)
        made = csv_convert.results(content, file, rows, origin)
        found.append(made.bundle.decode())
        problems += [f"{p.reason}: {p.message}" for p in made.problems]
    return _told(found, problems)


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput("now is not an ISO 8601 time") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _told(found: list[str], problems: list[str]) -> dict[str, Any]:
    if not found:
        told = problems[0] if problems else "it holds no results"
        raise InvalidInput(f"nothing of the file can be used: {told}")
    return {"documents": found, "problems": problems}


def _name(domain: str, *values: str) -> str:
    """Return an id that means nothing outside this answer."""
    return hashlib.sha256("\x1f".join((domain, *values)).encode()).hexdigest()
