"""`dxmesh client …`: apps and backend services that may ask for access (SMART on FHIR)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.answers import DONE, USAGE, CliError, out, put_json, put_rows
from services.cli.client import Client, find_access

app = typer.Typer(no_args_is_help=True, help="Apps and backend services that may ask for access.")

COLUMNS = ("client id", "name", "kind", "role", "scopes", "state")
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Url = Annotated[str, typer.Option(help="Gateway address; its token is read from DX_TOKEN.")]
StateDir = Annotated[Path | None, typer.Option("--state", help="State folder of a local mesh.")]
ClientId = Annotated[str, typer.Argument(help="Client id, as `client list` shows it.")]
KeysFile = Annotated[Path | None, typer.Option("--jwks", help="File with its public JWK set.")]
KeysUrl = Annotated[str, typer.Option("--jwks-url", help="Address of its public keys, https.")]


def _operator(url: str, state: Path | None) -> Client:
    return Client(find_access("operator", url, state))


@app.command("register")
def register(
    name: Annotated[str, typer.Argument(help="What a physician is shown.")],
    scope: Annotated[str, typer.Option(help="Scopes it may ask for at most.")],
    redirect: Annotated[
        list[str] | None, typer.Option(help="Address answers go to; several may be given.")
    ] = None,
    kind: Annotated[str, typer.Option(help="public, symmetric or asymmetric.")] = "public",
    client_id: Annotated[str, typer.Option("--id", help="Its id; left out: one is made.")] = "",
    launch_url: Annotated[str, typer.Option(help="Where an EHR opens it.")] = "",
    role: Annotated[str, typer.Option(help="Of a backend service: ehr or auditor.")] = "",
    jwks: KeysFile = None,
    jwks_url: KeysUrl = "",
    url: Url = "",
    state: StateDir = None,
    as_json: Json = False,
) -> None:
    """Register a client; its secret is printed here and never again."""
    content: dict[str, Any] = {
        "client_id": client_id,
        "name": name,
        "kind": kind,
        "scope": scope,
        "redirect_uris": redirect or [],
        "launch_url": launch_url,
        "role": role,
        "jwks": _keys(jwks),
        "jwks_url": jwks_url,
    }
    content = {field: value for field, value in content.items() if value}
    answer = _operator(url, state).post("/ops/clients", content)
    _show(answer, as_json, f"client {answer['client_id']} is registered")
    raise typer.Exit(DONE)


@app.command("list")
def list_clients(url: Url = "", state: StateDir = None, as_json: Json = False) -> None:
    """List clients, oldest first."""
    answer = _operator(url, state).get("/ops/clients")
    if as_json:
        put_json(answer)
    elif not answer["clients"]:
        out.print("no clients; `dxmesh client register` adds one")
    else:
        put_rows(COLUMNS, [_row(client) for client in answer["clients"]])
    raise typer.Exit(DONE)


@app.command("revoke")
def revoke(
    client_id: ClientId, url: Url = "", state: StateDir = None, as_json: Json = False
) -> None:
    """End a client with every token it has; its id cannot be used again."""
    answer = _operator(url, state).post(f"/ops/clients/{client_id}/revoke")
    _show(answer, as_json, f"client {client_id} is revoked, and every token it had")
    raise typer.Exit(DONE)


@app.command("rotate")
def rotate(
    client_id: Annotated[str, typer.Argument(help="Client id; left out: --signing-key.")] = "",
    jwks: KeysFile = None,
    jwks_url: KeysUrl = "",
    signing_key: Annotated[
        bool, typer.Option("--signing-key", help="The server's own key, which signs id_tokens.")
    ] = False,
    url: Url = "",
    state: StateDir = None,
    as_json: Json = False,
) -> None:
    """Give a client a new secret or other keys, or the server a new signing key."""
    if bool(client_id) == signing_key:
        raise CliError("name a client, or give --signing-key", USAGE)
    client = _operator(url, state)
    if signing_key:
        answer = client.post("/ops/signing-keys/rotate")
        text = f"{answer['kid']} signs now; the key before stays for {answer['old_key_s']} s"
    else:
        keys = {"jwks": _keys(jwks), "jwks_url": jwks_url}
        content = {name: value for name, value in keys.items() if value}
        answer = client.post(f"/ops/clients/{client_id}/rotate", content or None)
        text = f"client {client_id} has new keys"
        if "old_secret_s" in answer:
            text = f"the secret before is good for {answer['old_secret_s']} s more"
    _show(answer, as_json, text)
    raise typer.Exit(DONE)


def _keys(path: Path | None) -> Any:
    if path is None:
        return None
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CliError(f"{path} cannot be read as JSON", USAGE) from error


def _show(answer: Any, as_json: bool, text: str) -> None:
    if as_json:
        put_json(answer)
        return
    out.print(text, markup=False, soft_wrap=True)
    if secret := answer.get("client_secret"):
        out.print(f"secret: {secret}", markup=False, soft_wrap=True)


def _row(client: dict[str, Any]) -> list[str]:
    state = f"revoked {client['revoked'][:10]}" if client["revoked"] else "good"
    names = ("client_id", "name", "kind", "role", "scope")
    return [*(str(client[name]) or "-" for name in names), state]
