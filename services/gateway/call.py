"""What a handler is given: the request, who asks, and the gateway's parts."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qsl

from dxmesh.anonymization.v1.anonymization_service_pb2 import ReidentifyResponse
from dxmesh.event.v1.report_composed_pb2 import ReportComposed
from dxmesh.event.v1.report_signed_pb2 import ReportSigned
from dxmesh.imaging.v1.imaging_service_pb2 import ExplainCaseResponse, ListModelsResponse
from dxmesh.ingest.v1 import ingest_service_pb2 as ingest_pb
from dxmesh.reporting.v1.reporting_service_pb2 import SignReportRequest, SignReportResponse
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from services.gateway.access import trail
from services.gateway.access.accounts import Accounts
from services.gateway.access.principal import Principal
from services.gateway.ehr.client import Ehrs
from services.gateway.export.worker import ExportWorker
from services.gateway.fhir.outcome import UnsupportedMediaType
from services.gateway.outbound import Outbound
from services.gateway.settings import Settings
from services.gateway.store import Store
from services.gateway.store.audit import AuditEntry
from services.gateway.store.people import Session
from services.kernel.bus import EventBus
from services.kernel.crypto import KeyedHash
from services.kernel.deadletters import DeadLetter
from services.kernel.errors import InvalidInput, MeshError, TooLarge
from services.kernel.subjects import Topic

if TYPE_CHECKING:  # it is made of what stands here
    from services.gateway.critical.notifier import Notifier
    from services.gateway.dicomweb.archive import Archive

FORM_TYPE = "application/x-www-form-urlencoded"
FORM_BYTES_MAX = 4 << 20
FORM_FIELDS_MAX = 2000


class Peers(Protocol):
    """The services the gateway calls; `gateway.peers.GrpcPeers` is the real one."""

    async def submit(self, tenant: str, content: bytes) -> ingest_pb.SubmitCaseResponse:
        """Hand a submission Bundle to ingest."""

    async def submit_results(
        self, tenant: str, media_type: str, content: bytes
    ) -> ingest_pb.SubmitResultsResponse:
        """Hand a file of results to ingest."""

    async def read_original(self, tenant: str, case_id: str) -> tuple[str, bytes]:
        """Return media type and bytes of what a case was made of."""

    async def store(
        self,
        tenant: str,
        media_type: str,
        label: str,
        chunks: AsyncIterator[bytes],
        study: str = "",
    ) -> ingest_pb.StoreInstancesResponse:
        """Stream one DICOM file, ZIP archive or slide (with its study) to ingest."""

    async def store_files(
        self, tenant: str, files: Sequence[tuple[str, Sequence[bytes]]]
    ) -> ingest_pb.StoreFilesResponse:
        """Hand several small DICOM files to ingest, each with its label."""

    async def reidentify(self, tenant: str, case_id: str) -> ReidentifyResponse:
        """Ask anonymization for the identity behind a case."""

    async def redact(self, tenant: str, case_id: str, text: str) -> str:
        """Return free text with identity removed."""

    async def sign(self, request: SignReportRequest) -> SignReportResponse:
        """Put a signature under a report."""

    async def record_consent(self, tenant: str, subject_key: str, content: bytes) -> str:
        """Record a Consent; return its version."""

    async def models(self) -> ListModelsResponse:
        """Return the models that read images."""

    async def explain(self, tenant: str, case_id: str) -> ExplainCaseResponse:
        """Return which reading took which series of a case, and why not."""

    async def health(self) -> dict[str, str]:
        """Return each service's health: SERVING, NOT_SERVING or UNREACHABLE."""


class Queues(Protocol):
    """How much waits; `kernel.bus.Bus` says so."""

    async def waiting(self, topic: Topic, service: str = "") -> int:
        """Return how many messages of a topic wait for a service."""


class Letters(Protocol):
    """Dead letters; `kernel.deadletters.DeadLetters` holds them."""

    async def list(self, tenant: str) -> list[DeadLetter]:
        """Return a tenant's dead letters."""

    async def show(self, tenant: str, sequence: int) -> DeadLetter:
        """Return one."""

    async def retry(self, tenant: str, sequence: int) -> DeadLetter:
        """Put one back."""


class Committer(Protocol):
    """Puts reports into the store; `gateway.commit.StoreCommitter` is the real one."""

    async def composed(self, event: ReportComposed) -> None:
        """Store a composed version with identity restored."""

    async def signed(self, event: ReportSigned) -> None:
        """Store the version a physician signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """The gateway's parts, wired by `__main__`."""

    settings: Settings
    accounts: Accounts
    store: Store
    committer: Committer
    peers: Peers
    bus: EventBus
    queues: Queues
    letters: Letters
    hasher_for: Callable[[str], Awaitable[KeyedHash]]
    outbound: Outbound
    """The way to addresses that others wrote down."""
    exports: ExportWorker
    """Writes the files of $export, and where they lie."""
    ehrs: Ehrs = field(default_factory=Ehrs)
    """The EHRs that may launch dxmesh."""
    archive: Archive | None = None
    """Images of every case; None: they are not served."""
    notifier: Notifier | None = None
    """Tells critical results ahead of the report; None: it is not done here."""


class Journal(Protocol):
    """Takes audit entries to commit with a change; `store.resources.Writing` is one."""

    def audit(self, entry: AuditEntry) -> None:
        """Commit the entry with the change, or not at all."""


@dataclass(slots=True)
class Call:
    """One authenticated request."""

    request: Request
    gateway: Gateway
    principal: Principal
    session: Session | None = None
    root: str = ""
    """Path under which the pages of this session are; empty: those of a sign-in."""
    proof: str = "password"
    """How a signature is confirmed: "password", "launch" by an EHR, "none" when it cannot be."""
    audited: bool = False
    """Whether the interaction has its audit entry; the gate writes one of a failure else."""

    @property
    def store(self) -> Store:
        """What the gateway keeps."""
        return self.gateway.store

    @property
    def tenant(self) -> str:
        """The tenant whose data the caller may see."""
        return self.principal.tenant

    @property
    def base_url(self) -> str:
        """Address the client reaches the gateway under, without a slash at the end."""
        return base_url(self.request, self.gateway.settings)

    def path(self, name: str) -> str:
        """Return a parameter of the path."""
        return str(self.request.path_params[name])

    async def audit(
        self,
        interaction: str,
        resource: str = "",
        *,
        patient: str | Iterable[str] = (),
        seen: Iterable[str] = (),
        case_id: str = "",
        query: str = "",
        outcome: MeshError | None = None,
        writing: Journal | None = None,
    ) -> None:
        """Write the audit entry of this interaction: one, before it is answered.

        A change passes its `writing`, inside the transaction: both are committed or neither.
        Anything else returns when the entry is committed (many share one commit), so nothing
        is shown that is not in the trail. What is raised to the gate is audited there.

        Parameters
        ----------
        interaction : FHIR restful-interaction code ("read", "vread", "search-type", "create",
            "update", "patch", "delete", "history-instance", "transaction", "batch", …), an
            operation's name with its `$`, or one of ours ("submit", "sign", "view-case", …)
        resource : "Type/id", "Type/id/_history/n" where the version is known, "Type" for a
            search or a type's history, empty for the system
        patient : "Patient/id", one or several; left out: found in the resource's stored version
        seen : references of what a search, history, Bundle or export showed or changed besides
        query : `trail.query_of(request)` of a search; it may identify and is kept sealed
        outcome : the error that was answered instead; None: done
        writing : `store.resources.Writing`, or anything with `audit(entry)`
        """
        entry = trail.entry(
            self.request,
            self.principal,
            interaction,
            resource,
            patient=patient,
            seen=seen,
            case_id=case_id,
            query=query,
            outcome=outcome,
        )
        if writing is None:
            await self.store.audit.record(entry)
        else:
            writing.audit(entry)
        self.audited = True


def base_url(request: Request, settings: Settings) -> str:
    """Return the gateway's address: the one set, else that of the request."""
    return settings.public_url.rstrip("/") or f"{request.url.scheme}://{request.url.netloc}"


async def body(request: Request, limit: int) -> bytes:
    """Return the request's content, unpacked where it was sent with gzip.

    Raises
    ------
    TooLarge
        It is over `limit` bytes, packed or unpacked; nothing more is read.
    UnsupportedMediaType, InvalidInput
        Packed in another way than it says, or than gzip.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge(f"the content is over {limit} bytes", reason="TOO_LARGE")
    packing = request.headers.get("content-encoding", "").strip().lower()
    if packing not in ("", "identity", "gzip"):
        raise UnsupportedMediaType("Content-Encoding may be gzip alone")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16) if packing == "gzip" else None
    content = bytearray()
    async for chunk in request.stream():
        try:
            # Unpacks one byte more than may be: a bomb is seen before it grows.
            room = limit + 1 - len(content)
            content += unpacker.decompress(chunk, room) if unpacker else chunk
        except zlib.error as error:
            raise InvalidInput("the content is not gzip", reason="BAD_REQUEST") from error
        if len(content) > limit:
            raise TooLarge(f"the content is over {limit} bytes", reason="TOO_LARGE")
    if unpacker and not unpacker.eof:
        raise InvalidInput("the content is not whole", reason="BAD_REQUEST")
    return bytes(content)


async def form_of(request: Request, limit: int = FORM_BYTES_MAX) -> FormData:
    """Return the fields of a form, which may be asked for again.

    Starlette's own reader has no limit in bytes, and keeps the files of a multipart form.

    Raises
    ------
    UnsupportedMediaType, TooLarge, InvalidInput
        Not a form as our pages send it, over `limit` bytes, too many fields or not UTF-8.
    """
    if isinstance(read := getattr(request.state, "form", None), FormData):
        return read
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise UnsupportedMediaType(f"the content must be {FORM_TYPE}")
    content = await body(request, limit)
    try:
        pairs = parse_qsl(content.decode(), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX)
    except ValueError as error:
        raise InvalidInput("the form cannot be read", reason="BAD_REQUEST") from error
    fields: list[tuple[str, str | UploadFile]] = [(name, value) for name, value in pairs]
    request.state.form = FormData(fields)
    return FormData(fields)
