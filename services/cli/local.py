"""`dxmesh up`: the whole mesh on this machine until Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.text import Text

from services.cli import accounts
from services.cli.answers import REFUSED, CliError, err, out
from services.cli.mesh import Mesh, Options
from services.cli.state import State, open_state
from services.cli.supervisor import NotHealthy, answers

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def running(state: State, options: Options) -> Iterator[Mesh]:
    """Run a mesh for the time of the body; every process is gone afterwards."""
    mesh = Mesh(state, options)
    with interruptible():
        try:
            if mesh.wheel is None:
                say("no Triton wheel here: ONNX Runtime scores in process")
            mesh.start(lambda name: say(f"ready: {name}"))
            yield mesh
        except NotHealthy as error:
            raise CliError(str(error), REFUSED) from error
        finally:
            say("stopping")
            mesh.stop()


@contextmanager
def interruptible() -> Iterator[None]:
    """Let every polite signal end the body as Ctrl-C does, even where Ctrl-C was ignored."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = {n: signal.signal(n, interrupt) for n in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def alone(folder: Path) -> None:
    """Let nobody start a second mesh in the state folder of one that runs.

    Raises
    ------
    CliError
    """
    address = State(folder).address_file
    url = address.read_text() if address.is_file() else ""
    port = url.rpartition(":")[2]
    if port.isdigit() and answers(int(port)):
        raise CliError(
            f"a mesh runs in {folder} already, at {url}; stop it, or give another --state", REFUSED
        )


def up(folder: Path, options: Options) -> None:
    """Run the mesh until it is interrupted."""
    alone(folder)
    state = open_state(folder)
    try:
        with running(state, options) as mesh:
            known = accounts.read(state.root)
            out.print(Text(f"review page   {mesh.url}/"))
            out.print(Text(f"sign-in       {known.physician} / {known.physician_password}"))
            out.print(Text(f"FHIR          {mesh.url}/fhir  (tokens in {folder}/credentials.json)"))
            if options.dicom_devices:
                place = f"DXMESH at 127.0.0.1:{options.dicom_port}"
                out.print(Text(f"C-STORE       {place}, for {options.dicom_devices}"))
            out.print(Text("Ctrl-C stops it."))
            threading.Event().wait()
    except KeyboardInterrupt:
        return


def say(text: str) -> None:
    """Say on stderr what the mesh does."""
    err.print(Text(text, style="dim"))
