"""Answers one request of `dxmesh labs` about a file: JSON on stdin, JSON on stdout."""

from __future__ import annotations

import sys

from services.ingest import desk
from services.kernel.desk import serve

if __name__ == "__main__":
    sys.exit(serve(desk.answer))
