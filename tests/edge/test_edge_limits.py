"""Clients that are silent, slow or many: the server goes on answering the others."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.gateway.server import Limits

PROBE = b"GET /healthz HTTP/1.1\r\nHost: edge\r\n\r\n"
CROWD = 10_000
SHORT = Limits(head_s=1.5, pause_s=1.0, unread_s=2.0, body_rate=1000, requests=40)


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory, serve: Any) -> Iterator[Any]:
    """A gateway with limits short enough to wait for."""
    with serve(tmp_path_factory.mktemp("hurried"), SHORT) as opened:
        yield opened


def closed_after(connection: socket.socket, limit_s: float) -> float:
    """Return the seconds until the server closed the connection."""
    began = time.monotonic()
    connection.settimeout(limit_s)
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass
    return time.monotonic() - began


@pytest.mark.requirement("DX-ATK-01")
def test_ten_thousand_silent_connections_keep_nobody_waiting(edge: Any) -> None:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    crowd = min(CROWD, (files - 1000) // 2)  # both ends are in this process
    opened: list[socket.socket] = []
    try:
        began = time.monotonic()
        opened.extend(edge.connect() for _ in range(crowd))
        assert time.monotonic() - began < 14, "the first would be closed before the last came"
        waits = []
        for _ in range(20):
            sent = time.monotonic()
            assert httpx.get(f"{edge.url}/healthz", timeout=5).status_code == 200
            waits.append(time.monotonic() - sent)
        assert sorted(waits)[10] < 0.25
    finally:
        for connection in opened:
            connection.close()


@pytest.mark.requirement("DX-ATK-01")
def test_a_silent_connection_is_closed(hurried: Any) -> None:
    with hurried.connect() as connection:
        assert closed_after(connection, 6) < 4


@pytest.mark.requirement("DX-ATK-01")
def test_an_answered_connection_that_stays_silent_is_closed(hurried: Any) -> None:
    with hurried.connect() as connection:
        connection.sendall(PROBE)
        assert b"200 OK" in connection.recv(4096)
        assert closed_after(connection, 6) < 4


@pytest.mark.requirement("DX-ATK-02")
def test_a_head_that_comes_byte_by_byte_is_given_up(hurried: Any) -> None:
    with hurried.connect() as connection:
        began = time.monotonic()
        try:
            for byte in PROBE[:-2] + b"X-A: 1\r\n" * 20:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
        except OSError:
            pass
        assert time.monotonic() - began < 5
        assert b"200 OK" not in connection.recv(4096)


def post(edge: Any, size: int, first: bytes) -> socket.socket:
    """Return a connection on which a Bundle of `size` bytes has begun."""
    head = (
        f"POST /fhir HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer {edge.setting.TOKENS['ehr']}"
        f"\r\nContent-Type: application/fhir+json\r\nContent-Length: {size}\r\n\r\n"
    )
    connection: socket.socket = edge.connect()
    connection.sendall(head.encode() + first)
    return connection


@pytest.mark.requirement("DX-ATK-02")
def test_a_body_that_stops_is_answered_408(hurried: Any) -> None:
    with post(hurried, 1000, b'{"resourceType"') as connection:
        began = time.monotonic()
        answer = connection.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"connection: close" in answer.lower()
        assert time.monotonic() - began < 4


@pytest.mark.requirement("DX-ATK-02")
def test_a_body_that_trickles_is_answered_408(hurried: Any) -> None:
    """Each pause is short enough; the whole would take for ever."""
    with post(hurried, 100_000, b"{") as connection:
        connection.settimeout(0.3)
        answer, began = b"", time.monotonic()
        while not answer and time.monotonic() - began < 10:
            connection.sendall(b" ")
            try:
                answer = connection.recv(4096)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408")


@pytest.mark.requirement("DX-ATK-02")
def test_a_body_that_comes_steadily_is_not_hurried(hurried: Any) -> None:
    """Longer than any pause allowed, and fast enough."""
    with post(hurried, 18_000, b"{") as connection:
        for _ in range(6):
            time.sleep(0.4)
            connection.sendall(b" " * 3000)
        connection.settimeout(5)
        assert not connection.recv(4096).startswith(b"HTTP/1.1 408")


@pytest.mark.requirement("DX-ATK-02")
def test_who_does_not_read_is_disconnected(hurried: Any) -> None:
    """Asked for more than the buffers of both sides hold, reading nothing of it."""
    request = (
        "GET /fhir/metadata HTTP/1.1\r\nHost: edge\r\n"
        f"Authorization: Bearer {hurried.setting.TOKENS['ehr']}\r\n\r\n"
    ).encode()
    with hurried.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.sendall(request * 2000)
        time.sleep(SHORT.unread_s + 3)
        with pytest.raises(ConnectionResetError):
            while connection.recv(1 << 16):
                pass
    assert httpx.get(f"{hurried.url}/healthz", timeout=5).status_code == 200


@pytest.mark.requirement("DX-ATK-02")
def test_slow_senders_beyond_the_limit_are_turned_away(
    hurried: Any,
) -> None:
    opened = [post(hurried, 1000, b"{") for _ in range(SHORT.requests + 5)]
    time.sleep(0.3)
    answer = httpx.get(f"{hurried.url}/healthz", timeout=5)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    time.sleep(SHORT.pause_s + 0.5)
    assert httpx.get(f"{hurried.url}/healthz", timeout=5).status_code == 200
    for connection in opened:
        connection.close()


@pytest.mark.requirement("DX-ATK-02")
def test_without_a_token_a_body_is_not_waited_for(edge: Any) -> None:
    head = b"POST /fhir HTTP/1.1\r\nHost: edge\r\nContent-Type: application/fhir+json\r\n"
    with edge.connect() as connection:
        connection.sendall(head + b"Content-Length: 40000000\r\n\r\n" + b"[" * 1000)
        began = time.monotonic()
        assert connection.recv(4096).startswith(b"HTTP/1.1 401")
        assert time.monotonic() - began < 2


@pytest.mark.requirement("DX-ATK-02")
def test_a_gateway_that_stops_does_not_wait_for_the_slow(tmp_path: Path, serve: Any) -> None:
    with serve(tmp_path, SHORT) as opened:
        silent = [opened.connect() for _ in range(10)]
        sending = post(opened, 1000, b"{")
        began = time.monotonic()
    assert time.monotonic() - began < 8
    assert not opened.thread.is_alive()
    for connection in (*silent, sending):
        connection.close()
