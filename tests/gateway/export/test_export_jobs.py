"""Jobs: who may see them, what a restart, a cancellation and time do to them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.gateway.export import worker
from services.gateway.export.worker import ExportWorker
from services.kernel.errors import Unavailable
from tests.gateway.export.exported import observation, patient


@pytest.mark.requirement("DX-BLK-05")
async def test_a_restart_goes_on_where_it_stopped(
    bulk: Any, keep: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process does one file and dies; the files together hold each resource once."""
    monkeypatch.setattr(worker, "FILE_BYTES", 900)
    monkeypatch.setattr(worker, "PAGE", 3)
    await keep(bulk.world, patient(), *(observation(n) for n in range(20)))
    begun = await bulk.start()
    store, files = bulk.world.gateway.store, bulk.world.gateway.exports.blobs

    class Dies(ExportWorker):
        written = 0

        async def put(self, *arguments: Any) -> Any:
            if self.written:
                raise KeyboardInterrupt  # the process ends here, nothing is tidied up
            self.written += 1
            return await super().put(*arguments)

    deaths = 0
    while (await bulk.get(begun.headers["content-location"])).status_code == 202:
        deaths += 1
        assert deaths < 60
        try:
            await Dies(store, files, 60).once()
        except KeyboardInterrupt:
            continue
    assert deaths > 3
    manifest = (await bulk.get(begun.headers["content-location"])).json()
    ids = [orjson.loads(line)["id"] for line in (await bulk.lines(manifest))["Observation"]]
    assert sorted(ids) == sorted(f"o-{n}" for n in range(20))
    assert len([e for e in manifest["output"] if e["type"] == "Observation"]) > 3


@pytest.mark.requirement("DX-BLK-05")
async def test_an_outage_is_waited_for(bulk: Any, keep: Any) -> None:
    await keep(bulk.world, patient())
    begun = await bulk.start()

    class Away(ExportWorker):
        async def put(self, *arguments: Any) -> Any:
            error = Unavailable("away")
            error.retry_after_s = 0.01
            raise error

    gateway = bulk.world.gateway
    assert await Away(gateway.store, gateway.exports.blobs, 60).once()
    assert (await bulk.get(begun.headers["content-location"])).status_code == 202
    await bulk.work()
    assert (await bulk.get(begun.headers["content-location"])).status_code == 200


@pytest.mark.requirement("DX-BLK-05")
async def test_a_job_that_cannot_be_done_says_so_and_holds_nobody_up(bulk: Any, keep: Any) -> None:
    await keep(bulk.world, patient())
    bad, good = await bulk.start(_type="Patient"), await bulk.start()

    class Broken(ExportWorker):
        async def put(self, job: Any, *arguments: Any) -> Any:
            if job.asked.kinds:
                raise ZeroDivisionError
            return await super().put(job, *arguments)

    gateway = bulk.world.gateway
    broken = Broken(gateway.store, gateway.exports.blobs, 60)
    while await broken.once():
        pass
    assert (await bulk.get(bad.headers["content-location"])).status_code == 500
    assert (await bulk.get(good.headers["content-location"])).status_code == 200


@pytest.mark.requirement("DX-BLK-05")
async def test_a_lease_keeps_a_second_process_away(bulk: Any, keep: Any) -> None:
    from services.gateway.store.leases import Leases

    await keep(bulk.world, patient())
    begun = await bulk.start()
    store = bulk.world.gateway.store
    [job] = await store.exports.unfinished(1)
    other = Leases(store.database)
    assert await other.hold(f"export/{job.id}", 60)
    assert not await bulk.world.gateway.exports.once()
    assert (await bulk.get(begun.headers["content-location"])).status_code == 202


@pytest.mark.requirement("DX-BLK-06")
async def test_what_is_deleted_is_gone_with_its_key(bulk: Any, keep: Any) -> None:
    await keep(bulk.world, patient())
    running = await bulk.start()
    assert (await bulk.delete(running.headers["content-location"])).status_code == 202
    assert (await bulk.get(running.headers["content-location"])).status_code == 404
    begun = await bulk.start()
    await bulk.work()
    address = begun.headers["content-location"]
    file = (await bulk.get(address)).json()["output"][0]["url"]
    assert (await bulk.delete(address)).status_code == 202
    assert (await bulk.get(address)).status_code == 404
    assert (await bulk.get(file)).status_code == 404
    await bulk.world.gateway.exports.sweep()
    job_id = address.rpartition("/")[2]
    files = bulk.world.gateway.exports.blobs
    assert await files.names("north", f"export-{job_id}") == []


@pytest.mark.requirement("DX-BLK-06")
async def test_files_go_when_their_time_is_over(bulk: Any, keep: Any) -> None:
    await keep(bulk.world, patient())
    gateway = bulk.world.gateway
    begun = await bulk.start()
    await ExportWorker(gateway.store, gateway.exports.blobs, keep_s=-1).once()
    address = begun.headers["content-location"]
    await gateway.exports.sweep()
    assert (await bulk.get(address)).status_code == 404


@pytest.mark.requirement("DX-BLK-06")
async def test_a_cancelled_job_stops_in_the_midst(bulk: Any, keep: Any) -> None:
    await keep(bulk.world, patient(), observation(1))
    begun = await bulk.start()
    gateway = bulk.world.gateway

    class Cancels(ExportWorker):
        async def put(self, job: Any, *arguments: Any) -> Any:
            done = await super().put(job, *arguments)
            await bulk.delete(begun.headers["content-location"])
            return done

    assert await Cancels(gateway.store, gateway.exports.blobs, 60).once()
    assert await gateway.store.exports.unfinished(1) == []
    await gateway.exports.sweep()
    job_id = begun.headers["content-location"].rpartition("/")[2]
    assert await gateway.exports.blobs.names("north", f"export-{job_id}") == []


@pytest.mark.requirement("DX-BLK-06")
async def test_files_are_sealed_at_rest(bulk: Any, keep: Any) -> None:
    await keep(bulk.world, patient(name=[{"text": "Zhang Fictional"}]))
    await bulk.manifest(_typeFilter="Patient?name=Zhang")
    files = bulk.world.gateway.exports.blobs
    import obstore

    held = b""
    for batch in obstore.list(files._store):
        for meta in batch:
            held += bytes(obstore.get(files._store, meta["path"]).bytes())
    assert held
    assert b"Zhang" not in held
    assert b"Zhang" not in bulk.world.database.read_bytes()


async def test_damaged_content_is_named_and_the_rest_goes_out(bulk: Any, keep: Any) -> None:
    await keep(bulk.world, patient(1), patient(2))
    from sqlalchemy import update

    from services.gateway.store.resource_tables import RESOURCES

    async with bulk.world.gateway.store.database.begin() as connection:
        spoilt = update(RESOURCES).where(RESOURCES.c.id == "p-1").values(sealed=b"x" * 60)
        await connection.execute(spoilt)
    manifest = await bulk.manifest()
    assert [entry["count"] for entry in manifest["output"]] == [1]
    [line] = (await bulk.lines(manifest, "error"))["OperationOutcome"]
    assert "Patient/p-1" in orjson.loads(line)["issue"][0]["diagnostics"]


@pytest.mark.requirement("DX-BLK-05")
async def test_a_process_believed_dead_cannot_write_over_another(bulk: Any, keep: Any) -> None:
    """It comes back after its lease has gone, in the midst of a file, and finds the job done."""
    await keep(bulk.world, patient(), observation(1))
    begun = await bulk.start()
    gateway = bulk.world.gateway

    class Sleeps(ExportWorker):
        async def put(self, *arguments: Any) -> Any:
            done = await super().put(*arguments)
            other = ExportWorker(gateway.store, gateway.exports.blobs, 60)
            while await other.once():  # the same holder: its lease does not stop it
                pass
            return done

    assert await Sleeps(gateway.store, gateway.exports.blobs, 60).once()
    manifest = (await bulk.get(begun.headers["content-location"])).json()
    assert sum(entry["count"] for entry in manifest["output"]) == 2
    assert len(await bulk.lines(manifest)) == 2
