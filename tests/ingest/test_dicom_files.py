"""A DICOM file is whole and named, or refused by a stable reason; no bytes crash the reader."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import JPEGBaseline8Bit

from services.ingest import dicom, elements
from services.ingest.dicom import Header
from services.ingest.elements import UnusableInstance

TEST_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
pytestmark = pytest.mark.requirement("DX-ING-02")

fuzz = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def read(content: bytes) -> Header:
    return dicom.read(io.BytesIO(content), len(content))


def reason(content: bytes) -> str:
    with pytest.raises(UnusableInstance) as caught:
        read(content)
    return caught.value.reason


def rich(ct: Callable[..., bytes], *, undefined: bool = True) -> bytes:
    """Return a file with nested sequences, private content and encapsulated pixels."""
    dataset = dcmread(io.BytesIO(ct(SOPInstanceUID="1.2.9.1.5")))
    inner, outer = Dataset(), Dataset()
    inner.CodeValue, inner.CodingSchemeDesignator = "1", "DCM"
    outer.PurposeOfReferenceCodeSequence = Sequence([inner, inner])
    dataset.ReferencedImageSequence = Sequence([outer, outer])
    dataset["ReferencedImageSequence"].is_undefined_length = undefined
    for item in dataset.ReferencedImageSequence:
        item.is_undefined_length_sequence_item = undefined
    dataset.add_new(0x00091010, "UN", b"private")
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([b"\xff\xd8one\xff\xd9", b"\xff\xd8other\xff\xd9"])
    dataset["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset)
    return buffer.getvalue()


def test_a_whole_file_says_which_instance_it_is(ct: Callable[..., bytes]) -> None:
    content = ct(SOPInstanceUID="1.2.9.1.5")
    expected = Header("1.2.9", "1.2.9.1", "1.2.840.10008.5.1.4.1.1.2", "1.2.9.1.5")
    assert read(content) == expected
    assert read(content + bytes(300)) == expected, "zeros after the end are padding"
    assert read(rich(ct)).study == "1.2.9"


def test_pydicoms_own_files_are_read_as_pydicom_reads_them() -> None:
    kept = 0
    for path in sorted(TEST_FILES.glob("*.dcm")):
        content = path.read_bytes()
        try:
            header = read(content)
        except UnusableInstance as error:
            assert error.reason in {"UID_MISSING", "TRUNCATED", "NOT_DICOM"}, path.name
            continue
        kept += 1
        assert header.sop_instance == dcmread(path, force=True).SOPInstanceUID, path.name
    assert kept > 60


@pytest.mark.parametrize("name", ["MR_truncated.dcm", "rtplan_truncated.dcm"])
def test_pydicoms_truncated_files_are_truncated(name: str) -> None:
    assert reason((TEST_FILES / name).read_bytes()) == "TRUNCATED"


@pytest.mark.parametrize("undefined", [True, False])
def test_a_file_cut_at_any_byte_is_refused(ct: Callable[..., bytes], undefined: bool) -> None:
    content = rich(ct, undefined=undefined)
    read(content)
    boundaries = []
    for end in range(len(content)):
        try:
            read(content[:end])
            boundaries.append(end)
        except UnusableInstance as error:
            assert error.reason in {
                *("EMPTY", "NOT_DICOM", "TRUNCATED", "UID_MISSING"),
            }, (end, error.reason)
    # Cut between two elements of the top level a file is whole: only its sender can tell.
    assert len(boundaries) < 15


@fuzz
@given(data=st.data())
def test_flipped_bytes_never_crash(ct: Callable[..., bytes], data: st.DataObject) -> None:
    content = bytearray(rich(ct))
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    try:
        read(bytes(content))
    except UnusableInstance as error:
        assert error.reason.isupper()


@fuzz
@given(st.binary(max_size=600))
@example(b"\x08\x00\x16\x00" + b"\xff" * 12)
@example(b"\0" * 128 + b"DICM" + b"\xfe\xff\x0d\xe0\0\0\0\0")
def test_any_bytes_are_refused_or_read(content: bytes) -> None:
    for start in (b"", b"\0" * 128 + b"DICM"):
        try:
            read(start + content)
        except UnusableInstance as error:
            assert error.reason.isupper()


@fuzz
@given(st.binary(max_size=300))
def test_any_deflated_bytes_are_refused_or_read(content: bytes) -> None:
    for packed in (content, zlib.compress(content)[2:-4]):
        with pytest.raises(UnusableInstance):
            read(deflated(packed))


def deflated(packed: bytes) -> bytes:
    syntax = b"1.2.840.10008.1.2.1.99"
    meta = struct.pack("<HH2sH", 2, 0x10, b"UI", len(syntax)) + syntax
    return b"\0" * 128 + b"DICM" + meta + packed


def test_a_deflated_file_is_walked_and_may_not_inflate_without_end(
    ct: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (TEST_FILES / "image_dfl.dcm").read_bytes()
    assert read(content).sop_instance == dcmread(TEST_FILES / "image_dfl.dcm").SOPInstanceUID
    assert reason(content[: len(content) // 2]) in {"TRUNCATED", "MALFORMED"}
    pixels = struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OW", 0, 64 << 20) + bytes(64 << 20)
    compressor = zlib.compressobj(wbits=-15)
    bomb = deflated(compressor.compress(pixels) + compressor.flush())
    monkeypatch.setattr(dicom, "INFLATED_BYTES_MAX", 8 << 20)
    assert reason(bomb) == "INSTANCE_TOO_LARGE"


def test_without_a_preamble_only_a_known_sop_class_passes(ct: Callable[..., bytes]) -> None:
    content = ct()
    assert read(content[132:]).study == "1.2.9"
    own = ct(SOPClassUID="1.2.3.4")
    assert read(own).sop_class == "1.2.3.4"
    assert reason(own[132:]) == "NOT_DICOM"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "EMPTY"),
        (b"hello, this is no image", "NOT_DICOM"),
        (b"PK\x03\x04" + bytes(200), "NESTED_ARCHIVE"),
        (b"\x1f\x8b" + bytes(200), "NESTED_ARCHIVE"),
        (b"\0" * 132, "NOT_DICOM"),
        (b"\0" * 128 + b"DICM", "UID_MISSING"),
    ],
)
def test_what_is_no_dicom_is_named(content: bytes, expected: str) -> None:
    assert reason(content) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"StudyInstanceUID": ""}, "UID_MISSING"),
        ({"SeriesInstanceUID": None}, "UID_MISSING"),
        ({"SOPInstanceUID": "1." + "2" * 70}, "UID_INVALID"),
        ({"SOPInstanceUID": "1." + "2" * 300}, "UID_INVALID"),
        ({"StudyInstanceUID": "1.2.9\\1.2.10"}, "UID_INVALID"),
        ({"StudyInstanceUID": "../../etc"}, "UID_INVALID"),
        ({"StudyInstanceUID": "1..2"}, "UID_INVALID"),
    ],
)
def test_uids_are_there_and_are_uids(
    ct: Callable[..., bytes], changes: dict[str, Any], expected: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of values that are wrong on purpose
        content = ct(**changes)
    assert reason(content) == expected


def test_a_dicomdir_is_no_instance() -> None:
    assert reason((TEST_FILES / "dicomdirtests" / "DICOMDIR").read_bytes()) == "DIRECTORY_FILE"


def test_nesting_and_the_number_of_elements_have_limits(
    ct: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = struct.pack("<HH2sHL", 0x08, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    deep += struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    assert reason(ct()[:132] + deep * 2000) == "TOO_DEEP"
    monkeypatch.setattr(elements, "ELEMENTS_MAX", 1000)
    many = struct.pack("<HH2sH", 0x08, 0x05, b"CS", 0) * 2000
    assert reason(ct()[:132] + many) == "TOO_MANY_ELEMENTS"
