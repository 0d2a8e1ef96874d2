"""`dxmesh dead …`: messages that were given up."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from services.cli.answers import DONE, REFUSED, out, put_json
from services.cli.client import Client

COLUMNS = ("sequence", "service", "reason", "error", "case_id", "time")


def list_dead(client: Client, *, as_json: bool) -> int:
    """Print dead letters; `REFUSED` when there are any, so that a script notices."""
    answer = client.get("/ops/dead")
    if as_json:
        put_json(answer)
    elif not answer["dead"]:
        out.print("no dead letters")
    else:
        shown = Table(box=None, pad_edge=False)
        for column in COLUMNS:
            shown.add_column(column.replace("_", " "))
        for letter in answer["dead"]:
            shown.add_row(*(Text(str(letter[column])) for column in COLUMNS))
        out.print(shown)
    return REFUSED if answer["dead"] else DONE


def show(client: Client, number: int, *, as_json: bool) -> int:
    """Print one dead letter with its event."""
    letter = client.get(f"/ops/dead/{number}")
    if as_json:
        put_json(letter)
        return DONE
    for key, value in letter.items():
        if key != "event":
            out.print(Text(f"{key:<10} {value}"))
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
