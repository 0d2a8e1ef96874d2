"""`dxmesh scores …`: the catalogue of scores, and scores computed here, without a mesh.

Services never import each other: the scores of the labs service answer as a process of their
own, one request on stdin and one answer on stdout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from services.cli import aside
from services.cli.answers import DONE, REFUSED, USAGE, CliError, put_json, put_line, put_rows
from services.kernel import fhir
from services.kernel.errors import MeshError
from services.kernel.ucum import readable

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Language = Annotated[str, typer.Option(help="Language of names and meanings: en or zh.")]

DESK = "services.labs.scores"
AGAIN = "name scores and values, for example: fib-4 age=62 'ast=71 U/L' alt=62 plt=132"

app = typer.Typer(no_args_is_help=True, help="Clinical scores: what they need, and computed here.")


@app.command("list")
def list_scores(language: Language = "en", as_json: Json = False) -> None:
    """List every score with its inputs."""
    answer = aside.ask(DESK, {"do": "list"}, extra="labs", code=USAGE)
    if as_json:
        put_json(answer)
        return
    name = _language(language)
    put_rows(
        ("score", "topic", "name", "inputs"),
        [[s["score"], s["topic"], s[name], " ".join(s["inputs"])] for s in answer["scores"]],
    )


@app.command()
def show(
    score: Annotated[str, typer.Argument(help="Score id, as `scores list` shows it.")],
    language: Language = "en",
    as_json: Json = False,
) -> None:
    """Show what a score needs, what its values mean, and where it comes from."""
    answer = aside.ask(DESK, {"do": "show", "score": score}, extra="labs", code=USAGE)
    if as_json:
        put_json(answer)
        return
    name = _language(language)
    put_line(Text(f"{answer['score']}: {answer[name]}", "bold"))
    put_line(Text(f"  {answer['formula']}"))
    put_rows(("  input", "kind", "unit", "limits", "fresh, h", "name"), _needs(answer, name))
    for band in answer["bands"]:
        put_line(Text(f"  {band['from'] or 'else':>8}  {band[name]}"))
    if note := answer[f"note_{name}"]:
        put_line(Text(f"  {note}"))
    put_line(Text(f"  {answer['source']}\n  {answer['link']}"))


@app.command()
def compute(
    items: Annotated[
        list[str] | None,
        typer.Argument(help="Score ids, and values as NAME=VALUE, 'NAME=VALUE UNIT', …@TIME."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="FHIR JSON: Observations, a Bundle, a labs part.")
    ] = None,
    language: Language = "en",
    as_json: Json = False,
) -> None:
    """Compute scores from a file, from stated values, or both; without ids those that fit.

    Exits 1 when none could be computed; every score says what it lacks.
    """
    request = {"do": "compute", **_asked(items or ()), "panel": _panel(file) if file else ""}
    if not request["scores"] and not request["values"] and not file:
        raise CliError("there is nothing to compute", USAGE, details=[AGAIN])
    answer = aside.ask(DESK, request, extra="labs", code=USAGE)
    if as_json:
        put_json(answer)
    else:
        for found in answer["scores"]:
            _show(found, _language(language))
    done = any(found["value"] for found in answer["scores"])
    raise typer.Exit(DONE if done else REFUSED)


def _asked(items: Sequence[str]) -> dict[str, Any]:
    """Return score ids and values from the words of the command line."""
    values = []
    for item in (each for each in items if "=" in each):
        name, _, rest = item.partition("=")
        stated, _, time = rest.partition("@")
        value, _, unit = stated.strip().partition(" ")
        values.append({"input": name.strip(), "value": value, "unit": unit.strip(), "time": time})
    return {"scores": [each for each in items if "=" not in each], "values": values}


def _panel(path: Path) -> str:
    """Return a labs part document of the Observations in a file."""
    try:
        found = fhir.parse(path.read_bytes())
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}", USAGE) from error
    except MeshError as error:
        raise CliError(f"{path} is not JSON: {error.message}", USAGE) from error
    if isinstance(found, Mapping) and isinstance(found.get("observations"), list):
        return fhir.dump(found).decode()
    nodes = found if isinstance(found, list) else [found]
    if isinstance(found, Mapping) and found.get("resourceType") == "Bundle":
        entries = found.get("entry")
        nodes = [each.get("resource") for each in entries] if isinstance(entries, list) else []
    kept = [
        each
        for each in nodes
        if isinstance(each, Mapping) and each.get("resourceType") == "Observation"
    ]
    if not kept:
        raise CliError(f"{path} holds no Observation", USAGE)
    return fhir.dump({"observations": kept}).decode()


def _language(name: str) -> str:
    if name not in ("en", "zh"):
        raise CliError("the language is en or zh", USAGE)
    return name


def _needs(answer: Mapping[str, Any], name: str) -> list[list[str]]:
    rows = []
    for each in answer["needs"]:
        low, high = ("" if each[end] is None else f"{each[end]:g}" for end in ("low", "high"))
        limits = f"{low} to {high}" if low or high else ""
        title = f"{each[name]}{' (optional)' if each['optional'] else ''}"
        fresh = "" if each["kind"] == "person" else f"{each['fresh_h']:g}"
        rows.append([f"  {each['input']}", each["kind"], each["unit"], limits, fresh, title])
    return rows


def _show(found: Mapping[str, Any], name: str) -> None:
    unit = readable(found["unit"])
    title = f"{found['score']}: {found[name]}"
    if found["value"]:
        meaning = f"  {found[f'meaning_{name}']}" if found[f"meaning_{name}"] else ""
        put_line(Text(f"{title} = {found['value']} {unit}".rstrip() + meaning, "bold"))
    else:
        put_line(Text(f"{title} not computed", "bold"))
    for each in found["inputs"]:
        place = ", ".join(filter(None, (each["observation"], each["time"])))
        value = f"{each['value']} {readable(each['unit'])}".rstrip()
        put_line(Text(f"    {each[name]}: {value}" + (f" ({place})" if place else "")))
    for gap in found["lacks"]:
        facts = ", ".join(f"{k} {v}" for k, v in sorted(gap["facts"].items()) if k != "input")
        why = f"    {gap['input']}: {gap['message']}" + (f" [{facts}]" if facts else "")
        put_line(Text(why, "red"))
