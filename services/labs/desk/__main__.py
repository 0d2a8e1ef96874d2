"""Answers one request of `dxmesh labs`: JSON on stdin, JSON on stdout. Starts no service."""

from __future__ import annotations

import json
import sys

from services.kernel.errors import InvalidInput, MeshError
from services.labs import desk


def main() -> int:
    """Answer; on a refusal write it in place of the answer and return 1."""
    try:
        answer = desk.answer(json.load(sys.stdin))
    except MeshError as error:
        violations = error.violations if isinstance(error, InvalidInput) else []
        details = [f"{each.path}: {each.problem}" for each in violations]
        answer = {"error": error.message, "reason": error.reason, "details": details}
    json.dump(answer, sys.stdout, ensure_ascii=False)
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main())
