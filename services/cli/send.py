"""`dxmesh submit` and `dxmesh report`: what an EHR does, from the command line."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from services.cli import bundle, content, progress_view, report_view, results
from services.cli.answers import (
    DONE,
    LATE,
    REFUSED,
    USAGE,
    CliError,
    err,
    out,
    progress,
    put_json,
    put_line,
)
from services.cli.client import FHIR, Client
from services.kernel import fhir

BATCH_FILES = 16
UPLOADS_AT_ONCE = 3
"""Batches on their way at a time: the mesh checks one while the next arrives."""
LANGUAGES = ("", *bundle.LANGUAGES)
PRIORITIES = ("", "routine", "urgent", "asap", "stat")


@dataclass(frozen=True, slots=True)
class Options:
    """How a case is to be handled; empty: as its ServiceRequest and the mesh say."""

    language: str = ""
    priority: str = ""
    again: bool = False
    """Make a new case of content that was submitted before, such as one that was cancelled."""


def known_language(name: str) -> str:
    """Return the language, refused unless it is one that reports are written in."""
    return _one_of("language", name, LANGUAGES)


def known_priority(name: str) -> str:
    """Return the priority, refused unless FHIR knows it."""
    return _one_of("priority", name, PRIORITIES)


def _one_of(what: str, name: str, known: Sequence[str]) -> str:
    if name not in known:
        raise CliError(f"{what} {name!r} is none of {', '.join(filter(None, known))}", USAGE)
    return name


def submit(
    client: Client, paths: list[Path], options: Options, *, wait_s: float, as_json: bool
) -> int:
    """Send what lies under the paths as one case; with `wait_s` also print its report.

    Files of HL7 messages or CSV rows make a case of each message or patient.
    """
    if found := results.files(paths):
        if options != Options():
            raise CliError("language, priority and --again are not for HL7 and CSV files", USAGE)
        waits = (lambda case_id: follow(client, case_id, wait_s)) if wait_s else None
        return results.submit(client, found, waits, as_json=as_json)
    task, new = send(client, paths, options)
    if not wait_s:
        if as_json:
            put_json({"case_id": task["id"], "new": new, "task": task})
        else:
            out.print(Text(f"case {task['id']}" + ("" if new else " (submitted before)")))
        return DONE
    done = follow(client, task["id"], wait_s)
    if report_view.report_of(done):
        report(client, task["id"], None, None, as_json=as_json)
        return DONE
    raise CliError(_why(done), REFUSED)


def send(client: Client, paths: list[Path], options: Options) -> tuple[dict[str, Any], bool]:
    """Upload the images, submit the Bundle; return the Task and whether the case is new."""
    found = content.read(paths)
    for path in found.skipped:
        progress(f"not sent: {path}")
    _upload(client, found.uploads)
    for path in found.slides:
        found.instances += _slide(client, path)
    attempt = uuid.uuid4().hex if options.again else ""
    built = bundle.build(
        found, language=options.language, priority=options.priority, attempt=attempt
    )
    return client.submit(built)


def _upload(client: Client, files: Sequence[Path]) -> None:
    """Send the files in batches, some at a time; name each that is refused."""
    batches = [files[at : at + BATCH_FILES] for at in range(0, len(files), BATCH_FILES)]
    sent = 0
    with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
        try:
            for batch, refused in zip(batches, pool.map(client.upload, batches), strict=True):
                sent += len(batch)
                progress(f"sent {sent} of {len(files)} files")
                for each in refused:
                    err.print(Text(f"refused: {each}", style="yellow"))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # what waits is not sent any more
            raise


def _slide(client: Client, path: Path) -> list[content.Instance]:
    """Send a whole slide; return the instances that its levels became."""
    with path.open("rb") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
    study = f"2.25.{int(digest[:32], 16)}"
    progress(f"sending {path.name}, a whole slide")
    stored, refused = client.upload_slide(path, study)
    for each in refused:
        err.print(Text(f"refused: {each}", style="yellow"))
    return [content.Instance(study, "", uid, sop_class, "SM") for sop_class, uid in stored]


def follow(
    client: Client, case_id: str, timeout_s: float, say: Callable[[str], None] = progress
) -> dict[str, Any]:
    """Follow a case by its Task until it ended, saying each step; return the Task."""
    last: dict[str, Any] = {}

    def read() -> tuple[str, list[progress_view.Step]]:
        last.update(client.get(f"/fhir/Task/{case_id}"))
        ready = report_view.report_of(last)
        return "completed" if ready else last["status"], progress_view.of_task(last)

    if progress_view.follow(read, say, timeout_s) is None:
        raise CliError(f"no report after {timeout_s:.0f} s; look at `dxmesh case show`", LATE)
    return last


def report(
    client: Client, case_id: str, fhir_file: Path | None, pdf_file: Path | None, *, as_json: bool
) -> int:
    """Print a case's report; write its resources and its PDF where files are named."""
    task = client.get(f"/fhir/Task/{case_id}")
    reference = report_view.report_of(task)
    if not reference:
        raise CliError(_why(task), REFUSED)
    found = client.get(f"/fhir/{reference}")
    if fhir_file:
        fhir_file.write_bytes(collection(client, reference))
    if pdf_file:
        pdf_file.write_bytes(pdf_of(client, found))
    if as_json:
        put_json(found)
    else:
        for line in report_view.lines(found):
            put_line(line)
    return DONE


def collection(client: Client, reference: str) -> bytes:
    """Return the report and what it refers to as one Bundle, digits as the server has them."""
    first = fhir.parse(client.content(f"/fhir/{reference}", FHIR))
    resources = [first]
    for each in report_view.references(first):
        resources.append(fhir.parse(client.content(f"/fhir/{each}", FHIR)))
    entries = [
        {"fullUrl": f"{client.url}/fhir/{each['resourceType']}/{each['id']}", "resource": each}
        for each in resources
    ]
    return fhir.dump({"resourceType": "Bundle", "type": "collection", "entry": entries})


def pdf_of(client: Client, found: dict[str, Any]) -> bytes:
    """Return the report's PDF."""
    forms = [form for form in found.get("presentedForm", []) if form.get("url")]
    if not forms:
        raise CliError("the report has no PDF", REFUSED)
    path = forms[0]["url"].removeprefix(client.url).removeprefix("/fhir/")
    return client.content(f"/fhir/{path}", "application/pdf")


def _why(task: dict[str, Any]) -> str:
    reason = task.get("statusReason", {}).get("text", "")
    said = f": {reason}" if reason else ""
    return f"case {task['id']} is {task['status']} and has no report{said}"
