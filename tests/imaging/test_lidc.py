"""The real CT: the readers' nodule is found, near its place and size, among few candidates."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from dxmesh.event.v1.case_ref_pb2 import PART_KIND_IMAGING, CaseRef
from dxmesh.event.v1.finding_ready_pb2 import OUTCOME_COMPLETED, OUTCOME_DECLINED, FindingReady
from dxmesh.event.v1.part_ready_pb2 import PartReady
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.imaging.nodules.score import MODEL
from services.imaging.worker import ImagingWorker
from services.kernel import inference, subjects
from services.kernel.testing import MemoryBus, memory_blobs
from training.nodules.readers import Consensus, consensus

ROOT = Path(__file__).resolve().parents[2]
CT = ROOT.parent / "shared" / "data" / "imaging" / "lidc_idri_0001_dicom" / "series.tar.xz"
SAMPLE = ROOT / "samples" / "ct"
CENTER_MM = (56.4, 86.3, -116.0)
"""Of the consensus nodule; `test_whole_ct` checks it against the readers' contours."""


async def analysed(content: bytes, models: Path) -> tuple[FindingReady, pb.ImagingFindings]:
    bus, blobs = MemoryBus(), memory_blobs()
    ref = await blobs.put("demo", "case-1", "imaging-1/series-1.zip", content)
    part = PartReady(
        case=CaseRef(tenant="demo", case_id="case-1"),
        part_id="imaging-1",
        kind=PART_KIND_IMAGING,
        blobs=[ref],
    )
    scorer, model = inference.OnnxInference(models), inference.read_model(models, MODEL)
    await ImagingWorker(bus, blobs, scorer, model).handle(part)
    (ready,) = bus.published(subjects.FINDING_IMAGING)
    found = pb.ImagingFindings()
    if ready.HasField("findings"):
        found.ParseFromString(await blobs.get("demo", ready.findings))
    return ready, found


def away_mm(nodule: pb.Nodule, center: tuple[float, float, float]) -> float:
    place = (nodule.center.x, nodule.center.y, nodule.center.z)
    return float(np.linalg.norm(np.array(place) - center))


@pytest.fixture(scope="module")
def truth(lidc_archive: bytes) -> Consensus:
    return consensus(CT, (-166.0, -171.7), 0.703125, 2.5)


@pytest.mark.requirement("DX-IMG-11")
async def test_whole_ct(lidc_archive: bytes, models: Path, truth: Consensus) -> None:
    assert truth.center_mm == pytest.approx(CENTER_MM, abs=1.0)
    ready, found = await analysed(lidc_archive, models)
    assert ready.outcome == OUTCOME_COMPLETED
    assert 1 <= len(found.nodules) <= 5
    nodule = min(found.nodules, key=lambda each: away_mm(each, truth.center_mm))
    assert away_mm(nodule, truth.center_mm) < 3.0
    assert nodule.volume_mm3 == pytest.approx(truth.volume_mm3, rel=0.3)
    assert 86 <= nodule.slice_index <= 93
    assert abs(nodule.first_slice_index - 86) <= 1
    assert abs(nodule.last_slice_index - 93) <= 1
    assert nodule.laterality == pb.LATERALITY_LEFT
    assert nodule.zone == pb.LUNG_ZONE_MIDDLE
    assert nodule.consistency == pb.CONSISTENCY_SOLID


@pytest.mark.requirement("DX-IMG-11")
async def test_sample_slab(phantom: ModuleType, models: Path) -> None:
    files = [path.read_bytes() for path in sorted(SAMPLE.glob("*.dcm"))]
    if not files:
        pytest.skip("samples/ct is not here")
    ready, found = await analysed(phantom.archive(files), models)
    assert ready.outcome == OUTCOME_COMPLETED
    assert 1 <= len(found.nodules) <= 5
    assert min(away_mm(each, CENTER_MM) for each in found.nodules) < 3.0
    assert found.nodules[0].zone == pb.LUNG_ZONE_UNSPECIFIED


@pytest.mark.requirement("DX-IMG-02")
async def test_head_ct_is_declined(
    phantom: ModuleType, head_files: list[bytes], models: Path
) -> None:
    ready, _ = await analysed(phantom.archive(head_files), models)
    assert ready.outcome == OUTCOME_DECLINED
    assert ready.refusal.reason == "GANTRY_TILT"
    assert ready.refusal.facts["degrees"] == "18.5"
