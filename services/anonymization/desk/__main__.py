"""Answers one request of `dxmesh notes read` about a document: JSON on stdin, JSON on stdout."""

from __future__ import annotations

import sys

from services.anonymization import desk
from services.kernel.desk import serve

if __name__ == "__main__":
    sys.exit(serve(desk.answer))
