"""A gateway with a CT, its client, and a way to ask as any account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from services.gateway.access.principal import Principal, Role
from services.gateway.access.rights import Rights
from tests.gateway.dicomweb.images import SERIES, STUDY, hold, made

BASE = "/dicom-web"
OF_STUDY = f"{BASE}/studies/{STUDY}"
OF_SERIES = f"{OF_STUDY}/series/{SERIES}"


@pytest.fixture
async def held(world: Any, setting: Any) -> Any:
    """The gateway with a committed case of one CT of three slices."""
    await hold(world, setting, [[made(3), made(1), made(2)]])
    return world


@pytest.fixture
def as_app(held: Any) -> Callable[[str, Rights], dict[str, str]]:
    """Return the headers of a SMART app with rights of its own."""
    import hashlib

    def make(name: str, rights: Rights, role: Role = Role.PHYSICIAN) -> dict[str, str]:
        token = f"token-of-app-{name}"
        digest = hashlib.sha256(token.encode()).hexdigest()
        held.gateway.accounts.by_token[digest] = Principal(
            "north", name, role, scopes=rights, client_id=name
        )
        return {"Authorization": f"Bearer {token}"}

    return make


def parts(answer: httpx.Response) -> list[tuple[dict[str, str], bytes]]:
    """Return headers and content of each part of a multipart answer."""
    kind = answer.headers["content-type"]
    boundary = kind.split("boundary=")[1].encode()
    found = []
    for piece in answer.content.split(b"--" + boundary)[1:-1]:
        head, _, body = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        lines = (line.split(b": ", 1) for line in head.split(b"\r\n"))
        headers = {name.decode().lower(): value.decode() for name, value in lines}
        found.append((headers, body.removesuffix(b"\r\n")))
    return found
