"""A service's own desk, asked here: one process, one request on stdin, one answer on stdout.

Services never import each other, so the command line runs what reads or computes as a process
of its own. Nothing leaves this machine and nothing is stored.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from services.cli.answers import REFUSED, CliError
from services.cli.mesh import ROOT

TIMEOUT_S = 120.0


def ask(
    module: str, request: Mapping[str, Any], *, extra: str, code: int = REFUSED
) -> dict[str, Any]:
    """Return what a module answers.

    Parameters
    ----------
    module : its `__main__` reads JSON from stdin and writes JSON to stdout
    extra : of the package, that has what the module needs
    code : of the exit, when the module refuses the request

    Raises
    ------
    CliError
        It refuses, takes too long, or cannot run here. What it wrote to stderr is not shown: it
        may hold words of the request.
    """
    paths = (str(ROOT), str(ROOT / "protos" / "gen"), os.environ.get("PYTHONPATH", ""))
    try:
        done = subprocess.run(
            (sys.executable, "-m", module),
            input=json.dumps(request),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=TIMEOUT_S,
            check=False,
        )
        answer: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        message = f"no answer within {TIMEOUT_S:.0f} s; give a smaller part of it"
        raise CliError(message, REFUSED) from None
    except ValueError:
        raise CliError(f"this cannot run here; install dxmesh[{extra}]", REFUSED) from None
    if "error" in answer:
        raise CliError(answer["error"], code, details=answer.get("details", []))
    return answer
