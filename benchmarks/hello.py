"""A Starlette application that says hello, on granian as the gateway sets it up.

Run: `python -m benchmarks.hello PORT`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from services.gateway import server
from services.gateway.settings import Settings


async def hello(request: Request) -> PlainTextResponse:
    """Say it."""
    return PlainTextResponse("hello")


async def serve(port: int) -> None:
    """Serve until killed."""
    settings = Settings(nats_url="", accounts_file=Path("unused"), http_listen=f"127.0.0.1:{port}")
    await server.run(server.make(Starlette(routes=[Route("/", hello)]), settings))


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
