"""The variables the chart sets for libraries are those the libraries read."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest

from services.cli.certificates import write_certificates
from services.kernel import blobs
from services.kernel.database import open_engine
from services.kernel.errors import Unavailable
from services.kernel.settings import MeshSettings
from tests.chart.outside import DatabaseDoor, object_storage
from tests.chart.render import case, workloads


def variables(service: str) -> dict[str, str]:
    """Return what the chart's defaults set for the libraries of a service."""
    (container,) = workloads(case("default"))[f"dxmesh-{service}"]["spec"]["containers"]
    own = ("AWS_", "SSL_", "PG")
    return {
        entry["name"]: entry.get("value", "from-a-secret")
        for entry in container["env"]
        if entry["name"].startswith(own)
    }


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A folder `here` with a certificate, and one `foreign` of another authority."""
    write_certificates(tmp_path / "tls", ["here"])
    write_certificates(tmp_path / "other", ["foreign"])
    (tmp_path / "other" / "foreign").rename(tmp_path / "tls" / "foreign")
    return tmp_path / "tls"


def analysis_settings(folder: Path) -> MeshSettings:
    key = folder / "master.key"
    key.write_text(base64.b64encode(bytes(32)).decode())
    return MeshSettings(
        nats_url="unused",
        blobs_analysis_url="s3://bucket/prefix",
        master_key_analysis_file=key,
    )


def set_up(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], **here: str) -> None:
    """Set a pod's variables; `here` says where things are on this machine."""
    assert set(here) <= set(given), "the chart does not set this variable"
    for name, value in (given | here).items():
        monkeypatch.setenv(name, value)


@pytest.mark.requirement("DX-OPS-13")
async def test_blobs_reach_object_storage_of_the_hospital_s_own_authority(
    authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with object_storage(authority / "here") as (address, objects, asked):
        ca = str(authority / "here" / "ca.crt")
        set_up(monkeypatch, variables("labs"), AWS_ENDPOINT_URL=address, SSL_CERT_FILE=ca)
        store = blobs.open_analysis(analysis_settings(tmp_path))

        ref = await store.put("north", "case-1", "part", b"potassium 6.0")
        assert await store.get("north", ref) == b"potassium 6.0"

    assert {path.split("/")[1] for path in objects} == {"bucket"}
    assert not any(b"potassium" in content for content in objects.values())
    assert all("Credential=from-a-secret/" in header for header in asked)
    assert all(f"/{variables('labs')['AWS_REGION']}/s3/" in header for header in asked)


@pytest.mark.requirement("DX-OPS-13")
async def test_object_storage_of_an_unknown_authority_is_not_spoken_to(
    authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with object_storage(authority / "here") as (address, objects, _):
        ca = str(authority / "foreign" / "ca.crt")
        set_up(monkeypatch, variables("labs"), AWS_ENDPOINT_URL=address, SSL_CERT_FILE=ca)
        store = blobs.open_analysis(analysis_settings(tmp_path))
        putting = store.put("north", "case-1", "part", b"potassium 6.0")

        with pytest.raises(Unavailable):
            await asyncio.wait_for(putting, timeout=200)

    assert objects == {}


async def knock(door: DatabaseDoor) -> None:
    """Connect as a service does; the door never lets anybody in."""
    engine = open_engine(f"postgresql+asyncpg://gateway:secret@localhost:{door.port}/gateway")
    with pytest.raises(Exception, match=r"."):
        await asyncio.wait_for(engine.connect().start(), timeout=20)
    await engine.dispose()


@pytest.mark.requirement("DX-OPS-13")
@pytest.mark.parametrize(("trusted", "encrypted"), [("here", True), ("foreign", False)])
async def test_a_database_is_spoken_to_in_tls_that_was_verified(
    trusted: str, encrypted: bool, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = str(authority / trusted / "ca.crt")
    set_up(monkeypatch, variables("gateway"), PGSSLROOTCERT=ca)

    async with DatabaseDoor(authority / "here").open() as door:
        await knock(door)

    assert door.encrypted == encrypted
    assert door.in_plain_text == b""


@pytest.mark.requirement("DX-OPS-13")
async def test_a_database_without_tls_hears_nothing(
    authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = str(authority / "here" / "ca.crt")
    set_up(monkeypatch, variables("gateway"), PGSSLROOTCERT=ca)

    async with DatabaseDoor(None).open() as door:
        await knock(door)

    assert door.in_plain_text == b""
