"""Every command and its options; what a command does stands in its own module."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.cli import (
    accounts,
    case_commands,
    client_commands,
    dead_commands,
    demo,
    lab_commands,
    local,
    model_commands,
    note_commands,
    score_commands,
    send,
)
from services.cli.client import Client, find_access
from services.cli.mesh import Options

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="AI-assisted diagnosis over FHIR, for reference only; a physician signs.",
    epilog="Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no mesh answers, 4 too late.",
)
case_app = typer.Typer(no_args_is_help=True, help="Cases, as an operator sees them.")
dead_app = typer.Typer(no_args_is_help=True, help="Messages that were given up.")
model_app = typer.Typer(no_args_is_help=True, help="Models that read images, and what they took.")
app.add_typer(case_app, name="case")
app.add_typer(model_app, name="models")
app.add_typer(dead_app, name="dead")
app.add_typer(client_commands.app, name="client")
app.add_typer(score_commands.app, name="scores")
app.add_typer(lab_commands.app, name="labs")
app.add_typer(note_commands.app, name="notes")

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Url = Annotated[str, typer.Option(help="Gateway address; its token is read from DX_TOKEN.")]
StateDir = Annotated[Path | None, typer.Option("--state", help="State folder of a local mesh.")]
Language = Annotated[str, typer.Option(help="Language of the report: zh or en.")]
Port = Annotated[int, typer.Option(help="Port of the gateway; 0: any free one.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait at most.")]
CaseId = Annotated[str, typer.Argument(help="Case id, as `case list` shows it.")]


def _ehr(url: str, state: Path | None) -> Client:
    return Client(find_access("ehr", url, state))


def _operator(url: str, state: Path | None) -> Client:
    return Client(find_access("operator", url, state))


@app.command()
def up(
    state: StateDir = Path(".dxmesh"),
    port: Port = 8080,
    dicom_devices: Annotated[
        Path | None,
        typer.Option(
            help="TOML file of devices that may send by C-STORE; docs/guides/receiving.md."
        ),
    ] = None,
    dicom_port: Annotated[int, typer.Option(help="Port for C-STORE.", min=1, max=65535)] = 11112,
    hl7_senders: Annotated[
        Path | None,
        typer.Option(help="TOML file of systems that may send by MLLP; docs/guides/hl7v2.md."),
    ] = None,
    hl7_port: Annotated[int, typer.Option(help="Port for MLLP.", min=1, max=65535)] = 2575,
) -> None:
    """Run the whole mesh on this machine until Ctrl-C; its state folder is kept."""
    options = Options(
        http_port=port,
        dicom_port=dicom_port,
        dicom_devices=dicom_devices,
        hl7_port=hl7_port,
        hl7_senders=hl7_senders,
    )
    local.up(state or Path(".dxmesh"), options)


@app.command("demo")
def demo_command(
    state: StateDir = Path(".dxmesh-demo"),
    port: Port = 0,
    language: Language = "zh",
    leave: Annotated[bool, typer.Option("--exit", help="Stop when the report is there.")] = False,
    timeout: Timeout = 300.0,
) -> None:
    """Run the mesh anew, send the sample patient through it, and print the report."""
    folder = state or Path(".dxmesh-demo")
    raise typer.Exit(demo.run(folder, port, send.known_language(language), leave, timeout))


@app.command()
def submit(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="FHIR JSON, .txt notes, DICOM, ZIP, folders; or .hl7 and .csv results."
        ),
    ],
    language: Language = "",
    priority: Annotated[str, typer.Option(help="routine, urgent, asap or stat.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the report and print it.")] = False,
    again: Annotated[bool, typer.Option("--again", help="A new case, though sent before.")] = False,
    timeout: Timeout = 900.0,
    url: Url = "",
    state: StateDir = None,
    as_json: Json = False,
) -> None:
    """Submit a case: a Patient, a Consent, a ServiceRequest, and what is to be analysed."""
    options = send.Options(send.known_language(language), send.known_priority(priority), again)
    raise typer.Exit(
        send.submit(
            _ehr(url, state), paths, options, wait_s=timeout if wait else 0, as_json=as_json
        )
    )


@app.command()
def report(
    case_id: CaseId,
    fhir: Annotated[Path | None, typer.Option(help="Write the report's resources, JSON.")] = None,
    pdf: Annotated[Path | None, typer.Option(help="Write the report as PDF.")] = None,
    url: Url = "",
    state: StateDir = None,
    as_json: Json = False,
) -> None:
    """Print the report of a case, and save it."""
    raise typer.Exit(send.report(_ehr(url, state), case_id, fhir, pdf, as_json=as_json))


@app.command()
def status(url: Url = "", state: StateDir = None, as_json: Json = False) -> None:
    """Show each service's health and what waits; exits 1 when something is not healthy."""
    raise typer.Exit(case_commands.status(_operator(url, state), as_json=as_json))


@app.command("accounts-hash")
def accounts_hash(
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)],
) -> None:
    """Print the hash of a password for the gateway's accounts file."""
    typer.echo(accounts.password_hash(password))


@case_app.command("list")
def case_list(
    status: Annotated[str, typer.Option(help=f"One of {', '.join(case_commands.STATUSES)}.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500)] = 100,
    url: Url = "",
    state: StateDir = None,
    as_json: Json = False,
) -> None:
    """List cases, newest first."""
    raise typer.Exit(
        case_commands.list_cases(_operator(url, state), status, limit, as_json=as_json)
    )


@case_app.command("show")
def case_show(
    case_id: CaseId, url: Url = "", state: StateDir = None, as_json: Json = False
) -> None:
    """Show a case with its steps."""
    raise typer.Exit(case_commands.show(_operator(url, state), case_id, as_json=as_json))


@case_app.command("watch")
def case_watch(
    case_id: CaseId,
    timeout: Timeout = 3600.0,
    url: Url = "",
    state: StateDir = None,
    as_json: Json = False,
) -> None:
    """Follow a case until it has a report or was stopped."""
    client = _operator(url, state)
    raise typer.Exit(case_commands.watch(client, case_id, timeout, as_json=as_json))


@case_app.command("cancel")
def case_cancel(
    case_id: CaseId, url: Url = "", state: StateDir = None, as_json: Json = False
) -> None:
    """Stop a case that has no report yet; its content is destroyed."""
    raise typer.Exit(case_commands.cancel(_operator(url, state), case_id, as_json=as_json))


@dead_app.command("list")
def dead_list(url: Url = "", state: StateDir = None, as_json: Json = False) -> None:
    """List dead letters, oldest first; exits 1 when there are any."""
    raise typer.Exit(dead_commands.list_dead(_operator(url, state), as_json=as_json))


@dead_app.command("show")
def dead_show(number: int, url: Url = "", state: StateDir = None, as_json: Json = False) -> None:
    """Show a dead letter with its event."""
    raise typer.Exit(dead_commands.show(_operator(url, state), number, as_json=as_json))


@dead_app.command("retry")
def dead_retry(number: int, url: Url = "", state: StateDir = None, as_json: Json = False) -> None:
    """Put a dead letter back on its subject; handlers are idempotent, so a repeat is harmless."""
    raise typer.Exit(dead_commands.retry(_operator(url, state), number, as_json=as_json))


@model_app.command("list")
def model_list(url: Url = "", state: StateDir = None, as_json: Json = False) -> None:
    """List the models with their versions; exits 1 when one does not answer."""
    raise typer.Exit(model_commands.list_models(_operator(url, state), as_json=as_json))


@model_app.command("explain")
def model_explain(
    study: Annotated[str, typer.Argument(help="Study Instance UID, or the id of its case.")],
    url: Url = "",
    state: StateDir = None,
    as_json: Json = False,
) -> None:
    """Tell which reading took which series, by which rule, and why not, with the numbers."""
    raise typer.Exit(model_commands.explain(_operator(url, state), study, as_json=as_json))
