"""The protos: linted, generated code as committed, nothing broken for who speaks the old ones."""

from __future__ import annotations

import filecmp
import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from google.protobuf.descriptor import FileDescriptor

from services.kernel.subjects import SERVICES, TOPICS

ROOT = Path(__file__).parents[2]
PROTOS = ROOT / "protos"
BUF = Path(sys.executable).with_name("buf")


def buf(*words: str, folder: Path = PROTOS) -> subprocess.CompletedProcess[str]:
    if not BUF.is_file():
        pytest.skip("the buf-bin wheel is not installed")
    return subprocess.run(
        [str(BUF), *words], cwd=folder, capture_output=True, text=True, check=False
    )


def files(folder: Path) -> set[Path]:
    return {
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.requirement("DX-RPC-11")
def test_protos_pass_buf_lint() -> None:
    done = buf("lint")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.requirement("DX-RPC-11")
def test_lint_would_refuse_a_field_without_a_comment(tmp_path: Path) -> None:
    """The check itself works: with one comment less it fails."""
    shutil.copytree(PROTOS, tmp_path / "protos")
    path = tmp_path / "protos" / "dxmesh" / "event" / "v1" / "blob_ref.proto"
    path.write_text(path.read_text().replace('  // Name within the scope, "/"-separated.\n', ""))
    done = buf("lint", folder=tmp_path / "protos")
    assert done.returncode != 0
    assert "BlobRef" in done.stdout or "name" in done.stdout


@pytest.mark.requirement("DX-RPC-12")
def test_committed_code_is_what_the_protos_generate(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools")
    path = str(Path(sys.executable).parent)  # where protoc finds its plugins
    subprocess.run(
        [sys.executable, str(PROTOS / "generate.py"), str(tmp_path)],
        check=True,
        env={"PATH": path},
    )
    committed, fresh = files(PROTOS / "gen"), files(tmp_path)
    assert committed - {Path("dxmesh/py.typed")} == fresh, "run protos/generate.py"
    different = [
        str(name)
        for name in sorted(fresh)
        if not filecmp.cmp(PROTOS / "gen" / name, tmp_path / name, shallow=False)
    ]
    assert different == [], "run protos/generate.py"


@pytest.mark.requirement("DX-RPC-12")
def test_nothing_is_broken_since_the_last_commit() -> None:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there is nothing to compare with")
    known = subprocess.run(
        [git, "rev-parse", "--verify", "HEAD:protos"], cwd=ROOT, capture_output=True, check=False
    )
    if known.returncode:
        pytest.skip("the protos are not committed yet")
    done = buf("breaking", "--against", f"{(ROOT / '.git').as_uri()}#ref=HEAD,subdir=protos")
    assert done.returncode == 0, done.stdout + done.stderr


def modules() -> Iterator[ModuleType]:
    """Import every generated module; the folders are packages without `__init__`."""
    for path in sorted((PROTOS / "gen").rglob("*_pb2.py")):
        yield importlib.import_module(
            ".".join(path.relative_to(PROTOS / "gen").with_suffix("").parts)
        )


@pytest.mark.requirement("DX-RPC-11")
def test_each_service_has_one_proto_service_and_answers_in_one_message() -> None:
    """Content comes in as a stream and goes out as a blob reference; see docs/adr/0003."""
    found: dict[str, list[str]] = {}
    for module in modules():
        descriptor: FileDescriptor = module.DESCRIPTOR
        for service in descriptor.services_by_name.values():
            found.setdefault(descriptor.package, []).append(service.name)
            for method in service.methods:
                assert not method.server_streaming, method.full_name
                assert not method.client_streaming or "ingest" in descriptor.package
    assert found == {f"dxmesh.{name}.v1": [f"{name.capitalize()}Service"] for name in SERVICES}


@pytest.mark.requirement("DX-RPC-11")
def test_every_event_of_the_bus_has_a_file_of_its_own() -> None:
    for topic in TOPICS:
        descriptor = topic.event.DESCRIPTOR
        name = "".join(f"_{c.lower()}" if c.isupper() else c for c in descriptor.name)[1:]
        assert descriptor.file.name == f"dxmesh/event/v1/{name}.proto"


@pytest.mark.requirement("DX-RPC-12")
def test_python_imports_every_generated_module() -> None:
    assert len(list(modules())) == len(list((PROTOS / "dxmesh").rglob("*.proto")))
