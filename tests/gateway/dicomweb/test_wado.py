"""WADO-RS: what is sent is what the hospital sent, with its identity, compressed as it came."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from tests.gateway.dicomweb.conftest import OF_SERIES, OF_STUDY, parts
from tests.gateway.dicomweb.images import (
    ACCESSION,
    NAME,
    PATIENT_ID,
    SERIES,
    STUDY,
    colour,
    hold,
    jpeg_ls,
    made,
    pixels,
)

FILES = 'multipart/related; type="application/dicom"; transfer-syntax=*'
FRAMES = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'


def read(content: bytes) -> Dataset:
    return dcmread(io.BytesIO(content))


@pytest.mark.requirement("DX-DWB-02")
async def test_a_study_comes_back_as_the_hospital_sent_it(held: Any) -> None:
    answer = await held.get(OF_STUDY, accept=FILES)
    assert answer.status_code == 200
    sent = [read(body) for _, body in parts(answer)]
    assert [one.InstanceNumber for one in sent] == [1, 2, 3]
    for one in sent:
        original = made(int(one.InstanceNumber))
        assert one.PatientName == NAME and one.PatientID == PATIENT_ID
        assert one.PatientBirthDate == "19640315" and one.PatientSex == "M"
        assert (one.StudyDate, one.SeriesDate, one.ContentDate) == ("20260102",) * 3
        times = (one.StudyTime, one.AcquisitionDateTime)
        assert times == (original.StudyTime, original.AcquisitionDateTime)
        assert "LongitudinalTemporalInformationModified" not in one
        assert one.AccessionNumber == ACCESSION and one.PatientIdentityRemoved == "NO"
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PixelData"):
            assert one[keyword].value == original[keyword].value
        assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
        assert "DeidentificationMethod" not in one


@pytest.mark.requirement("DX-DWB-02")
async def test_series_and_instance_are_sent_alone(held: Any) -> None:
    assert len(parts(await held.get(OF_SERIES, accept=FILES))) == 3
    path = f"{OF_SERIES}/instances/{SERIES}.2"
    (part,) = parts(await held.get(path, accept=FILES))
    assert int(part[0]["content-length"]) == len(part[1])
    alone = await held.get(path, accept="application/dicom")
    assert alone.headers["content-type"].startswith("application/dicom; transfer-syntax=")
    assert alone.content == part[1] and read(alone.content).InstanceNumber == 2
    some = await held.get(path, accept="application/dicom", range="bytes=128-131")
    assert (some.status_code, some.content) == (206, b"DICM")
    assert some.headers["content-range"] == f"bytes 128-131/{len(part[1])}"
    last = await held.get(path, accept="application/dicom", range="bytes=-4")
    assert last.content == part[1][-4:]
    outside = await held.get(path, accept="application/dicom", range="bytes=99999999-")
    assert outside.status_code == 416


@pytest.mark.requirement("DX-DWB-03")
async def test_a_compressed_frame_is_sent_as_it_is_stored(world: Any, setting: Any) -> None:
    original = jpeg_ls(1)
    await hold(world, setting, [[original]])
    path = f"{OF_SERIES}/instances/{SERIES}.1/frames/1"
    for accept in (
        FRAMES,
        "multipart/related; type=application/octet-stream; transfer-syntax=*",
        'multipart/related;type="image/jls";transfer-syntax=1.2.840.10008.1.2.4.80',
        'image/png;q=0, multipart/related; type="image/jp2", multipart/related; type=image/jls',
        "*/*",
    ):
        ((headers, body),) = parts(await world.get(path, accept=accept))
        assert body.rstrip(b"\0") in original.PixelData and body[:2] == b"\xff\xd8"
        assert headers["content-type"].endswith("transfer-syntax=1.2.840.10008.1.2.4.80")


@pytest.mark.requirement("DX-DWB-03")
async def test_what_is_compressed_is_decompressed_when_asked_for(world: Any, setting: Any) -> None:
    await hold(world, setting, [[jpeg_ls(1)]])
    path = f"{OF_SERIES}/instances/{SERIES}.1"
    for accept in (
        'multipart/related; type="application/octet-stream"',
        "multipart/related; type=application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1",
    ):
        ((headers, body),) = parts(await world.get(f"{path}/frames/1", accept=accept))
        assert body == pixels(1).astype("<i2").tobytes()
        assert headers["content-type"].endswith("transfer-syntax=1.2.840.10008.1.2.1")
    stored = read((await world.get(path, accept="application/dicom; transfer-syntax=*")).content)
    assert stored.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.80"
    asked = "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"
    plain = read((await world.get(path, accept=asked)).content)
    assert plain.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert np.array_equal(plain.pixel_array, pixels(1)) and plain.SOPInstanceUID == f"{SERIES}.1"
    assert plain.PatientName == NAME
    no = await world.get(path, accept="application/dicom; transfer-syntax=1.2.840.10008.1.2.4.90")
    assert no.status_code == 406


@pytest.mark.requirement("DX-DWB-03")
async def test_frames_are_found_with_and_without_an_offset_table(world: Any, setting: Any) -> None:
    await hold(world, setting, [[colour(1, 5), colour(2, 5, table=False)]])
    for number in (1, 2):
        await frames_of(world, f"{OF_SERIES}/instances/{SERIES}.{number}")


async def frames_of(world: Any, path: str) -> None:
    several = parts(await world.get(f"{path}/frames/2,5", accept=FRAMES))
    assert len(several) == 2
    plain = "multipart/related; type=application/octet-stream"
    frames = parts(await world.get(f"{path}/frames/2,5", accept=plain))
    for number, (_, body) in zip((2, 5), frames, strict=True):
        assert body[:3] == bytes((number, 2 * number, 255 - number))
        assert len(body) == 32 * 24 * 3
    assert (await world.get(f"{path}/frames/6", accept=FRAMES)).status_code == 404
    assert (await world.get(f"{path}/frames/0", accept=FRAMES)).status_code == 404
    assert (await world.get(f"{path}/frames/x", accept=FRAMES)).status_code == 400


@pytest.mark.requirement("DX-DWB-04")
async def test_metadata_says_all_and_where_the_pixels_are(held: Any) -> None:
    answer = await held.get(f"{OF_SERIES}/metadata", accept="application/dicom+json, text/plain")
    assert answer.headers["content-type"] == "application/dicom+json"
    first = answer.json()[0]
    assert first["00100010"]["Value"] == [{"Alphabetic": NAME}]
    assert first["00080018"]["Value"] == [f"{SERIES}.1"]
    assert first["00083002"]["Value"] == ["1.2.840.10008.1.2.1"]
    uri = first["7FE00010"]["BulkDataURI"]
    assert uri == f"instances/{SERIES}.1/bulkdata/7FE00010", "relative to the series"
    bulk = await held.get(f"{OF_SERIES}/{uri}", accept="application/octet-stream")
    assert bulk.content == pixels(1).astype("<i2").tobytes()
    ((_, part),) = parts(await held.get(f"{OF_SERIES}/{uri}", accept=FRAMES))
    assert part == bulk.content
    of_study = (await held.get(f"{OF_STUDY}/metadata")).json()
    assert of_study[0]["7FE00010"]["BulkDataURI"].startswith(f"series/{SERIES}/instances/")
    of_one = (await held.get(f"{OF_SERIES}/instances/{SERIES}.2/metadata")).json()
    assert of_one[0]["7FE00010"]["BulkDataURI"].startswith(f"http://gateway{OF_SERIES}/")
    refused = await held.get(f"{OF_SERIES}/metadata", accept="application/dicom+xml")
    assert refused.status_code == 406


@pytest.mark.requirement("DX-DWB-04")
async def test_other_bulk_data_has_an_address_too(world: Any, setting: Any) -> None:
    table = bytes(range(256)) * 8
    await hold(world, setting, [[made(1, RedPaletteColorLookupTableData=table)]])
    said = (await world.get(f"{OF_SERIES}/metadata")).json()[0]
    uri = said["00281201"]["BulkDataURI"]
    answer = await world.get(f"{OF_SERIES}/{uri}", accept="application/octet-stream")
    assert answer.content == table
    for tag in ("00281202", "0028120", "00281201.0", "00081140.0.00081150"):
        missing = await world.get(f"{OF_SERIES}/instances/{SERIES}.1/bulkdata/{tag}")
        assert missing.status_code == 404, tag


@pytest.mark.requirement("DX-DWB-02")
async def test_what_is_not_there_is_not_found(held: Any) -> None:
    for path in (
        "/dicom-web/studies/1.2.3",
        f"{OF_STUDY}/series/1.2.3",
        f"{OF_SERIES}/instances/1.2.3/metadata",
        f"{OF_SERIES}/instances/{SERIES}.1%27/metadata",
    ):
        assert (await held.get(path, accept="*/*")).status_code == 404, path


@pytest.mark.requirement("DX-DWB-05")
async def test_an_object_the_mesh_made_is_served_beside_its_series(
    world: Any, setting: Any
) -> None:
    await hold(world, setting, [[made(1)]], commit=False)
    uid = "2.25.99"
    report = made(1, series=uid, modality="SR", sop_class="1.2.840.10008.5.1.4.1.1.88.34")
    del report.PixelData
    from tests.gateway.dicomweb.images import content

    file = content(report)
    zone = world.gateway.archive._made
    name = f"{STUDY}/{uid}/{uid}.1.dcm"
    await zone.put("north", f"{setting.CASE_ID}.dicom", name, file)
    await setting.compose(world, setting.sample_report())
    series = (await world.get(f"{OF_STUDY}/series?Modality=SR")).json()
    assert [one["0020000E"]["Value"] for one in series] == [[uid]]
    answer = await world.get(
        f"{OF_STUDY}/series/{uid}/instances/{uid}.1", accept="application/dicom"
    )
    assert answer.content == file
