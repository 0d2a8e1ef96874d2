"""Images of a study from the EHR's archive: WADO-RS, streamed to ingest as they come.

Source: DICOM PS3.18 10.4 (Retrieve Transaction); R4 Endpoint, connectionType dicom-wado-rs.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from urllib.parse import urlsplit

from services.gateway.call import Gateway
from services.gateway.dicomweb.multipart import Multipart, boundary
from services.gateway.ehr.chart import Chart, study_uid
from services.gateway.ehr.client import EhrClient, EhrRefused
from services.gateway.ehr.tokens import Tokens
from services.kernel.errors import MeshError, TooLarge

WADO = "dicom-wado-rs"
ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_UID = re.compile(r"[0-9.]{1,64}")


class ImagesNotRetrieved(MeshError):
    """The archive did not give the images of a study."""

    issue = "incomplete"
    grpc_status = "FAILED_PRECONDITION"

    def __init__(self, why: str) -> None:
        super().__init__(
            "the images of a study did not come", reason="IMAGES_NOT_RETRIEVED", why=why
        )


def retrievable(client: EhrClient, chart: Chart) -> dict[str, str]:
    """Return, by "ImagingStudy/id", the WADO-RS service its images can be fetched from.

    Only services on the EHR's own hosts count.
    """
    found: dict[str, str] = {}
    for study in chart.of("ImagingStudy"):
        uid = study_uid(study)
        for named in study.get("endpoint", []):
            reference = str(named.get("reference", "")).removeprefix(f"{client.ehr.issuer}/")
            endpoint = chart.endpoints.get(reference, {})
            address = str(endpoint.get("address", "")).rstrip("/")
            if _is_wado(endpoint) and client.ehr.trusts(address) and _UID.fullmatch(uid):
                # The address may be that of the service or of the study itself.
                base = address.removesuffix(f"/studies/{uid}")
                found[f"ImagingStudy/{study['id']}"] = f"{base}/studies/{uid}"
                break
    return found


async def retrieve(gateway: Gateway, client: EhrClient, held: Tokens, address: str) -> int:
    """Fetch the images of one study into ingest; return how many are stored.

    Raises
    ------
    ImagesNotRetrieved
        The archive refuses, nothing of it is DICOM, or it takes too long.
    """
    headers = {"Accept": ACCEPT}
    same = urlsplit(address).netloc == urlsplit(client.ehr.issuer).netloc
    if same:  # the token is the FHIR server's; another host gets none
        headers["Authorization"] = f"Bearer {held.access}"
    try:
        stored = await _stream(gateway, client, address, headers)
    except MeshError as error:
        raise ImagesNotRetrieved(error.reason) from error
    if not stored:
        raise ImagesNotRetrieved("NOTHING_STORED")
    return stored


async def _stream(
    gateway: Gateway, client: EhrClient, address: str, headers: Mapping[str, str]
) -> int:
    settings, tenant, stored = gateway.settings, client.ehr.tenant, 0
    async with client.stream(address, headers, settings.ehr_retrieve_s) as answer:
        if answer.status != 200:
            raise EhrRefused(answer.status)
        chunks = _limited(answer.chunks, settings.upload_bytes_max)
        multipart = Multipart(chunks, boundary(answer.headers.get("content-type", "")))
        async for part in multipart.parts():
            if part.media_type != "application/dicom":
                continue
            kept = await gateway.peers.store(
                tenant, part.media_type, part.label, multipart.content()
            )
            stored += len(kept.stored)
            await asyncio.sleep(0)
    return stored


async def _limited(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise TooLarge(f"the study is over {limit} bytes", reason="UPLOAD_TOO_LARGE")
        yield chunk


def _is_wado(endpoint: Mapping[str, object]) -> bool:
    kind = endpoint.get("connectionType")
    return isinstance(kind, Mapping) and kind.get("code") == WADO
