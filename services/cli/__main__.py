"""The `dxmesh` command."""

from __future__ import annotations

import os

from services.cli.answers import CliError, fail
from services.cli.app import app


def main() -> None:
    """Run the command line; exit codes are those of `services.cli.answers`."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its own log lines are for nobody here
    try:
        app()
    except CliError as error:
        fail(error)


if __name__ == "__main__":
    main()
