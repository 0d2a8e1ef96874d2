"""The NATS of `deploy/k8s`: three real servers on its configuration, with TLS and nkeys."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dxmesh.event.v1.case_received_pb2 import CaseReceived
from dxmesh.event.v1.case_ref_pb2 import CaseRef
from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.cli.certificates import write_certificates
from services.cli.cluster import rewrite_auth, write_cluster_secrets
from services.kernel import subjects
from services.kernel.bus import Bus
from tests.chart.cluster import ROOT, NatsCluster
from tests.servers.nats import binary_is_missing

pytestmark = [
    pytest.mark.flow,
    pytest.mark.skipif(binary_is_missing(), reason="this environment has no nats-server"),
]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NatsCluster]:
    """A running cluster whose authority this process trusts, as the chart's pods do."""
    made = NatsCluster(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.ca))
    made.start(0, 1, 2)
    yield made
    made.stop()


async def connect(cluster: NatsCluster, service: str, secrets: Path | None = None) -> Bus:
    return await asyncio.wait_for(
        Bus.connect(service, cluster.settings(service, secrets)), timeout=30
    )


async def signs_in(cluster: NatsCluster, **options: Any) -> bool:
    """Tell whether a bare client is let in."""
    client = Client()
    quiet: dict[str, Any] = {"allow_reconnect": False, "connect_timeout": 5, "error_cb": ignore}
    quiet["servers"] = [f"tls://localhost:{cluster.clients[0]}"]
    try:
        await client.connect(**quiet | options)
    except (NatsError, OSError):
        return False
    await client.close()
    return True


def seed(secrets: Path) -> str:
    return (secrets / "labs.seed").read_text()


async def say_in_plain_text(cluster: NatsCluster, words: bytes) -> bytes:
    """Return what a server answers to a client that does not begin TLS."""
    reader, writer = await asyncio.open_connection("127.0.0.1", cluster.clients[0])
    writer.write(words)
    try:
        return await asyncio.wait_for(reader.read(), timeout=10)
    finally:
        writer.close()


async def ignore(error: Exception) -> None:
    """The refusal itself is what these tests look at."""


def received(number: int) -> CaseReceived:
    return CaseReceived(case=CaseRef(tenant="north", case_id=f"case-{number}"))


@pytest.mark.requirement("DX-OPS-09")
async def test_events_are_on_three_servers_and_survive_the_loss_of_one(
    cluster: NatsCluster,
) -> None:
    ingest, gateway = await connect(cluster, "ingest"), await connect(cluster, "gateway")
    seen: list[str] = []
    both = asyncio.Event()

    async def handle(event: CaseReceived) -> None:
        seen.append(event.case.case_id)
        if len(seen) == 2:
            both.set()

    await ingest.publish(subjects.CASE_RECEIVED, received(0), message_id="case-0")
    info = await ingest.nats.jetstream().stream_info(subjects.IDENTITY_STREAM)
    assert info.cluster
    copies = [info.cluster.leader, *(replica.name for replica in info.cluster.replicas or [])]
    assert sorted(str(name) for name in copies) == ["nats-0", "nats-1", "nats-2"]

    leader = int(str(info.cluster.leader)[-1])
    cluster.kill(leader)
    await ingest.publish(subjects.CASE_RECEIVED, received(1), message_id="case-1")
    await gateway.consume(subjects.CASE_RECEIVED, handle)
    await asyncio.wait_for(both.wait(), timeout=60)

    assert sorted(seen) == ["case-0", "case-1"]
    await asyncio.gather(ingest.drain(), gateway.drain())


@pytest.mark.requirement("DX-OPS-09")
async def test_nobody_enters_without_tls_and_a_known_key(
    cluster: NatsCluster, tmp_path: Path
) -> None:
    write_cluster_secrets(tmp_path / "other")

    assert await signs_in(cluster, nkeys_seed_str=seed(cluster.secrets))
    assert not await signs_in(cluster)
    assert not await signs_in(cluster, nkeys_seed_str=seed(tmp_path / "other"))
    assert b"PONG" not in await say_in_plain_text(cluster, b"CONNECT {}\r\nPING\r\n")


@pytest.mark.requirement("DX-OPS-09")
async def test_a_server_of_another_authority_does_not_join(cluster: NatsCluster) -> None:
    cluster.kill(2)
    write_certificates(cluster.folder / "foreign", ["nats"])
    shutil.copytree(
        cluster.folder / "foreign" / "nats", cluster.folder / "tls" / "nats", dirs_exist_ok=True
    )

    with pytest.raises(AssertionError, match="TLS"):
        cluster.start(2, wait_s=5)

    assert cluster.routes_of(0) == {"nats-1"}


@pytest.mark.requirement("DX-OPS-10")
async def test_keys_are_changed_without_a_moment_when_none_fits(
    cluster: NatsCluster, tmp_path: Path
) -> None:
    old, new = cluster.secrets, tmp_path / "new"
    write_cluster_secrets(new, keep=old)

    cluster.install(new)
    for number in range(3):
        cluster.kill(number)
        cluster.start(number)
    assert await signs_in(cluster, nkeys_seed_str=seed(old))
    assert await signs_in(cluster, nkeys_seed_str=seed(new))

    rewrite_auth(new)
    cluster.install(new)
    cluster.kill(0)
    cluster.start(0)
    assert not await signs_in(cluster, nkeys_seed_str=seed(old))
    assert await signs_in(cluster, nkeys_seed_str=seed(new))


@pytest.mark.requirement("DX-OPS-09")
def test_the_probes_of_the_pods_are_answered(cluster: NatsCluster) -> None:
    pod = yaml.safe_load((ROOT / "deploy" / "k8s" / "nats" / "statefulset.yaml").read_text())
    (container,) = pod["spec"]["template"]["spec"]["containers"]
    paths = [
        container[f"{kind}Probe"]["httpGet"]["path"]
        for kind in ("startup", "readiness", "liveness")
    ]

    assert all(cluster.healthy(0, path) for path in paths), paths
