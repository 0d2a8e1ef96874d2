"""A scanner sends by C-STORE while the order is submitted: killed, late, it all comes together."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid
from pynetdicom import AE, Association

from services.cli import bundle, content
from services.cli.answers import CliError
from services.cli.supervisor import answers
from tests.flow.cases import make_case
from tests.flow.running import Running

STARTS_S = 60.0


def associate(running: Running, paths: list[Path]) -> Association:
    """Return an association, as soon as the listener lets us in."""
    entity = AE(ae_title="CT1")
    first = dcmread(paths[0])
    entity.add_requested_context(first.SOPClassUID, first.file_meta.TransferSyntaxUID)
    until = time.monotonic() + STARTS_S
    while True:
        if answers(running.mesh.options.dicom_port):
            made = entity.associate("127.0.0.1", running.mesh.options.dicom_port, ae_title="DXMESH")
            if made.is_established:
                return made
        assert time.monotonic() < until, "the listener does not let a modality in"
        time.sleep(0.2)


def send(running: Running, paths: list[Path]) -> None:
    """Send files, each acknowledged."""
    association = associate(running, paths)
    for path in paths:
        assert association.send_c_store(dcmread(path)).Status == 0
    association.release()


@pytest.mark.requirement("DX-RCV-01")
@pytest.mark.requirement("DX-RCV-06")
def test_a_scan_is_read_whole_though_ingest_was_killed_and_late_images_make_a_new_version(
    running: Running, tmp_path: Path
) -> None:
    folder = make_case(tmp_path / "case", "BY-C-STORE")
    slices = sorted((folder / "ct").glob("*.dcm"))
    built = bundle.build(content.read([folder]), language="en")
    send(running, slices[:6])
    running.mesh.supervisor.kill("ingest")
    task, _ = _submit(running, built)
    case_id = str(task["id"])
    assert not running.case(case_id)["report"], "ten slices are still to come"
    send(running, slices[6:])
    case = running.wait_for(case_id)
    first = running.report(case_id)
    findings = [o for o in running.observations(first) if o.get("bodySite")]
    assert case["report"] and findings
    late = tmp_path / "late.dcm"
    extra = dcmread(slices[0])
    extra.SOPInstanceUID = extra.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    step = extra.ImagePositionPatient[2] - dcmread(slices[1]).ImagePositionPatient[2]
    extra.ImagePositionPatient = [
        *extra.ImagePositionPatient[:2],
        extra.ImagePositionPatient[2] + step,
    ]
    extra.save_as(late)
    send(running, [late])
    running.wait_for(case_id, lambda found: found["report_version"] == 2)


def _submit(running: Running, built: bytes) -> tuple[dict[str, object], bool]:
    """Submit as soon as ingest answers again."""
    until = time.monotonic() + STARTS_S
    while True:
        try:
            return running.ehr.submit(built)
        except CliError:
            assert time.monotonic() < until
            time.sleep(0.5)
