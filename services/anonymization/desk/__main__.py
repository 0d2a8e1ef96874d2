"""Answers one request of `dxmesh notes read` about a document: JSON on stdin, JSON on stdout."""

from __future__ import annotations

import json
import sys

from services.anonymization import desk
from services.kernel.errors import MeshError


def main() -> int:
    """Answer; on a refusal write it in place of the answer and return 1."""
    try:
        answer = desk.answer(json.load(sys.stdin))
    except MeshError as error:
        answer = {"error": error.message, "reason": error.reason}
    json.dump(answer, sys.stdout)
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main())
