"""Answers one request of `dxmesh labs`: JSON on stdin, JSON on stdout. Starts no service."""

from __future__ import annotations

import sys

from services.kernel.desk import serve
from services.labs import desk

if __name__ == "__main__":
    sys.exit(serve(desk.answer))
