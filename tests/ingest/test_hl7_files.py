"""Files of results through the ingest service: each message or patient by itself; the originals."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from dxmesh.ingest.v1 import ingest_service_pb2 as pb

from services.kernel import subjects
from services.kernel.errors import InvalidInput, NotFound, TooLarge
from tests.ingest.oru import PID, WBC, msh, oru

HL7V2, CSV = "application/hl7-v2", "text/csv"


async def submit(world: Any, content: bytes, kind: str = HL7V2) -> pb.SubmitResultsResponse:
    async def messages() -> AsyncIterator[pb.SubmitResultsRequest]:
        header = pb.ContentHeader(tenant=world.TENANT, media_type=kind, label="results")
        yield pb.SubmitResultsRequest(header=header)
        for start in range(0, len(content), 500):
            yield pb.SubmitResultsRequest(chunk=content[start : start + 500])

    answer: pb.SubmitResultsResponse = await world.service.SubmitResults(messages(), None)
    return answer


@pytest.mark.requirement("DX-HL7-07")
async def test_a_batch_makes_a_case_of_each_message(sqlite_world: Any) -> None:
    spoilt = oru(head=msh("M2")).replace("PID|", "PIX|")
    other = oru(head=msh("M3"), pid=PID.replace("MRN0042917", "MRN7"))
    file = f"FHS|^~\\&|x\rBHS|^~\\&|x\r{oru()}{spoilt}{other}BTS|3\rFTS|1\r"
    answer = await submit(sqlite_world, file.encode())
    first, second, third = answer.submitted
    assert (first.source, second.source) == ("message 1", "message 2")
    assert first.accepted.case.case_id != third.accepted.case.case_id
    assert second.refused.reason == "NO_PATIENT" and not second.passing
    named = json.loads(first.named_json)["entry"]
    assert [e["resource"]["resourceType"] for e in named] == ["Patient", "ServiceRequest"]
    again = await submit(sqlite_world, file.encode())
    assert again.submitted[0].accepted.duplicate
    assert len(sqlite_world.bus.published(subjects.CASE_RECEIVED)) == 2


@pytest.mark.requirement("DX-HL7-07")
async def test_a_message_over_mllp_and_in_a_file_is_one_case(sqlite_world: Any) -> None:
    captured = b"\x0b" + oru().encode() + b"\x1c\r"
    first = await submit(sqlite_world, captured)
    second = await submit(sqlite_world, oru(head=msh(f7="20261127")).encode())
    assert second.submitted[0].accepted.duplicate
    assert first.submitted[0].accepted.case == second.submitted[0].accepted.case


@pytest.mark.requirement("DX-HL7-06")
async def test_a_file_without_consent_leaves_nothing(sqlite_world: Any) -> None:
    sqlite_world.consent.reason = "NO_CONSENT"
    for kind, content in ((HL7V2, oru()), (CSV, "patient id,name,value\nMRN1,K,4\n")):
        (only,) = (await submit(sqlite_world, content.encode(), kind)).submitted
        assert only.refused.reason == "CONSENT_NO_CONSENT"
    assert not sqlite_world.stored()


@pytest.mark.requirement("DX-HL7-07")
async def test_csv_makes_a_case_of_each_patient(sqlite_world: Any) -> None:
    content = b"patient id,name,value\nMRN1,K,4\nMRN2,Na,140\n,Cl,100\n"
    answer = await submit(sqlite_world, content, CSV)
    assert [each.source for each in answer.submitted] == ["rows 2-2", "rows 3-3"]
    assert [each.source for each in answer.problems] == ["row 4"]
    assert all(each.HasField("accepted") for each in answer.submitted)
    again = await submit(sqlite_world, content, CSV)
    assert all(each.accepted.duplicate for each in again.submitted)


@pytest.mark.requirement("DX-HL7-08")
async def test_the_original_is_read_back_in_pieces(sqlite_world: Any) -> None:
    sent = oru(WBC, "NTE|1||" + "说明" * 400_000).encode()
    (only,) = (await submit(sqlite_world, sent)).submitted
    case_id = only.accepted.case.case_id
    found, size = b"", 1
    while len(found) < size:
        request = pb.ReadOriginalRequest(tenant="demo", case_id=case_id, offset=len(found))
        piece = await sqlite_world.service.ReadOriginal(request, None)
        found, size = found + piece.chunk, piece.size_bytes
    assert found == sent and piece.media_type == HL7V2
    with pytest.raises(NotFound):
        request = pb.ReadOriginalRequest(tenant="demo", case_id="none")
        await sqlite_world.service.ReadOriginal(request, None)
    assert not [blob for blob in sqlite_world.store_bytes() if "说明".encode() in blob]


@pytest.mark.requirement("DX-HL7-08")
async def test_an_original_that_no_case_took_is_swept(sqlite_world: Any) -> None:
    async def never(draft: Any) -> Any:
        raise OSError("the disk is full")

    sqlite_world.admission._cases.accept = never
    with pytest.raises(OSError, match="full"):
        await submit(sqlite_world, oru().encode())
    assert [path for path in sqlite_world.stored() if "original" in path]
    sqlite_world.later(hours=2)
    await sqlite_world.worker.sweep()
    assert not sqlite_world.stored()


@pytest.mark.requirement("DX-HL7-07")
async def test_files_over_a_limit_are_refused_whole(sqlite_world: Any) -> None:
    files = sqlite_world.results.files
    files._cases_max = 2
    with pytest.raises(TooLarge):
        await submit(sqlite_world, "".join(oru(head=msh(n)) for n in "ABC").encode())
    with pytest.raises(InvalidInput):
        await submit(sqlite_world, b"x", "text/plain")
    (only,) = (await submit(sqlite_world, b"")).submitted
    assert only.refused.reason == "NOT_HL7"
