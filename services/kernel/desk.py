"""What a service answers outside a mesh: one JSON request on stdin, one JSON answer on stdout.

The command line runs a service's `desk` as a process of its own, since services never import
each other. No server starts, nothing is stored or logged.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from services.kernel.errors import InvalidInput, MeshError


def serve(answer: Callable[[Any], dict[str, Any]]) -> int:
    """Answer; a refusal stands in place of the answer, and the exit code is then 1."""
    try:
        made = answer(json.load(sys.stdin))
    except MeshError as error:
        violations = error.violations if isinstance(error, InvalidInput) else []
        details = [f"{each.path}: {each.problem}" for each in violations]
        made = {"error": error.message, "reason": error.reason, "details": details}
    json.dump(made, sys.stdout)
    return 1 if "error" in made else 0
