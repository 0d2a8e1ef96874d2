"""The nlp worker and service over a bus and blobs in memory."""

from __future__ import annotations

import json

import pytest
from dxmesh.event.v1.case_ref_pb2 import LANGUAGE_ZH, PART_KIND_NLP, CaseRef
from dxmesh.event.v1.finding_ready_pb2 import OUTCOME_COMPLETED, OUTCOME_FAILED, FindingReady
from dxmesh.event.v1.part_ready_pb2 import PartReady
from dxmesh.nlp.v1 import nlp_service_pb2 as pb
from dxmesh.nlp.v1.note_findings_pb2 import NoteFindings

from services.kernel import subjects
from services.kernel.blobs import Blobs
from services.kernel.errors import InvalidInput, TooLarge
from services.kernel.testing import MemoryBus, memory_blobs
from services.nlp.service import NlpService
from services.nlp.worker import NlpWorker

NOTE = {"id": "note-1", "language": "en", "type": "", "text": "CHIEF COMPLAINT\nCough for 3 weeks."}
PART = {"subject": {"sex": "male", "age_years": 62}, "notes": [NOTE]}


async def part_of(blobs: Blobs, content: bytes) -> PartReady:
    ref = await blobs.put("demo", "case-1", "parts/nlp-1", content)
    case = CaseRef(tenant="demo", case_id="case-1", language=LANGUAGE_ZH)
    return PartReady(case=case, part_id="nlp-1", kind=PART_KIND_NLP, blobs=[ref])


async def send(
    worker: NlpWorker, bus: MemoryBus, part: PartReady, times: int = 1
) -> list[FindingReady]:
    await worker.start(concurrency=1)
    for number in range(times):
        await bus.publish(subjects.PART_NLP, part, message_id=f"part-{number}")
    return bus.published(subjects.FINDING_NLP)


@pytest.mark.requirement("DX-NLP-09")
async def test_part_becomes_findings_in_the_language_of_the_report() -> None:
    bus, blobs = MemoryBus(), memory_blobs()
    part = await part_of(blobs, json.dumps(PART).encode())
    (ready,) = await send(NlpWorker(bus, blobs), bus, part)
    assert (ready.outcome, ready.part_id, ready.case) == (OUTCOME_COMPLETED, "nlp-1", part.case)
    found = NoteFindings.FromString(await blobs.get("demo", ready.findings))
    assert [sentence.text for sentence in found.summary] == ["主诉：咳嗽（3周）。"]
    (rules,) = ready.models
    assert (rules.name, rules.runtime) == ("dxmesh-nlp-rules", "rules")
    assert rules.input_sha256 == part.blobs[0].sha256
    assert len(rules.model_sha256) == 64
    assert ready.finished_time.ToNanoseconds() >= ready.started_time.ToNanoseconds()


@pytest.mark.requirement("DX-NLP-10")
async def test_notes_delivered_twice_are_announced_once() -> None:
    bus, blobs = MemoryBus(), memory_blobs()
    part = await part_of(blobs, json.dumps(PART).encode())
    assert len(await send(NlpWorker(bus, blobs), bus, part, times=2)) == 1


@pytest.mark.requirement("DX-NLP-09")
@pytest.mark.parametrize(
    ("content", "reason"), [(b"not json", "NOT_JSON"), (b'{"notes": 1}', "NOT_A_NOTES_PART")]
)
async def test_part_that_can_never_be_read_is_reported_and_laid_aside(
    content: bytes, reason: str
) -> None:
    bus, blobs = MemoryBus(), memory_blobs()
    (ready,) = await send(NlpWorker(bus, blobs), bus, await part_of(blobs, content))
    assert (ready.outcome, ready.refusal.reason) == (OUTCOME_FAILED, reason)
    assert not ready.HasField("findings")
    assert len(bus.dead) == 1


@pytest.mark.requirement("DX-NLP-09")
async def test_part_of_two_documents_is_refused() -> None:
    bus, blobs = MemoryBus(), memory_blobs()
    part = await part_of(blobs, json.dumps(PART).encode())
    part.blobs.append(part.blobs[0])
    (ready,) = await send(NlpWorker(bus, blobs), bus, part)
    assert ready.refusal.reason == "NOT_A_NOTES_PART"


@pytest.mark.requirement("DX-CON-08")
async def test_notes_whose_key_is_gone_are_left_alone() -> None:
    bus, blobs = MemoryBus(), memory_blobs()
    part = await part_of(blobs, json.dumps(PART).encode())
    await blobs.destroy("demo", "case-1")
    assert not await send(NlpWorker(bus, blobs), bus, part)
    assert not bus.dead


@pytest.mark.requirement("DX-NLP-09")
async def test_notes_are_read_at_once() -> None:
    def request(content: bytes, language: str = "") -> pb.ExtractNotesRequest:
        return pb.ExtractNotesRequest(notes_json=content, language=language)

    content = json.dumps(PART).encode()
    answer = await NlpService().ExtractNotes(request(content, "zh"), None)
    assert answer.findings.summary[0].text == "主诉：咳嗽（3周）。"
    answer = await NlpService().ExtractNotes(request(content), None)
    assert answer.findings.summary[0].text == "Chief complaint: Cough for 3 weeks."
    with pytest.raises(InvalidInput) as error:
        await NlpService().ExtractNotes(request(content, "fr"), None)
    assert [each.path for each in error.value.violations] == ["language"]
    with pytest.raises(TooLarge):
        await NlpService().ExtractNotes(request(b" " * ((1 << 20) + 1)), None)
