"""Asks this pod's own gRPC server whether it serves: what Kubernetes runs as exec probe.

Its native gRPC probe speaks no TLS, and our servers ask for a client certificate.
`python -m services.kernel.probe labs` presents the service's own. Exits 0, or 1 with a reason.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.kernel.errors import MeshError, Unavailable
from services.kernel.settings import MeshSettings, load

TIMEOUT_S = 5.0


def check(service: str, env: Mapping[str, str]) -> None:
    """Return when the service answers SERVING on its own address.

    Raises
    ------
    BadSettings, Unavailable
    """
    settings = load(MeshSettings, service, env)
    host, _, port = settings.grpc_listen.rpartition(":")
    address = f"{'[::1]' if ':' in host else '127.0.0.1'}:{port}"
    with _channel(address, settings.tls_dir) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            raise Unavailable(f"{service} answers {error.code().name}") from error
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise Unavailable(f"{service} does not serve now: it drains")


def _channel(address: str, tls: Path | None) -> grpc.Channel:
    if tls is None:
        return grpc.insecure_channel(address)
    ca, certificate, key = ((tls / n).read_bytes() for n in ("ca.crt", "tls.crt", "tls.key"))
    extensions = x509.load_pem_x509_certificate(certificate).extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    own = names.get_values_for_type(x509.DNSName)[0]  # it need not name loopback
    credentials = grpc.ssl_channel_credentials(ca, key, certificate)
    return grpc.secure_channel(address, credentials, [("grpc.ssl_target_name_override", own)])


if __name__ == "__main__":
    try:
        check(sys.argv[1], os.environ)
    except (MeshError, OSError) as error:
        sys.exit(str(error))
