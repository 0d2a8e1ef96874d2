"""A mesh on this machine: what stops a second one from getting in its way."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cli.answers import CliError
from services.cli.local import alone
from services.cli.mesh import Mesh, Options
from services.cli.state import open_state
from services.cli.supervisor import NotHealthy


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.requirement("DX-CLI-05")
def test_a_port_that_is_taken_is_not_shared(tmp_path: Path, taken: int) -> None:
    mesh = Mesh(open_state(tmp_path), Options(http_port=taken))
    with pytest.raises(NotHealthy, match="--port"):
        mesh.start(lambda _: None)
    assert mesh.supervisor.children == [], "nothing was started"


@pytest.mark.requirement("DX-CLI-05")
def test_a_state_folder_belongs_to_one_mesh(tmp_path: Path, taken: int) -> None:
    alone(tmp_path)
    (tmp_path / "gateway.url").write_text(f"http://127.0.0.1:{taken}")
    with pytest.raises(CliError, match="--state"):
        alone(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free = closed.getsockname()[1]
    (tmp_path / "gateway.url").write_text(f"http://127.0.0.1:{free}")
    alone(tmp_path)
