"""Real CTs through the worker as it is wired: every reader, every rule, every DICOM object."""

from __future__ import annotations

import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pydicom
import pytest
from dxmesh.event.v1.finding_ready_pb2 import OUTCOME_COMPLETED, OUTCOME_DECLINED, FindingReady
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.imaging.__main__ import READERS
from services.imaging.dicom_out import write
from services.imaging.haemorrhage.score import MODEL as HEAD_MODEL
from services.imaging.routing import explain
from services.kernel.blobs import Blobs
from services.kernel.testing import memory_blobs
from tests.imaging.desk import desk, part_of
from training.nodules.readers import Consensus, consensus

ROOT = Path(__file__).resolve().parents[2]
CT = ROOT.parent / "shared" / "data" / "imaging" / "lidc_idri_0001_dicom" / "series.tar.xz"
SAMPLE = ROOT / "samples" / "ct"
CENTER_MM = (56.4, 86.3, -116.0)
"""Of the consensus nodule; `test_whole_ct` checks it against the readers' contours."""


async def analysed(
    blobs: Blobs, content: bytes, models: Path, scratch: Path
) -> tuple[FindingReady, pb.ImagingFindings]:
    """Return what is announced of a series, and what was found or decided."""
    at = desk(
        *READERS,
        blobs=blobs,
        scratch=scratch,
        repository=models,
        table=explain.default_table(),
        write=write.objects,
    )
    (ready,) = await at.send(await part_of(blobs, content))
    if ready.HasField("findings"):
        return ready, await at.found(ready)
    return ready, (await at.store.explain("demo", "case-1"))["imaging-1"]


def away_mm(finding: pb.Finding, center: tuple[float, float, float]) -> float:
    at = finding.place.center
    return float(np.linalg.norm(np.array((at.x, at.y, at.z)) - center))


def value(finding: pb.Finding, name: str) -> float:
    return next(one.value for one in finding.measures if one.name == name)


@pytest.fixture(scope="module")
def truth(lidc_archive: bytes) -> Consensus:
    return consensus(CT, (-166.0, -171.7), 0.703125, 2.5)


@pytest.mark.requirement("DX-IMG-11")
async def test_whole_ct(
    lidc_archive: bytes, models: Path, truth: Consensus, tmp_path: Path
) -> None:
    assert truth.center_mm == pytest.approx(CENTER_MM, abs=1.0)
    blobs = memory_blobs()
    ready, found = await analysed(blobs, lidc_archive, models, tmp_path)
    assert ready.outcome == OUTCOME_COMPLETED
    assert {one.function for one in found.decisions if one.read} == {pb.FUNCTION_NODULES}
    assert 1 <= len(found.findings) <= 3, "at most two false positives"
    nodule = min(found.findings, key=lambda each: away_mm(each, truth.center_mm))
    assert away_mm(nodule, truth.center_mm) < 3.0
    assert value(nodule, "volume") == pytest.approx(truth.volume_mm3, rel=0.3)
    place = nodule.place
    assert 86 <= place.slice_index <= 93
    assert abs(place.first_slice_index - 86) <= 1
    assert abs(place.last_slice_index - 93) <= 1
    assert nodule.laterality == pb.LATERALITY_LEFT
    assert {"SEG", "SR", "KO"} <= {one.modality for one in found.derived}
    segmented = next(one for one in found.derived if one.modality == "SEG")
    content = await blobs.get("demo", segmented.blob)
    (tmp_path / "seg.dcm").write_bytes(content)
    dataset = pydicom.dcmread(tmp_path / "seg.dcm")
    tracked = [item.TrackingUID for item in dataset.SegmentSequence]
    assert nodule.tracking_uid in tracked


@pytest.mark.requirement("DX-IMG-11")
async def test_sample_slab(phantom: ModuleType, models: Path, tmp_path: Path) -> None:
    files = [path.read_bytes() for path in sorted(SAMPLE.glob("*.dcm"))]
    if not files:
        pytest.skip("samples/ct is not here")
    archive = phantom.archive(files)
    ready, found = await analysed(memory_blobs(), archive, models, tmp_path)
    assert ready.outcome == OUTCOME_COMPLETED
    assert 1 <= len(found.findings) <= 5
    assert min(away_mm(each, CENTER_MM) for each in found.findings) < 3.0


@pytest.mark.requirement("DX-IMG-95")
async def test_head_ct_goes_to_the_haemorrhage_reading_alone(
    phantom: ModuleType, head_files: list[bytes], models: Path, tmp_path: Path
) -> None:
    began = time.monotonic()
    ready, found = await analysed(memory_blobs(), phantom.archive(head_files), models, tmp_path)
    read = {one.function: one for one in found.decisions}
    assert read[pb.FUNCTION_NODULES].refusal.reason == "ANOTHER_BODY_PART"
    head = read[pb.FUNCTION_HAEMORRHAGE]
    if (models / HEAD_MODEL).is_dir():
        assert ready.outcome == OUTCOME_COMPLETED
        assert head.read, head
    else:
        assert ready.outcome == OUTCOME_DECLINED
        assert head.refusal.reason == "MODEL_MISSING"
    assert time.monotonic() - began < 60, "a stat reading"
