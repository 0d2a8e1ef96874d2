"""`dxmesh dead …`: messages that were given up."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from services.cli.answers import DONE, REFUSED, out, put_json, put_line, put_rows
from services.cli.client import Client

COLUMNS = ("number", "service", "reason", "case id", "given up, UTC")


def list_dead(client: Client, *, as_json: bool) -> int:
    """Print dead letters; `REFUSED` when there are any, so that a script notices."""
    answer = client.get("/ops/dead")
    if as_json:
        put_json(answer)
    elif not answer["dead"]:
        out.print("no dead letters")
    else:
        put_rows(COLUMNS, [_row(letter) for letter in answer["dead"]])
    return REFUSED if answer["dead"] else DONE


def _row(letter: dict[str, Any]) -> list[str]:
    """Return a letter as a line; what its error says is in `dead show`."""
    names = ("sequence", "service", "reason", "case_id", "time")
    number, service, reason, case_id, when = (str(letter[name]) for name in names)
    return [number, service, reason, case_id, when[:16]]


def show(client: Client, number: int, *, as_json: bool) -> int:
    """Print one dead letter with its event."""
    letter = client.get(f"/ops/dead/{number}")
    if as_json:
        put_json(letter)
        return DONE
    for key, value in letter.items():
        if key != "event":
            put_line(Text(f"{key:<10} {value}"))
    out.print_json(data=letter["event"])
    return DONE


def retry(client: Client, number: int, *, as_json: bool) -> int:
    """Put one back on its subject."""
    letter = client.post(f"/ops/dead/{number}/retry")
    if as_json:
        put_json(letter)
    else:
        out.print(f"dead letter {number} is back on {letter['subject']}")
    return DONE
