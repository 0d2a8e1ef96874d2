"""Text inside compressed pixels goes; the picture stays the same."""

from __future__ import annotations

import io
import struct

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames

from services.anonymization.codestream import without_comments
from services.anonymization.instance import Deidentifier
from services.anonymization.pseudonyms import Pseudonyms

SECRET = b"ZHAO TIEZHU"


def jpeg_with(marker: int, content: bytes) -> bytes:
    segment = bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content
    return b"\xff\xd8" + segment + b"\xff\xda\x00\x02" + content + b"\xff\xd9"


@pytest.mark.requirement("DX-ID-07")
@pytest.mark.parametrize("marker", [0xFE, 0xE1, 0xED])
def test_comment_is_overwritten_in_the_header_alone(marker: int) -> None:
    before = encapsulate([jpeg_with(marker, SECRET)])
    after = without_comments(before)
    assert len(after) == len(before)
    assert after.count(SECRET) == 1  # what stands after the scan began is picture


@pytest.mark.requirement("DX-ID-07")
def test_fill_bytes_before_a_comment_do_not_hide_it() -> None:
    plain = jpeg_with(0xFE, SECRET)
    filled = plain[:2] + b"\xff\xff\xff" + plain[2:]
    assert without_comments(encapsulate([filled])).count(SECRET) == 1


@pytest.mark.requirement("DX-ID-07")
def test_text_in_the_boxes_of_a_jp2_file_is_overwritten_and_its_picture_stays() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (24, 32), (10, 200, 30)).save(buffer, "JPEG2000")
    said = b"<name>" + SECRET + b"</name>"
    box = struct.pack(">I4s", len(said) + 8, b"xml ") + said
    comment = b"\xff\x64" + struct.pack(">HH", len(SECRET) + 4, 1) + SECRET
    file = buffer.getvalue()
    at = file.index(b"jp2c") + 4
    size = 4 + int.from_bytes(file[at + 4 : at + 6], "big")
    stream = file[at : at + size] + comment + file[at + size :]
    whole = file[: at - 8] + box + struct.pack(">I4s", len(stream) + 8, b"jp2c") + stream + box
    after = without_comments(encapsulate([whole]))
    assert SECRET not in after
    (frame,) = generate_frames(after, number_of_frames=1)
    assert Image.open(io.BytesIO(frame)).getpixel((3, 3)) == (10, 200, 30)


def test_what_a_decoder_needs_stays() -> None:
    before = encapsulate([jpeg_with(0xEE, b"Adobe\0\0\0\0\0\0\0")])
    assert without_comments(before) is before


@pytest.mark.requirement("DX-ID-07")
def test_comment_of_a_real_file_is_gone_and_its_frame_has_its_length(
    pseudonyms: Pseudonyms,
) -> None:
    dataset = pydicom.dcmread(str(get_testdata_file("JPEG2000.dcm")))
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    comment = b"\xff\x64" + struct.pack(">HH", len(SECRET) + 4, 1) + SECRET
    dataset.BurnedInAnnotation = "NO"
    size = int.from_bytes(frame[4:6], "big")  # SIZ comes first, then the comment
    dataset.PixelData = encapsulate([frame[: 4 + size] + comment + frame[4 + size :]])
    dataset["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    assert SECRET in buffer.getvalue()
    made = Deidentifier(pseudonyms).instance(buffer.getvalue())
    assert SECRET not in made
    new = next(generate_frames(pydicom.dcmread(io.BytesIO(made)).PixelData, number_of_frames=1))
    assert new.rstrip(b"\0")[-100:] == frame.rstrip(b"\0")[-100:]


@given(st.binary(max_size=80))
def test_any_bytes_keep_their_length(content: bytes) -> None:
    assert len(without_comments(content)) == len(content)
    wrapped = encapsulate([b"\xff\xd8" + content])
    assert len(without_comments(wrapped)) == len(wrapped)
