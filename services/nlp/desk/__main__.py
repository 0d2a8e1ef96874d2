"""Answers one request of `dxmesh notes read`: JSON on stdin, JSON on stdout. Starts no service."""

from __future__ import annotations

import sys

from services.kernel.desk import serve
from services.nlp import desk

if __name__ == "__main__":
    sys.exit(serve(desk.answer))
