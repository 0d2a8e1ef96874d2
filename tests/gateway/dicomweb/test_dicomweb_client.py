"""Somebody else's client, unmodified, against our DICOMweb: the python `dicomweb-client`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import requests
from requests.adapters import BaseAdapter

from tests.gateway.dicomweb.images import NAME, SERIES, STUDY, colour, hold, jpeg_ls, made, pixels


class InProcess(BaseAdapter):
    """Hands a client's requests to the application under test."""

    def __init__(self, world: Any, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.world, self.loop = world, loop

    def send(self, request: requests.PreparedRequest, **_: object) -> requests.Response:
        work = self.world.http.request(
            request.method, request.url, headers=dict(request.headers), content=request.body
        )
        got = asyncio.run_coroutine_threadsafe(work, self.loop).result(30)
        answer = requests.Response()
        answer.status_code, answer.url, answer.request = got.status_code, request.url, request
        answer.headers = requests.structures.CaseInsensitiveDict(got.headers)
        answer._content = got.content
        return answer

    def close(self) -> None:
        """Nothing is held open."""


@pytest.fixture
async def ask(world: Any, setting: Any) -> Callable[[Callable[[Any], Any]], Any]:
    """Return a way to run work with a client, in a thread of its own."""
    api = pytest.importorskip("dicomweb_client.api", reason="dicomweb-client is not installed")
    await hold(world, setting, [[jpeg_ls(1), made(2)], [colour(1, 4, series=f"{STUDY}.5")]])
    session, loop = requests.Session(), asyncio.get_running_loop()
    session.mount("http://gateway", InProcess(world, loop))
    session.headers.update(world.bearer())
    client = api.DICOMwebClient("http://gateway/dicom-web", session=session)
    return lambda work: asyncio.to_thread(work, client)


@pytest.mark.requirement("DX-DWB-13")
async def test_it_searches(ask: Any) -> None:
    (study,) = await ask(
        lambda c: c.search_for_studies(
            search_filters={"PatientName": "WANG*"}, fields=["all"], limit=5, fuzzymatching=True
        )
    )
    assert study["00100010"]["Value"] == [{"Alphabetic": NAME}]
    assert await ask(lambda c: c.search_for_studies(search_filters={"PatientID": "none"})) == []
    assert len(await ask(lambda c: c.search_for_series(STUDY))) == 2
    assert len(await ask(lambda c: c.search_for_instances(STUDY, SERIES, get_remaining=True))) == 2


@pytest.mark.requirement("DX-DWB-13")
async def test_it_retrieves(ask: Any) -> None:
    one = await ask(lambda c: c.retrieve_instance(STUDY, SERIES, f"{SERIES}.1"))
    assert one.PatientName == NAME and np.array_equal(one.pixel_array, pixels(1))
    every = await ask(lambda c: c.retrieve_series(STUDY, SERIES))
    assert [int(each.InstanceNumber) for each in every] == [1, 2]
    assert len(await ask(lambda c: c.retrieve_study(STUDY))) == 3
    said = await ask(lambda c: c.retrieve_series_metadata(STUDY, SERIES))
    assert said[1]["00080018"]["Value"] == [f"{SERIES}.2"]
    assert len(await ask(lambda c: c.retrieve_study_metadata(STUDY))) == 3
    assert await ask(lambda c: c.retrieve_instance_metadata(STUDY, SERIES, f"{SERIES}.1"))
    plain = await ask(
        lambda c: c.retrieve_instance(
            STUDY,
            SERIES,
            f"{SERIES}.1",
            media_types=(("application/dicom", "1.2.840.10008.1.2.1"),),
        )
    )
    assert plain.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


@pytest.mark.requirement("DX-DWB-13")
async def test_it_retrieves_frames_bulk_data_and_pictures(ask: Any) -> None:
    place = (STUDY, SERIES, f"{SERIES}.2")
    (frame,) = await ask(lambda c: c.retrieve_instance_frames(*place, [1]))
    assert frame == pixels(2).astype("<i2").tobytes()
    coded = (STUDY, f"{STUDY}.5", f"{STUDY}.5.1")
    kinds = (("image/dicom-rle", "1.2.840.10008.1.2.5"),)
    frames = await ask(lambda c: c.retrieve_instance_frames(*coded, [1, 4], media_types=kinds))
    assert len(frames) == 2
    png = await ask(lambda c: c.retrieve_instance_rendered(*place, media_types=("image/png",)))
    assert png[:4] == b"\x89PNG"
    assert await ask(lambda c: c.retrieve_instance_frames_rendered(*coded, [2]))
    said = await ask(lambda c: c.retrieve_instance_metadata(*place))
    address = said["7FE00010"]["BulkDataURI"]
    (bulk,) = await ask(lambda c: c.retrieve_bulkdata(address))
    assert bulk == frame
