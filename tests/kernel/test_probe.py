"""The exec probe against the kernel's own gRPC server, as Kubernetes runs it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.cli.certificates import write_certificates
from services.kernel.rpc import Server
from services.kernel.settings import MeshSettings

Running = tuple[Server, dict[str, str]]


class Authority:
    """Issues certificates for labs as a cluster's authority does: no loopback in them."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cluster authority")])
        is_authority = x509.BasicConstraints(ca=True, path_length=0)
        unsigned = self._builder(self._name, self._key, timedelta(hours=1))
        self._certificate = unsigned.add_extension(is_authority, True).sign(
            self._key, hashes.SHA256()
        )

    def issue(self, folder: Path, valid: timedelta = timedelta(hours=1)) -> Path:
        """Write ca.crt, tls.crt and tls.key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "labs")])
        names = x509.SubjectAlternativeName([x509.DNSName("dxmesh-labs")])
        unsigned = self._builder(name, key, valid).add_extension(names, False)
        pem = serialization.Encoding.PEM
        folder.mkdir(exist_ok=True)
        (folder / "ca.crt").write_bytes(self._certificate.public_bytes(pem))
        certificate = unsigned.sign(self._key, hashes.SHA256())
        (folder / "tls.crt").write_bytes(certificate.public_bytes(pem))
        pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (folder / "tls.key").write_bytes(key.private_bytes(pem, pkcs8, plain))
        return folder

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, valid: timedelta
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.now(UTC) - timedelta(minutes=1))
            .not_valid_after(datetime.now(UTC) + valid)
        )


@asynccontextmanager
async def serving(listen_host: str, tls: Path | None) -> AsyncIterator[Running]:
    """Run a server; yield it with the environment its pod would have."""
    settings = MeshSettings(nats_url="unused", grpc_listen=f"{listen_host}:0", tls_dir=tls)
    server = Server("labs", settings)
    await server.start()
    env = {"DX_NATS_URL": "unused", "DX_GRPC_LISTEN": f"{listen_host}:{server.port}"}
    try:
        yield server, env | ({"DX_TLS_DIR": str(tls)} if tls else {})
    finally:
        await server.stop(0)


async def probe(env: dict[str, str]) -> tuple[int, str]:
    """Run the command Kubernetes runs; return its exit code and what it said."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DX_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.kernel.probe", "labs",
        env=kept | env, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await process.communicate()
    return process.returncode or 0, said.decode()


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    write_certificates(tmp_path / "tls", ["labs", "stranger"])
    async with serving("0.0.0.0", tmp_path / "tls" / "labs") as server_and_env:
        yield server_and_env


@pytest.mark.requirement("DX-OPS-05")
async def test_a_serving_pod_passes_over_mutual_tls(running: Running) -> None:
    assert await probe(running[1]) == (0, "")


@pytest.mark.requirement("DX-OPS-05")
async def test_a_draining_pod_fails_before_it_closes(running: Running) -> None:
    server, env = running
    await server._health.enter_graceful_shutdown()

    code, said = await probe(env)

    assert code == 1
    assert "drains" in said


@pytest.mark.requirement("DX-OPS-05")
async def test_a_stopped_server_fails(running: Running) -> None:
    server, env = running
    await server.stop(0)

    code, said = await probe(env)

    assert code == 1
    assert "UNAVAILABLE" in said


@pytest.mark.requirement("DX-OPS-05")
async def test_a_certificate_of_another_authority_fails(running: Running, tmp_path: Path) -> None:
    write_certificates(tmp_path / "other", ["labs"])

    code, _ = await probe(running[1] | {"DX_TLS_DIR": str(tmp_path / "other" / "labs")})

    assert code == 1


@pytest.mark.requirement("DX-OPS-05")
async def test_the_certificate_need_not_name_loopback(tmp_path: Path) -> None:
    tls = Authority().issue(tmp_path / "tls")

    async with serving("0.0.0.0", tls) as (_, env):
        assert await probe(env) == (0, "")


@pytest.mark.requirement("DX-OPS-10")
async def test_a_pod_that_kept_a_certificate_too_long_is_found_out(tmp_path: Path) -> None:
    """The renewed one lies in the folder; the server still shows the one it started with."""
    authority, lives = Authority(), timedelta(seconds=6)
    tls = authority.issue(tmp_path / "tls", valid=lives)

    async with serving("0.0.0.0", tls) as (_, env):
        authority.issue(tls)
        assert await probe(env) == (0, "")
        await asyncio.sleep(lives.total_seconds())
        code, _ = await probe(env)

    assert code == 1


@pytest.mark.requirement("DX-OPS-05")
async def test_plain_text_of_a_test_mesh_is_probed_too() -> None:
    async with serving("127.0.0.1", None) as (_, env):
        assert await probe(env) == (0, "")


@pytest.mark.requirement("DX-OPS-05")
async def test_missing_settings_are_named(running: Running) -> None:
    code, said = await probe({"DX_GRPC_LISTEN": running[1]["DX_GRPC_LISTEN"]})

    assert code == 1
    assert "DX_NATS_URL" in said
