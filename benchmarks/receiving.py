"""Receiving studies: C-STORE and STOW-RS beside Orthanc as Debian ships it, on this machine.

The same files go to both in one run, round by round in a fresh order: by DCMTK's storescu over
one association, and by STOW-RS in requests of 32 files over one connection. Every round sends
new instances, with UIDs of their own. Ours is the whole mesh (`dxmesh up`), which keeps each
file encrypted; Orthanc has its own settings, with its DICOMweb plugin. A file counts when it
was acknowledged.

Run: `python -m benchmarks.receiving`; needs Debian's orthanc, orthanc-dicomweb and dcmtk. The
whole CT is looked for in `../shared/data`, else the 32 slices in `samples/ct` are sent.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvloop
from pydicom import dcmread
from pydicom.uid import generate_uid

from benchmarks.rounds import Spread, Verdict, interleaved, ratio, spread
from services.cli import accounts
from services.cli.mesh import ROOT, Mesh, Options
from services.cli.state import open_state

PACKAGES = ("pynetdicom", "pydicom", "granian")
ROUNDS = 6
AIM_MIN = 1.5
BATCH = 32
SAMPLES = ROOT / "samples" / "ct"
WHOLE_CT = ROOT.parent / "shared/data/imaging/lidc_idri_0001_dicom/series.tar.xz"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
OURS, ORTHANC = "dxmesh", "Orthanc"
STORE, STOW = "C-STORE", "STOW-RS"
START_S = 30.0


@dataclass
class Setup:
    """Both receivers, and the files that every round sends anew."""

    files: list[bytes]
    folder: Path
    mesh: Mesh
    token: str
    ports: dict[str, int]
    stow: dict[str, str]


def main() -> dict[str, Any]:
    """Measure, print the table, return the figures."""
    result = measure()
    print("\n".join([*rows(result), "", str(verdict(result))]))
    return result


def measure(rounds: int = ROUNDS) -> dict[str, Any]:
    """Return files per second by side and round."""
    missing = [name for name in ("storescu", "Orthanc") if not shutil.which(name)]
    if missing or not PLUGIN.exists():
        raise SystemExit("this benchmark needs Debian's orthanc, orthanc-dicomweb and dcmtk")
    with tempfile.TemporaryDirectory(prefix="dx") as folder, _running(Path(folder)) as setup:
        sides = {
            f"{name} {way}": _side(setup, name, way)
            for way in (STORE, STOW)
            for name in (OURS, ORTHANC)
        }
        figures = uvloop.run(interleaved(sides, rounds))
    return {"files": len(setup.files), "bytes": sum(map(len, setup.files)), "rates": figures}


def _side(setup: Setup, name: str, way: str) -> Any:
    async def run() -> float:
        contents = _anew(setup.files)
        if way == STOW:
            return len(contents) / _stow(setup, name, contents)
        folder = setup.folder / uuid.uuid4().hex
        folder.mkdir()
        for number, content in enumerate(contents):
            (folder / f"{number:04}.dcm").write_bytes(content)
        seconds = _store(setup, name, folder)
        shutil.rmtree(folder)
        return len(contents) / seconds

    return run


def _anew(files: list[bytes]) -> list[bytes]:
    """Return the files as another study."""
    study, series, made = generate_uid(), generate_uid(), []
    for content in files:
        dataset = dcmread(io.BytesIO(content))
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        buffer = io.BytesIO()
        dataset.save_as(buffer)
        made.append(buffer.getvalue())
    return made


def _store(setup: Setup, name: str, folder: Path) -> float:
    """Send a folder by C-STORE; return the seconds. Every file must be acknowledged."""
    called = "DXMESH" if name == OURS else "ORTHANC"
    command = ["storescu", "-aet", "BENCH", "-aec", called, "127.0.0.1", str(setup.ports[name])]
    began = time.perf_counter()
    subprocess.run([*command, "+sd", str(folder)], check=True, capture_output=True)
    return time.perf_counter() - began


def _stow(setup: Setup, name: str, contents: list[bytes]) -> float:
    """Send files by STOW-RS; return the seconds. Every file must be stored."""
    headers = {"Accept": "application/dicom+json"}
    if name == OURS:
        headers["Authorization"] = f"Bearer {setup.token}"
    bodies = [_multipart(contents[at : at + BATCH]) for at in range(0, len(contents), BATCH)]
    kind = 'multipart/related; type="application/dicom"; boundary=part'
    with httpx.Client(timeout=120) as client:
        began = time.perf_counter()
        for body in bodies:
            answer = client.post(
                setup.stow[name], content=body, headers=headers | {"Content-Type": kind}
            )
            assert answer.status_code == 200, answer.text
        return time.perf_counter() - began


def _multipart(contents: list[bytes]) -> bytes:
    head = b"--part\r\nContent-Type: application/dicom\r\n\r\n"
    return b"".join(head + content + b"\r\n" for content in contents) + b"--part--\r\n"


@contextlib.contextmanager
def _running(folder: Path) -> Iterator[Setup]:
    devices = folder / "devices.toml"
    devices.write_text('[[device]]\ntitle = "BENCH"\ntenant = "demo"\n')
    ours, store, http = (_free() for _ in range(3))
    state = open_state(folder / "state")
    mesh = Mesh(state, Options(dicom_port=ours, dicom_devices=devices))
    try:
        mesh.start(lambda _: None)
        with _orthanc(folder, store, http):
            yield Setup(
                files=_files(folder),
                folder=folder,
                mesh=mesh,
                token=accounts.read(state.root).ehr_token,
                ports={OURS: ours, ORTHANC: store},
                stow={
                    OURS: f"{mesh.url}/dicom-web/studies",
                    ORTHANC: f"http://127.0.0.1:{http}/dicom-web/studies",
                },
            )
    finally:
        mesh.stop()


@contextlib.contextmanager
def _orthanc(folder: Path, store: int, http: int) -> Iterator[None]:
    """Run Orthanc with its own settings, apart from ports, folders and access."""
    place = folder / "orthanc"
    place.mkdir()
    settings = {
        "StorageDirectory": str(place),
        "IndexDirectory": str(place),
        "DicomPort": store,
        "HttpPort": http,
        "DicomAlwaysAllowStore": True,
        "AuthenticationEnabled": False,
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True},
    }
    config = folder / "orthanc.json"
    config.write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(
            ["Orthanc", str(config)],
            stdout=log,
            stderr=log,
            start_new_session=True,  # as ours: Linux shares processor time out by session
        )
        try:
            until = time.monotonic() + START_S
            while not (_answers(store) and _answers(http)):
                assert time.monotonic() < until and process.poll() is None, "Orthanc did not start"
                time.sleep(0.2)
            yield
        finally:
            process.terminate()
            process.wait(30)


def _files(folder: Path) -> list[bytes]:
    if not WHOLE_CT.exists():
        return [path.read_bytes() for path in sorted(SAMPLES.glob("*.dcm"))]
    with tarfile.open(WHOLE_CT) as archive:
        archive.extractall(folder / "ct", filter="data")
    return [path.read_bytes() for path in sorted((folder / "ct").rglob("*.dcm"))]


def _free() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def rows(result: dict[str, Any]) -> list[str]:
    """Return the figures as a Markdown table."""
    mean_kib = result["bytes"] / result["files"] / 1024
    lines = [
        f"{result['files']} files, {mean_kib:.0f} KiB on average.",
        "",
        "| way | dxmesh, files/s | Orthanc, files/s | ratio |",
        "|---|---|---|---|",
    ]
    for way in (STORE, STOW):
        ours, theirs = (result["rates"][f"{name} {way}"] for name in (OURS, ORTHANC))
        lines.append(f"| {way} | {spread(ours)} | {spread(theirs)} | {_ratio(result, way)} |")
    return lines


def _ratio(result: dict[str, Any], way: str) -> Spread:
    return ratio(result["rates"][f"{OURS} {way}"], result["rates"][f"{ORTHANC} {way}"])


def verdict(result: dict[str, Any]) -> Verdict:
    """Return whether both ways are fast enough: the lower ratio counts."""
    lower = min((_ratio(result, way) for way in (STORE, STOW)), key=lambda each: each.median)
    return Verdict.at_least("files per second to Orthanc's, the lower of the two", AIM_MIN, lower)


if __name__ == "__main__":
    main()
