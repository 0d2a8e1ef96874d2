"""The `dxmesh` command."""

from __future__ import annotations

from services.cli.answers import CliError, fail
from services.cli.app import app


def main() -> None:
    """Run the command line; exit codes are those of `services.cli.answers`."""
    try:
        app()
    except CliError as error:
        fail(error)


if __name__ == "__main__":
    main()
