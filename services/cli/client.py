"""The gateway as the command line sees it: FHIR, STOW-RS and the operator's JSON."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

from services.cli import accounts
from services.cli.answers import AWAY, REFUSED, USAGE, CliError

FHIR = "application/fhir+json"
STATE_FOLDERS = (".dxmesh", ".dxmesh-demo")
READ_S = 630.0
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Access:
    """Where the gateway is and what opens it."""

    url: str
    token: str


def find_access(role: str, url: str, state: Path | None) -> Access:
    """Return address and token for a role, "ehr" or "operator".

    `--url` and `DX_TOKEN` go first; else the state folder of a mesh that runs here.

    Raises
    ------
    CliError
    """
    token = os.environ.get("DX_TOKEN", "")
    if url and token:
        return Access(url.rstrip("/"), token)
    folders = [state] if state else [Path(name) for name in STATE_FOLDERS]
    for folder in folders:
        address = folder / "gateway.url"
        if address.is_file() and (folder / "credentials.json").is_file():
            known = accounts.read(folder)
            own = known.ehr_token if role == "ehr" else known.operator_token
            return Access((url or address.read_text()).rstrip("/"), token or own)
    raise CliError(
        "no running mesh found; start one with `dxmesh up`, or give --url and set DX_TOKEN", AWAY
    )


class Client:
    """HTTP to one gateway."""

    def __init__(self, access: Access) -> None:
        self._http = httpx.Client(
            base_url=access.url,
            headers={"Authorization": f"Bearer {access.token}"},
            timeout=httpx.Timeout(20.0, read=READ_S, write=READ_S),
        )
        self.url = access.url

    def get(self, path: str) -> Any:
        """Return the JSON at a path."""
        return self._json(self._send("GET", path))

    def content(self, path: str, media_type: str) -> bytes:
        """Return the bytes at a path."""
        return self._send("GET", path, headers={"Accept": media_type}).content

    def post(self, path: str, content: Any = None) -> Any:
        """Ask for something to be done, with JSON where it needs some; return the JSON answer."""
        options = {} if content is None else {"json": content}
        return self._json(self._send("POST", path, **options))

    def submit(self, bundle: bytes) -> tuple[dict[str, Any], bool]:
        """Submit a Bundle; return its Task, and whether the case was new."""
        answer = self._send("POST", "/fhir", content=bundle, headers={"Content-Type": FHIR})
        return self._json(answer), answer.status_code == 201

    def submit_results(self, path: Path, media_type: str) -> tuple[dict[str, Any], bool]:
        """Submit a file of results; return its Task, or a Bundle of several, and whether new."""
        headers = {"Content-Type": media_type}
        answer = self._send("POST", "/fhir", content=path.read_bytes(), headers=headers)
        return self._json(answer), answer.status_code == 201

    def upload(self, files: Sequence[Path]) -> list[str]:
        """Store DICOM files and ZIP archives by STOW-RS; return what was refused."""
        boundary = uuid.uuid4().hex
        kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
        return self._stored("/dicom-web/studies", kind, _multipart(files, boundary))[1]

    def upload_slide(self, path: Path, study: str) -> tuple[list[tuple[str, str]], list[str]]:
        """Store a slide in TIFF or SVS; return class and UID of its instances, and refusals."""
        with path.open("rb") as source:
            content = iter(lambda: source.read(CHUNK), b"")
            return self._stored(f"/dicom-web/studies/{study}", "image/tiff", content)

    def _stored(
        self, address: str, kind: str, content: Iterator[bytes]
    ) -> tuple[list[tuple[str, str]], list[str]]:
        headers = {"Content-Type": kind, "Accept": "application/dicom+json"}
        answer = self._send("POST", address, content=content, headers=headers, refused=(409,))
        found = answer.json()
        stored = [
            (str(item["00081150"]["Value"][0]), str(item["00081155"]["Value"][0]))
            for item in found.get("00081199", {}).get("Value", [])
        ]
        failed = found.get("00081198", {}).get("Value", [])
        return stored, [str(item["00000902"]["Value"][0]) for item in failed]

    def _send(
        self, method: str, path: str, *, refused: tuple[int, ...] = (), **options: Any
    ) -> httpx.Response:
        """Return the answer; one of the statuses in `refused` is the caller's to read."""
        try:
            answer = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise CliError(
                f"{self.url} does not answer ({type(error).__name__}); is the mesh up?", AWAY
            ) from error
        if answer.is_success or answer.status_code in refused:
            return answer
        raise _refusal(answer)

    @staticmethod
    def _json(answer: httpx.Response) -> Any:
        return orjson.loads(answer.content)


def _refusal(answer: httpx.Response) -> CliError:
    """Return what an OperationOutcome says, one line per issue."""
    try:
        issues = orjson.loads(answer.content)["issue"]
    except (ValueError, KeyError, TypeError):
        return CliError(f"the gateway answered {answer.status_code}", REFUSED)
    details = []
    for issue in issues:
        coding = issue.get("details", {}).get("coding", [{}])[0].get("code", "")
        where = ", ".join(issue.get("expression", []))
        text = issue.get("details", {}).get("text", "")
        text = "" if text == issue.get("diagnostics") else text
        details.append(" ".join(part for part in (coding, where, text) if part))
    code = USAGE if answer.status_code in (400, 422) else REFUSED
    text = issues[0].get("diagnostics", "")
    return CliError(f"refused ({answer.status_code}): {text}", code, details=details)


def _multipart(files: Sequence[Path], boundary: str) -> Iterator[bytes]:
    """Yield a multipart/related body, holding one chunk at a time (RFC 2387)."""
    for path in files:
        kind = "application/zip" if path.suffix.lower() == ".zip" else "application/dicom"
        name = "".join(c if c.isalnum() or c in ".-_ " else "_" for c in path.name)
        head = f'--{boundary}\r\nContent-Type: {kind}\r\nContent-Location: "{name}"\r\n\r\n'
        yield head.encode()
        with path.open("rb") as source:
            while chunk := source.read(CHUNK):
                yield chunk
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()
