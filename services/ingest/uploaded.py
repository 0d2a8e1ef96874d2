"""A file of results: each message, or the rows of each patient, becomes a case or is refused.

One after the other, in the file's order; what one is refused for leaves the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.ingest.v1 import ingest_service_pb2 as pb

from services.ingest.csv_results import convert as csv_convert
from services.ingest.csv_results import rows as csv_rows
from services.ingest.hl7v2 import batch, message
from services.ingest.hl7v2 import header as headers
from services.ingest.hl7v2.convert import Names, Origin
from services.ingest.hl7v2.senders import Senders
from services.ingest.hl7v2.site import Site
from services.ingest.results import CSV, HL7V2, Results
from services.kernel import fhir
from services.kernel.errors import MeshError, TooLarge

MEDIA_TYPES = (HL7V2, CSV)
PROBLEMS_MAX = 2000
"""Problems of all cases of one answer: it has to fit one message."""
NAMED = ("Patient", "ServiceRequest")


class Admits(Protocol):
    """What is needed of `admission.Admission`."""

    async def submit(
        self, tenant: str, content: bytes, results: Results | None = None
    ) -> pb.SubmitCaseResponse:
        """Return the case a Bundle makes."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One message, or one patient's rows, and how to read it."""

    source: str
    read: Callable[[], Results]


class ResultsFile:
    """Takes files of results."""

    def __init__(
        self,
        admission: Admits,
        hasher_for: Callable[[str], Awaitable[Names]],
        now: Callable[[], datetime],
        senders: Senders | None,
        site: Site,
        *,
        entries_max: int,
        cases_max: int,
    ) -> None:
        self._admission = admission
        self._hasher_for = hasher_for
        self._now = now
        self._senders = senders
        self._site = site
        self._entries_max = entries_max
        self._cases_max = cases_max

    async def submit(
        self, tenant: str, media_type: str, content: bytes
    ) -> pb.SubmitResultsResponse:
        """Return what became of each message or patient of a file.

        Raises
        ------
        InvalidInput
            The file as a whole cannot be read, or has too many cases.
        """
        names = await self._hasher_for(tenant)
        answer = pb.SubmitResultsResponse()
        split = self._rows if media_type == CSV else self._messages
        pieces = await asyncio.to_thread(lambda: list(split(tenant, content, names, answer)))
        if len(pieces) > self._cases_max:
            raise TooLarge(
                f"the file makes over {self._cases_max} cases; send it in parts",
                reason="TOO_MANY_CASES",
            )
        room = PROBLEMS_MAX
        for piece in pieces:
            made = answer.submitted.add(source=piece.source)
            await self._one(tenant, piece, made)
            del made.accepted.problems[max(room, 0) :]
            room -= len(made.accepted.problems)
        return answer

    async def _one(self, tenant: str, piece: Piece, made: pb.SubmittedResults) -> None:
        try:
            read = await asyncio.to_thread(piece.read)
            accepted = await self._admission.submit(tenant, read.bundle, read)
        except MeshError as error:
            made.refused.CopyFrom(
                Refusal(reason=error.reason, message=error.message, facts=error.facts)
            )
            made.passing = error.retry_after_s is not None or error.grpc_status == "UNAVAILABLE"
            return
        made.accepted.CopyFrom(accepted)
        made.named_json = _named(read.bundle)

    def _messages(
        self, tenant: str, content: bytes, names: Names, answer: pb.SubmitResultsResponse
    ) -> Iterator[Piece]:
        found = batch.messages(content)
        answer.problems.extend(found.asides.problems())
        for number, each in enumerate(found.messages, 1):
            site = self._site_of(tenant, each)

            def read(each: bytes = each, site: Site = site) -> Results:
                return message.results(each, site, names, self._now(), self._entries_max)

            yield Piece(f"message {number}", read)

    def _rows(
        self, tenant: str, content: bytes, names: Names, answer: pb.SubmitResultsResponse
    ) -> Iterator[Piece]:
        found = csv_rows.read(content)
        answer.problems.extend(found.problems)
        for rows in found.patients:

            def read(rows: csv_rows.PatientRows = rows) -> Results:
                origin = Origin(self._site, names, self._now(), "", self._entries_max)
                return csv_convert.results(content, found, rows, origin)

            yield Piece(rows.source, read)

    def _site_of(self, tenant: str, content: bytes) -> Site:
        """Return the ways of the sender that a message names, where it is the tenant's."""
        header = headers.of(content)
        known = self._senders.find(header.application, header.facility) if self._senders else None
        return known.site if known and known.tenant == tenant else self._site


def _named(bundle: bytes) -> bytes:
    """Return the Patient and the order of a Bundle alone."""
    whole = fhir.parse(bundle)
    kept = []
    for kind in NAMED:
        found = (e for e in whole["entry"] if e["resource"]["resourceType"] == kind)
        kept.append(next(found))
    return fhir.dump({"resourceType": "Bundle", "type": "collection", "entry": kept})
