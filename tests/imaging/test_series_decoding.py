"""Every coding of pixels, in this process and in one of its own; streams that lie or break."""

from __future__ import annotations

import dataclasses
import io
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLSLossless,
    RLELossless,
)

from services.imaging import peers
from services.imaging.peers import DecoderProcess
from services.imaging.series import archive, refusals
from services.imaging.series.archive import File
from services.imaging.series.decoding import DECODERS, Encoded, decode_here
from services.imaging.series.facts import Facts
from services.imaging.series.understand import understand
from services.imaging.series.volume import Volume
from services.kernel.errors import Unavailable

CODINGS = pytest.mark.requirement("DX-IMG-22")
BROKEN = pytest.mark.requirement("DX-IMG-23")
APART = pytest.mark.requirement("DX-IMG-24")

TESTS = Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.fixture(scope="module")
def process() -> Iterator[DecoderProcess]:
    made = DecoderProcess(timeout_s=60)
    yield made
    made.close()


def stack(phantom: ModuleType, datasets: list[Any], **options: Any) -> Volume:
    (one,) = understand(archive.held(phantom.archive(datasets)), Facts(), **options)
    assert isinstance(one, Volume)
    return one


def compressed(phantom: ModuleType, syntax: Any, slices: int = 5) -> list[Any]:
    datasets = phantom.blank(slices=slices, side=40)
    for one in datasets:
        one.compress(syntax, generate_instance_uid=False)
    return list(datasets)


def refusal(phantom: ModuleType, datasets: list[Any]) -> refusals.SeriesRefused:
    with pytest.raises(refusals.SeriesRefused) as caught:
        stack(phantom, datasets)
    return caught.value


def encoded(dataset: Any) -> Encoded:
    content = next(generate_frames(dataset.PixelData, number_of_frames=1))
    return Encoded(
        content,
        str(dataset.file_meta.TransferSyntaxUID),
        dataset.Rows,
        dataset.Columns,
        dataset.SamplesPerPixel,
        dataset.BitsAllocated,
        dataset.BitsStored,
        bool(dataset.PixelRepresentation),
        0,
        dataset.PhotometricInterpretation,
    )


@CODINGS
@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless, RLELossless])
def test_the_process_gives_the_same_values(
    phantom: ModuleType, process: DecoderProcess, syntax: Any
) -> None:
    datasets = compressed(phantom, syntax)
    here, there = stack(phantom, datasets), stack(phantom, datasets, decode=process)
    assert np.array_equal(here.hu, there.hu)
    assert here.hu[:, 0, 0].tolist() == [0, 10, 20, 30, 40]


@CODINGS
@pytest.mark.parametrize(
    "name",
    [
        *("JPEG2000.dcm", "SC_rgb_gdcm_KY.dcm", "JPEGLSNearLossless_16.dcm"),
        *("SC_rgb_jpeg_gdcm.dcm", "SC_rgb_dcmtk_+eb+cy+n1.dcm", "rtdose_rle_1frame.dcm"),
        *("MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "693_J2KI.dcm"),
    ],
)
def test_files_of_other_writers_decode_as_pydicom_does(name: str) -> None:
    dataset = pydicom.dcmread(TESTS / name)
    values = decode_here(encoded(dataset))
    assert np.array_equal(values, pydicom.pixels.pixel_array(dataset, raw=True))


@CODINGS
def test_deflated_files_are_read(phantom: ModuleType) -> None:
    datasets = phantom.blank(slices=5)
    for one in datasets:
        one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    assert stack(phantom, datasets).hu[:, 0, 0].tolist() == [0, 10, 20, 30, 40]


@CODINGS
def test_jpeg_of_12_bits_is_read(
    phantom: ModuleType, series_phantom: ModuleType, tmp_path: Path
) -> None:
    gdcm = pytest.importorskip("gdcm")
    picture = series_phantom.bone()
    (tmp_path / "plain.dcm").write_bytes(phantom.written(series_phantom.radiograph(picture)))
    for kind, syntax, most in (
        (gdcm.TransferSyntax.JPEGExtendedProcess2_4, JPEGExtended12Bit, 60),
        (gdcm.TransferSyntax.JPEGLosslessProcess14, JPEGLossless, 0),
    ):
        reader = gdcm.ImageReader()
        reader.SetFileName(str(tmp_path / "plain.dcm"))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(kind))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(tmp_path / "coded.dcm"))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        dataset = pydicom.dcmread(tmp_path / "coded.dcm")
        assert dataset.file_meta.TransferSyntaxUID == syntax
        values = decode_here(encoded(dataset)).astype(int)
        assert np.abs(values - picture).max() <= most


@CODINGS
def test_every_image_syntax_of_the_standard_has_its_decoder() -> None:
    assert {pydicom.uid.UID(uid).name.split(",")[0] for uid in DECODERS} >= {
        "JPEG Baseline (Process 1)",
        "JPEG Extended (Process 2 and 4)",
        "JPEG-LS Lossless Image Compression",
        "JPEG 2000 Image Compression",
        "High-Throughput JPEG 2000 Image Compression",
        "RLE Lossless",
    }
    for uid, plugin in DECODERS.items():
        assert plugin in pydicom.pixels.get_decoder(pydicom.uid.UID(uid)).available_plugins


@BROKEN
@pytest.mark.parametrize(
    ("syntax", "stated", "found"),
    [
        (JPEG2000Lossless, JPEGLSLossless, "JPEG 2000"),
        (JPEGLSLossless, JPEGBaseline8Bit, "JPEG-LS"),
        (RLELossless, JPEG2000Lossless, "RLE"),
        (JPEGLSLossless, RLELossless, "JPEG-LS"),
    ],
)
def test_lying_transfer_syntax_is_refused(
    phantom: ModuleType, syntax: Any, stated: Any, found: str
) -> None:
    datasets = compressed(phantom, syntax)
    datasets[3].file_meta.TransferSyntaxUID = stated
    error = refusal(phantom, datasets)
    assert (error.reason, error.facts["found"]) == ("LYING_TRANSFER_SYNTAX", found)


@BROKEN
def test_encapsulated_pixels_under_a_plain_syntax_are_refused(phantom: ModuleType) -> None:
    datasets = compressed(phantom, JPEGLSLossless)
    datasets[3].file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    datasets[3]["PixelData"].VR = "OB"
    content = phantom.written(compressed(phantom, JPEGLSLossless)[3])
    syntax = str(JPEGLSLossless).encode()
    plain = str(pydicom.uid.ExplicitVRLittleEndian).encode()
    lying = content.replace(syntax, plain + b"\0" * (len(syntax) - len(plain)), 1)
    files = [phantom.written(one) for one in compressed(phantom, JPEGLSLossless)]
    error = refusal(phantom, [*files[:3], lying, files[4]])
    assert error.reason == "LYING_TRANSFER_SYNTAX"
    assert error.facts == {"stated": "native", "found": "encapsulated"}


@BROKEN
def test_corrupt_jpeg_2000_is_refused(phantom: ModuleType) -> None:
    datasets = compressed(phantom, JPEG2000Lossless)
    stream = bytearray(encoded(datasets[2]).content)
    stream[len(stream) // 2 : len(stream) // 2 + 20] = b"\xff" * 20
    cut = bytes(stream[: len(stream) // 2])
    datasets[2].PixelData = encapsulate([cut])
    error = refusal(phantom, datasets)
    assert error.reason == "DAMAGED_SERIES"
    assert error.facts["bytes"].isdigit()


@BROKEN
def test_stream_of_absurd_size_never_reaches_a_decoder(phantom: ModuleType) -> None:
    datasets = compressed(phantom, JPEG2000Lossless)
    stream = bytearray(encoded(datasets[2]).content)
    struct.pack_into(">II", stream, 8, 1 << 31, 1 << 31)
    datasets[2].PixelData = encapsulate([bytes(stream)])
    error = refusal(phantom, datasets)
    assert error.reason == "DAMAGED_SERIES"
    assert error.facts["rows"] == str(1 << 31)


@BROKEN
@pytest.mark.parametrize("change", [-2, -400, 40])
def test_pixels_of_another_length_are_refused(phantom: ModuleType, change: int) -> None:
    datasets = phantom.blank()
    pixels = datasets[5].PixelData
    datasets[5].PixelData = pixels[:change] if change < 0 else pixels + bytes(change)
    error = refusal(phantom, datasets)
    assert error.reason == "DAMAGED_SERIES"
    assert error.facts == {"bytes": str(len(pixels) + change), "needed": str(len(pixels))}


@BROKEN
def test_file_cut_inside_its_pixels_is_refused(phantom: ModuleType) -> None:
    files = [phantom.written(one) for one in phantom.blank()]
    files[5] = files[5][:-100]
    error = refusal(phantom, files)
    assert (error.reason, error.facts) == ("DAMAGED_SERIES", {"bytes": "412", "needed": "512"})


@BROKEN
def test_deflated_bomb_is_refused(phantom: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.imaging.series.plain_file.INFLATED_BYTES_MAX", 10_000)
    datasets = phantom.blank(slices=3, side=200)
    for one in datasets:
        one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    files = [File(memoryview(phantom.written(one))) for one in datasets]
    with pytest.raises(refusals.SeriesTooLarge) as caught:
        understand(files, Facts())
    assert caught.value.facts == {"limit": "10000"}


@APART
def test_decoder_that_crashes_costs_its_image_alone(
    phantom: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = encoded(compressed(phantom, RLELossless)[1])
    process = DecoderProcess(timeout_s=60)
    process(frame)
    (victim,) = process._idle
    os.kill(victim.pid, signal.SIGSTOP)
    threading.Timer(0.2, os.kill, (victim.pid, signal.SIGKILL)).start()
    with pytest.raises(refusals.DamagedSeries) as caught:
        process(frame)
    assert caught.value.facts == {"signal": "9"}
    assert process.deaths == 1
    assert process(frame)[0, 0] == 1034
    process.close()


@APART
def test_decoder_that_hangs_is_killed(phantom: ModuleType) -> None:
    frame = encoded(compressed(phantom, RLELossless)[1])
    process = DecoderProcess(timeout_s=60)
    process(frame)
    process._timeout_s = 0.3
    (victim,) = process._idle
    os.kill(victim.pid, signal.SIGSTOP)
    with pytest.raises(refusals.DamagedSeries) as caught:
        process(frame)
    assert caught.value.facts == {"timeout_s": "0.3"}
    assert victim.poll() is not None
    process.close()


@APART
def test_process_that_cannot_start_says_nothing_of_the_frame(
    phantom: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = encoded(compressed(phantom, RLELossless)[1])
    monkeypatch.setattr("services.imaging.peers.sys.executable", shutil.which("false"))
    process = DecoderProcess()
    with pytest.raises(Unavailable) as caught:
        process(frame)
    assert caught.value.retry_after_s
    assert process.deaths == 0


@APART
def test_frame_that_needs_more_memory_than_there_is_costs_itself_alone(
    phantom: ModuleType,
) -> None:
    frame = encoded(compressed(phantom, RLELossless)[1])
    process = DecoderProcess(timeout_s=60, memory_bytes=1 << 30)
    with pytest.raises(refusals.DamagedSeries):
        process(dataclasses.replace(frame, rows=30_000, columns=30_000))
    assert process(frame)[0, 0] == 1034
    process.close()


@APART
def test_serve_answers_one_frame_after_another(phantom: ModuleType) -> None:
    """The loop of the process, without one; a frame that does not decode is answered too."""
    frame = encoded(compressed(phantom, RLELossless)[1])
    asked, answered = io.BytesIO(), io.BytesIO()
    for content in (frame.content, b"\1" + b"\0" * 63, frame.content):
        head = {name: getattr(frame, name) for name in Encoded.__slots__ if name != "content"}
        peers._write(asked, head, content)
    asked.seek(0)
    peers.serve(asked, answered)
    assert answered.getvalue().count(b'"bytes"') == 4  # that it is ready, then the answers
    assert answered.getvalue().count(b'"error"') == 1
    assert answered.getvalue().count(b"DamagedSeries") == 1


@APART
def test_what_a_decoder_prints_is_no_answer() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.imaging.peers", str(3 << 30)],
        input=b"", capture_output=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stdout[4:] == b'{"bytes": 0}'  # that it is ready
