"""`dxmesh labs …`: results interpreted here, without a mesh, and what a tenant's table lacks.

Services never import each other: the labs service answers as a process of its own, one request
on stdin and one answer on stdout. Nothing leaves this machine and nothing is stored.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from services.cli import aside
from services.cli.answers import USAGE, CliError, err, put_json, put_line
from services.cli.results import HEADERS, HL7V2, MARK, SUFFIXES
from services.kernel.ucum import readable

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Tenant = Annotated[
    str, typer.Option(help="Tenant whose tables in DX_LABS_*_DIR are used; none by default.")
]
DESK, RECEIVING = "services.labs.desk", "services.ingest.desk"
FILE_BYTES_MAX = 32 << 20
TABLES = {
    "mappings": "DX_LABS_MAPPINGS_DIR",
    "ranges": "DX_LABS_RANGES_DIR",
    "limits": "DX_LABS_CRITICAL_LIMITS_DIR",
}
FLAGS = {
    "FLAG_NORMAL": ("N", ""),
    "FLAG_LOW": ("L", "yellow"),
    "FLAG_HIGH": ("H", "yellow"),
    "FLAG_CRITICAL_LOW": ("LL", "bold red"),
    "FLAG_CRITICAL_HIGH": ("HH", "bold red"),
    "FLAG_ABNORMAL": ("A", "yellow"),
}

app = typer.Typer(no_args_is_help=True, help="Laboratory results, interpreted here.")


@app.command()
def interpret(
    file: Annotated[Path, typer.Argument(help="FHIR JSON, HL7 v2 (.hl7) or CSV (.csv).")],
    tenant: Tenant = "",
    sex: Annotated[str, typer.Option(help="male or female; else as the Patient says.")] = "",
    age: Annotated[float | None, typer.Option(help="Years; else by the Patient.", min=0)] = None,
    pregnant_weeks: Annotated[
        float | None, typer.Option(help="Completed weeks of pregnancy.", min=0, max=45)
    ] = None,
    language: Annotated[str, typer.Option(help="Language of names: en or zh.")] = "en",
    as_json: Json = False,
) -> None:
    """Show each result with its flag, range and reason, the scores, and what the rules say."""
    name = _language(language)
    stated: dict[str, Any] = {"sex": sex} if sex else {}
    if age is not None:
        stated["age_years"] = int(age) if age == int(age) else age
    if pregnant_weeks is not None:
        stated |= {"pregnant": True, "gestation_weeks": int(pregnant_weeks)}
    request = {
        "do": "interpret",
        "documents": _documents(file),
        "subject": stated,
        "now": datetime.now(UTC).isoformat(),
        **_tables(tenant),
    }
    answer = aside.ask(DESK, request, extra="labs", code=USAGE)
    if as_json:
        put_json(answer)
        return
    for number, part in enumerate(answer.get("parts", [answer])):
        if number:
            put_line(Text())
        _show_part(part, name)


@app.command()
def unmapped(
    files: Annotated[list[Path], typer.Argument(help="FHIR JSON, HL7 v2 (.hl7) or CSV (.csv).")],
    tenant: Tenant = "",
    as_json: Json = False,
) -> None:
    """Print the rows that a tenant's table of codes lacks, to be filled in: loinc or analyte."""
    documents = [document for each in files for document in _documents(each)]
    request = {"do": "unmapped", "documents": documents, **_tables(tenant)}
    answer = aside.ask(DESK, request, extra="labs", code=USAGE)
    if as_json:
        put_json(answer)
        return
    columns = answer["columns"]
    typer.echo("\t".join(columns))
    for row in answer["rows"]:
        typer.echo("\t".join(" ".join(str(row[column]).split()) for column in columns))


def _show_part(part: Mapping[str, Any], name: str) -> None:
    for result in part.get("results", []):
        _show(result, name)
    for score in part.get("scores", []):
        if score.get("value"):
            unit = readable(score.get("unit", ""))
            put_line(Text(f"= {score[f'display_{name}']}: {score['value']} {unit}".rstrip()))
    for risk in part.get("risks", []):
        put_line(Text(f"! {risk[f'text_{name}']}", "red" if "URGENT" in risk["priority"] else ""))


def _show(result: Mapping[str, Any], name: str) -> None:
    title = result.get(f"display_{name}") or result.get("source_display") or "(no name)"
    flag, style = FLAGS.get(result.get("flag", ""), ("", ""))
    unit = readable(result.get("canonical_unit", ""))
    given = readable(result.get("unit_text", ""))
    value = " ".join(filter(None, (result.get("value_text"), given)))
    low, high = result.get("range_low", ""), result.get("range_high", "")
    ends = f"{low}–{high}" if low and high else f"≥ {low}" if low else f"≤ {high}"
    limits = f"  [{ends} {unit}".rstrip() + "]" if low or high else ""
    canonical = result.get("canonical_value", "")
    if canonical and canonical not in result.get("value_text", ""):
        value = f"{value} = {canonical} {unit}".rstrip()
    put_line(Text(f"{flag or '-':<2} {title}: {value}{limits}", style))
    refused = result.get("not_interpreted")
    for why in [*([refused] if refused else []), *result.get("remarks", [])]:
        facts = "; ".join(f"{k}: {v}" for k, v in sorted(why.get("facts", {}).items()))
        put_line(Text(f"     {why['reason']}: {why['message']}" + (f" [{facts}]" if facts else "")))


def _tables(tenant: str) -> dict[str, str]:
    """Return the texts of a tenant's tables, of those that are there."""
    if not tenant:
        return {}
    if "/" in tenant or tenant.startswith("."):
        raise CliError("a tenant is a name, not a path", USAGE)
    found = {}
    for key, variable in TABLES.items():
        path = Path(os.environ.get(variable, "")) / f"{tenant}.tsv"
        if os.environ.get(variable) and path.is_file():
            found[key] = path.read_text("utf-8-sig")
    if not found:
        raise CliError(f"there is no table of {tenant} in {' or '.join(TABLES.values())}", USAGE)
    return found


def _documents(path: Path) -> list[str]:
    """Return the FHIR documents of a file; HL7 v2 and CSV are made FHIR, one a message or patient.

    Raises
    ------
    CliError
        It is not there, too large, or nothing that is read.
    """
    try:
        with path.open("rb") as source:
            content = source.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}", USAGE) from error
    if len(content) > FILE_BYTES_MAX:
        raise CliError(f"{path} has more than {FILE_BYTES_MAX} bytes; give a part of it", USAGE)
    kind = SUFFIXES.get(path.suffix.lower(), "")
    if kind or content.lstrip(MARK)[:3] in HEADERS:
        now = datetime.now(UTC).isoformat()
        coded = b64encode(content).decode()
        asked = {"content": coded, "media_type": kind or HL7V2, "now": now}
        answer = aside.ask(RECEIVING, asked, extra="ingest", code=USAGE)
        for problem, times in Counter(answer["problems"]).items():
            many = f" ({times} times)" if times > 1 else ""
            err.print(Text(f"{path.name}: {problem}{many}", style="yellow"))
        return [str(each) for each in answer["documents"]]
    try:
        return [content.decode("utf-8-sig")]
    except UnicodeDecodeError as error:
        raise CliError(f"{path} is not FHIR JSON in UTF-8", USAGE) from error


def _language(name: str) -> str:
    if name not in ("en", "zh"):
        raise CliError("the language is en or zh", USAGE)
    return name
