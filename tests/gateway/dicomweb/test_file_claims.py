"""What a file says of itself is not believed where memory or time would be its price."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from services.gateway.dicomweb import frames, pictures, streams
from services.gateway.store.dicom import Instance, Series
from services.gateway.web import outlines, stacks
from services.kernel.errors import Damaged, InvalidInput, TooLarge
from services.kernel.testing import memory_blobs
from tests.gateway.dicomweb.images import jpeg_ls, made

MANY = 2_000_000_000


@pytest.mark.requirement("DX-VIE-12")
def test_a_file_that_claims_two_milliard_frames_is_described_like_any_other() -> None:
    said = {"00280010": {"vr": "US", "Value": [8]}, "00280011": {"vr": "US", "Value": [8]}}
    one = Instance("1.2.3.1", "1.2", "1.2.840.10008.1.2.1", "b", 0, 100, 50, MANY, said)
    made = stacks.describe([Series("c", "1.2", "1.2.3", False, {}, (one, one))], {"entry": []})
    assert len(made["series"][0]["images"]) == stacks.IMAGES_MAX


@pytest.mark.requirement("DX-VIE-12")
def test_a_segmentation_that_claims_two_milliard_tiles_is_not_drawn() -> None:
    dataset = Dataset()
    dataset.Rows = dataset.Columns = 8
    dataset.TotalPixelMatrixRows = dataset.TotalPixelMatrixColumns = 8
    dataset.NumberOfFrames = MANY
    with pytest.raises(TooLarge):
        outlines.tiles(dataset)


@pytest.mark.requirement("DX-DWB-11")
@pytest.mark.parametrize(
    "stream",
    [
        b"\xff\xd8\xff\xf7\x00\x0b\x08\xff\xff\xff\xff\x01\x01\x11\x00",  # JPEG-LS
        b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x01\x01\x11\x00",
        b"\xff\x4f\xff\x51\x00\x29\x00\x00" + (60_000).to_bytes(4, "big") * 8 + b"\x00\x01\x07",
        b"\xff\xd8\xff\xd9",
        b"",
    ],
)
def test_no_decoder_is_given_a_stream_of_another_size_than_its_header(stream: bytes) -> None:
    head = Dataset()
    head.Rows = head.Columns = 8
    head.SamplesPerPixel, head.BitsAllocated = 1, 8
    with pytest.raises(Damaged):
        pictures.one_frame(head, "1.2.840.10008.1.2.4.80", stream, 1)


@pytest.mark.requirement("DX-DWB-11")
def test_streams_of_every_kind_say_how_large_they_are() -> None:
    held = jpeg_ls(1)
    (frame,) = generate_frames(held.PixelData, number_of_frames=1)
    streams.check(frame, held, held.file_meta.TransferSyntaxUID)
    for kind, options in (("JPEG", {}), ("JPEG2000", {}), ("JPEG2000", {"no_jp2": True})):
        buffer = io.BytesIO()
        Image.new("RGB", (24, 32)).save(buffer, kind, **options)
        assert streams.size_of(buffer.getvalue()) == (32, 24, 3), kind


@pytest.mark.requirement("DX-DWB-11")
def test_a_view_outside_of_the_image_is_refused() -> None:
    dataset = pictures.one_frame(made(1), "1.2.840.10008.1.2.1", made(1).PixelData, 1)
    view = pictures.view_of({"viewport": "8,8,900,900,8,8"})
    with pytest.raises(InvalidInput):
        pictures.draw(dataset, view, "image/png")


@pytest.mark.requirement("DX-DWB-11")
async def test_offsets_beyond_the_file_and_empty_pieces_without_end_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frames, "FRAGMENTS_MAX", 100)
    blobs = memory_blobs()
    empty = b"\xfe\xff\x00\xe0\x00\x00\x00\x00"
    start = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff"
    table = b"\xfe\xff\x00\xe0\x08\x00\x00\x00" + b"\x00\x00\x00\x00\xf0\xff\xff\x7f"
    head = Dataset()
    for name, content, error in (
        ("many", start + empty * 200, TooLarge),
        ("far", start + table + empty, Damaged),
    ):
        await blobs.put("north", "c", name, b"12345678" + content)
        size = 8 + len(content)
        one = Instance("1.2", "1.2", "1.2.840.10008.1.2.4.80", name, 0, size, 8, 2, {})
        reader = await blobs.open("north", "c", name)
        with pytest.raises(error):
            await frames.stored(frames.Tables(), one, reader, head, 2)


@pytest.mark.requirement("DX-DWB-03")
async def test_the_frames_of_one_case_are_not_those_of_another_at_the_same_place() -> None:
    blobs, tables, head = memory_blobs(), frames.Tables(), Dataset()
    said = {}
    for case, first in (("case-1", b"1111"), ("case-2", b"22222222")):
        file = b"12345678\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0" + b"\0" * 4
        for frame in (first, b"last" + first):
            file += b"\xfe\xff\x00\xe0" + len(frame).to_bytes(4, "little") + frame
        await blobs.put("north", case, "imaging-1/series-1.zip", file)
        reader = await blobs.open("north", case, "imaging-1/series-1.zip")
        one = Instance(
            "1.2", "1.2", "1.2.840.10008.1.2.4.80", "imaging-1/series-1.zip", 0, len(file), 8, 2, {}
        )
        said[case] = await frames.stored(tables, one, reader, head, 2)
    assert said == {"case-1": b"last1111", "case-2": b"last22222222"}
