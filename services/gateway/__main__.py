"""Runs the gateway: HTTP, gRPC and the bus in one process."""

from __future__ import annotations

from services.gateway.settings import Settings
from services.gateway.wiring import build
from services.kernel import process

if __name__ == "__main__":
    process.run("gateway", Settings, build)
