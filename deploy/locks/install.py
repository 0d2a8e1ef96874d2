"""Install a hashed lock into the environment of the Python that runs this.

    python deploy/locks/install.py -r deploy/locks/all.txt

uv installs in a tenth of pip's time, so it is tried first, itself from a hashed lock. Where it
cannot be had or cannot reach the index (it reads fewer settings than pip), pip does the work.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PIP = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
SETTINGS = {"PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_CERT": "SSL_CERT_FILE"}
"""What a machine says to pip, said to uv."""


def main(wanted: list[str]) -> int:
    """Install what `wanted` names, hashes required; return the exit code."""
    wanted = ["--require-hashes", *wanted]
    if _run([*PIP, "--require-hashes", "-r", str(HERE / "uv.txt")], os.environ) == 0:
        said = {uv: os.environ[pip] for pip, uv in SETTINGS.items() if pip in os.environ}
        uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--compile-bytecode"]
        uv += ["--python", sys.executable]
        if _run([*uv, *wanted], {**said, "UV_LINK_MODE": "copy", **os.environ}) == 0:
            return 0
        sys.stderr.write("uv could not install the lock; pip does it\n")
    return _run([*PIP, *wanted], os.environ)


def _run(command: list[str], environment: dict[str, str] | os._Environ[str]) -> int:
    return subprocess.run(command, env=dict(environment), check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
