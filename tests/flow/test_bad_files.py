"""Files that cannot be used: each is refused by name, and the rest of the case goes on."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from services.cli import accounts
from tests.flow.cases import make_case, write_images
from tests.flow.running import SAMPLES, Running
from tests.flow.test_never_lost import outcomes

MIB = 1 << 20
DICOM, ZIP = "application/dicom", "application/zip"
GROWTH_MAX = 400 * MIB
"""What a 3 GB upload may add to a process: it is streamed, not held."""


def stow(running: Running, content: Any, kind: str = DICOM) -> httpx.Response:
    """Send one body to STOW-RS as an EHR does."""
    token = accounts.read(running.state.root).ehr_token
    headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
    address = f"{running.mesh.url}/dicom-web/studies"
    return httpx.post(address, content=content, headers=headers, timeout=300.0)


def reasons(answer: httpx.Response) -> list[str]:
    """Return the reason codes of an OperationOutcome."""
    issues = answer.json()["issue"]
    return [issue["details"]["coding"][0]["code"] for issue in issues]


def zipped(*entries: tuple[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return held.getvalue()


SLICE = (SAMPLES / "ct" / "slice-16.dcm").read_bytes()


@pytest.mark.requirement("DX-FLOW-08")
@pytest.mark.parametrize(
    ("content", "kind", "reason"),
    [
        (b"this is a letter, not an image", DICOM, "NOT_DICOM"),
        (SLICE[: len(SLICE) // 2], DICOM, "TRUNCATED"),
        (b"", DICOM, "EMPTY"),
        (zipped(("bomb.dcm", bytes(64 * MIB))), ZIP, "ZIP_BOMB"),
        (zipped(("../../etc/cron.d/x", SLICE)), ZIP, None),
        (b"PK\x03\x04 but no archive", ZIP, "NOT_A_ZIP"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_reason(
    running: Running, content: bytes, kind: str, reason: str | None
) -> None:
    answer = stow(running, content, kind)
    assert 400 <= answer.status_code < 500, answer.text
    found = reasons(answer)
    assert reason in found if reason else found
    names = [name for _, _, files in os.walk(running.state.root) for name in files]
    assert not [name for name in names if "cron" in name]


@pytest.mark.requirement("DX-FLOW-08")
@pytest.mark.timeout(400)
def test_a_file_of_three_gigabytes_is_refused_while_it_streams(running: Running) -> None:
    def endless() -> Iterator[bytes]:
        yield SLICE[:-4096]
        for _ in range(3 * 1024):
            yield bytes(MIB)

    before = {name: memory(running, name) for name in ("gateway", "ingest")}
    try:
        answer = stow(running, endless())
        assert answer.status_code == 409 and reasons(answer) == ["INSTANCE_TOO_LARGE"]
    except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        pass  # refused before it was all sent, which HTTP/1.1 shows as a closed connection
    for name, bytes_before in before.items():
        assert memory(running, name) - bytes_before < GROWTH_MAX, name
    assert running.operator.get("/ops/status")["healthy"]


def memory(running: Running, name: str) -> int:
    """Return the most memory a process has held, bytes."""
    process = running.mesh.supervisor.find(name).process
    assert process
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(x.split()[1]) * 1024 for x in status.splitlines() if x.startswith("VmHWM"))


@pytest.mark.requirement("DX-FLOW-08")
def test_bad_files_beside_good_ones_do_not_stop_the_case(running: Running, tmp_path: Path) -> None:
    folder = make_case(tmp_path / "case", "BAD-BESIDE-GOOD")
    (folder / "ct" / "cut.dcm").write_bytes(SLICE[: len(SLICE) // 2])
    (folder / "ct" / "letter.dcm").write_bytes(b"not an image")
    case_id = running.submit(folder)
    running.wait_for(case_id)
    assert outcomes(running.report(case_id))["imaging-1"] == "completed"


def two_patients(folder: Path) -> None:
    write_images(folder / "other", folder.name, PatientID="DEMO-OTHER")
    first, second = sorted((folder / "ct").glob("*")), sorted((folder / "other").glob("*"))
    for number in range(8):
        (folder / "ct" / first[number].name).write_bytes(second[number].read_bytes())
    for path in second:
        path.unlink()


def gap(folder: Path) -> None:
    for path in sorted((folder / "ct").glob("*"))[6:9]:
        path.unlink()


def twice(folder: Path) -> None:
    """Add a slice at the place of another one with other values; an exact copy would be dropped."""
    first = sorted((folder / "ct").glob("*"))[6]
    uid = generate_uid(prefix="2.25.")
    change(first, folder / "ct" / "again.dcm", SOPInstanceUID=uid, RescaleIntercept=-1010)


def uneven(folder: Path) -> None:
    """Move a slice by less than half of the way to the next."""
    path = sorted((folder / "ct").glob("*"))[6]
    x, y, z = dcmread(path).ImagePositionPatient
    change(path, path, ImagePositionPatient=[x, y, float(z) + 0.9])


def change(source: Path, target: Path, **changes: Any) -> None:
    dataset = dcmread(source)
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(target)


@pytest.mark.requirement("DX-FLOW-09")
@pytest.mark.parametrize(
    ("spoil", "reason", "number"),
    [
        (two_patients, "MIXED_PATIENTS", "2"),
        (gap, "MISSING_SLICES", "gap 10 mm"),
        (twice, "DUPLICATE_SLICES", "doubles 1"),
        (uneven, "UNEVEN_SLICE_SPACING", "largest gap 3.4 mm, smallest gap 1.6 mm"),
    ],
)
def test_a_series_that_is_no_volume_is_declined_with_the_numbers(
    running: Running, tmp_path: Path, spoil: Any, reason: str, number: str
) -> None:
    folder = make_case(tmp_path / reason, reason)
    spoil(folder)
    case_id = running.submit(folder)
    running.wait_for(case_id)
    report = running.report(case_id)
    assert outcomes(report) == {
        "imaging-1": "declined",
        "labs-1": "completed",
        "nlp-1": "completed",
    }
    assert reason in json.dumps(report["extension"])
    line = next(x for x in report["conclusion"].split("\n") if "not analysed" in x)
    assert number in line and "(" in line
