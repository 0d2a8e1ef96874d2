"""`dxmesh notes read FILE`: what the rules read in a note, here, without a mesh.

Services never import each other: the notes service answers as a process of its own, one request
on stdin and one answer on stdout. The note does not leave this machine and is not stored.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from services.cli import aside
from services.cli.answers import USAGE, CliError, put_json, put_line, put_rows

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]

DESK, DOCUMENTS = "services.nlp.desk", "services.anonymization.desk"
FORMS = {
    ".rtf": "application/rtf",
    ".html": "text/html",
    ".htm": "text/html",
    ".xml": "text/xml",
}
"""Media types of documents that are not plain text, by the end of the name."""
RTF = b"{\\rtf"
"""How RTF begins, under whatever name."""
NOTE_BYTES_MAX = 4 << 20
BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
ENCODINGS = ("utf-8-sig", "gb18030")
FLAGS = ("other_person", "historical", "planned", "conditional", "resolved")

app = typer.Typer(no_args_is_help=True, help="Clinical notes, read here.")


@app.callback()
def notes() -> None:
    """Clinical notes, read here."""


@app.command()
def read(
    file: Annotated[
        Path, typer.Argument(help="A note: plain text, .rtf, .html, or a CDA document as .xml.")
    ],
    language: Annotated[
        str, typer.Option(help="Language of the summary: en or zh; that of the note by default.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Show sections, mentions with what is said of them, stated values, and the summary."""
    if language not in ("", "en", "zh"):
        raise CliError("the language is en or zh", USAGE)
    text = _text(file)
    answer = aside.ask(DESK, {"text": text, "language": language}, extra="nlp")
    if as_json:
        put_json(answer)
        return
    for section in answer["sections"]:
        heading = section["heading"] or "(no heading)"
        place = f"{section['start']}-{section['end']}"
        indent = "  " if section["within"] else ""
        put_line(Text(f"{indent}{section['section']}: {heading} [{place}] {section['language']}"))
    mentions = [*answer["mentions"], *answer["procedures"]]
    put_rows(("mention", "what", "said", "section", "place"), [_row(m) for m in mentions])
    if answer["measurements"]:
        values = [_value(each) for each in answer["measurements"]]
        put_rows(("stated value", "what", "LOINC", "said", "section", "place"), values)
    for sentence in answer["summary"]:
        put_line(Text(sentence["text"]))


def _row(mention: Mapping[str, Any]) -> list[str]:
    said = [mention["certainty"], *(f for f in FLAGS if mention[f])]
    said += [f"{each['kind']}: {' '.join(each['text'].split())}" for each in mention["details"]]
    place = f"{mention['start']}-{mention['end']}"
    written = " ".join((mention["text"] + " " + mention["dose"]).split())
    return [written, mention["kind"], ", ".join(said), mention["section"], place]


def _value(stated: Mapping[str, Any]) -> list[str]:
    said = [flag for flag in ("other_person", "historical") if stated[flag]]
    said += [stated["time"]] if stated["time"] else []
    place = f"{stated['start']}-{stated['end']}"
    written = " ".join(stated["text"].split())
    return [written, stated["en"], stated["loinc"], ", ".join(said), stated["section"], place]


def _text(path: Path) -> str:
    """Return the text of a file, a document's as the mesh takes it over.

    Raises
    ------
    CliError
        It is not there, too large, in none of the encodings, or no document of its form.
    """
    try:
        with path.open("rb") as source:
            content = source.read(NOTE_BYTES_MAX + 1)
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}", USAGE) from error
    if len(content) > NOTE_BYTES_MAX:
        raise CliError(f"{path} has more than {NOTE_BYTES_MAX} bytes; give a part of it", USAGE)
    form = FORMS.get(path.suffix.lower()) or (FORMS[".rtf"] if content.startswith(RTF) else "")
    if form:
        request = {"content": b64encode(content).decode(), "media_type": form}
        return str(aside.ask(DOCUMENTS, request, extra="anonymization", code=USAGE)["text"])
    marked = BYTE_ORDER_MARKS.get(content[:2])
    for encoding in (marked,) if marked else ENCODINGS:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise CliError(f"{path} is neither UTF-8 nor GB18030; save it as UTF-8", USAGE)
