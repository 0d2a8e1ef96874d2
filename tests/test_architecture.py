"""The rules of the layout: who imports whom, sizes, names, and what pure modules may not do.

`.importlinter` holds the graph of our own modules; this file the rest.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kernel.subjects import IDENTITY_ZONE, SERVICES

ROOT = Path(__file__).parents[1]
CODE = ROOT / "services"

EDGES = {"service", "worker", "app", "peers", "store", "triton", "dicomweb", "dimse", "mllp"}
"""Modules and folders that do I/O, in every service."""

OWN_EDGES = {
    # The gateway's HTTP surface: a folder per interface, and the steps they share.
    "gateway": {
        "access", "call", "commit", "critical", "ehr", "export", "fhir", "hooks", "ops", "outbound",
        "routes", "server", "signing", "smart", "subscriptions", "table", "web", "wiring",
    },
    "ingest": {"admission", "awaiting", "gathering"},
}  # fmt: skip

OUTSIDE = {
    "aiosqlite", "asyncpg", "granian", "grpc", "grpc_health", "httpcore", "httpx", "nats",
    "obstore", "pynetdicom", "sqlalchemy", "starlette", "tritonclient",
}  # fmt: skip
"""Packages that reach outside the process."""

KERNEL_USES = {
    "nats": {"bus", "consumer", "deadletters", "pull"},
    "grpc": {"rpc", "probe"},
    "sqlalchemy": {"database"},
    "tritonclient": {"inference", "regions"},
    "obstore": {"blobs", "crypto", "pieces", "testing"},
}
"""Which kernel modules may use which of them."""

KERNEL_MODULES_MAX, KERNEL_LINES_MAX = 24, 3_950  # docs/adr/0001-kernel-size.md
NEVER = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}
UNKNOWING = re.compile(
    r"\b(datetime\.now|datetime\.utcnow|date\.today|time\.(time|time_ns|monotonic|sleep)"
    r"|os\.environ|os\.getenv|logging\.getLogger|print)$"
)
"""Calls and names that need a clock, the environment or a log."""

KNOWN = {
    # pydicom resets its logger when it is imported; it must not quote values even in tests.
    "services/anonymization/files.py: logging.getLogger",
    "services/ingest/dicom.py: logging.getLogger",
    # So must tifffile: its warnings quote descriptions.
    "services/ingest/slides/tiff.py: logging.getLogger",
}


BESIDE = {"tests": 510, "training": 300, "benchmarks": 300, "deploy": 300, "docs": 300}
"""Lines at most of files that are no modules of a service (docs/adr/0045-file-lengths.md)."""


def python_files(folder: Path = CODE) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def service_of(path: Path) -> str:
    return path.relative_to(CODE).parts[0]


def is_edge(path: Path) -> bool:
    service, *rest = path.relative_to(CODE).with_suffix("").parts
    if service in ("kernel", "cli") or not rest or rest == ["__main__"]:
        return True
    return rest[0] in EDGES | OWN_EDGES.get(service, set())


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.requirement("DX-ARC-01")
def test_import_rules_hold() -> None:
    """Services never import each other, the kernel imports none, edges are imported by edges."""
    linter = Path(sys.executable).with_name("lint-imports")
    if not linter.is_file():
        pytest.skip("import-linter is not installed")
    done = subprocess.run(
        [str(linter), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[done.stdout.find("Contracts") :]


@pytest.mark.requirement("DX-ARC-01")
def test_import_rules_name_every_service() -> None:
    text = (ROOT / ".importlinter").read_text()
    for folder in (path for path in CODE.iterdir() if (path / "__init__.py").is_file()):
        if folder.name != "kernel":
            assert text.count(f"    services.{folder.name}\n") >= 2, folder.name


@pytest.mark.requirement("DX-ARC-02")
def test_only_the_kernel_and_edges_reach_outside() -> None:
    wrong = [
        f"{name_of(path)} imports {module}"
        for path in python_files()
        if not is_edge(path)
        for module in imports(ast.parse(path.read_text()))
        if module.split(".")[0] in OUTSIDE
    ]
    assert wrong == []


@pytest.mark.requirement("DX-ARC-02")
def test_each_outside_package_has_its_place_in_the_kernel() -> None:
    wrong = [
        f"{name_of(path)} imports {module}"
        for path in python_files(CODE / "kernel")
        for module in imports(ast.parse(path.read_text()))
        if path.stem not in KERNEL_USES.get(module.split(".")[0], {path.stem})
    ]
    assert wrong == []


@pytest.mark.requirement("DX-ARC-03")
def test_pure_modules_know_no_clock_environment_or_log() -> None:
    wrong = {
        f"{name_of(path)}: {name}"
        for path in python_files()
        if not is_edge(path) and path.stem != "settings"
        for node in ast.walk(ast.parse(path.read_text()))
        if (name := dotted(node)) and UNKNOWING.search(name)
    }
    assert wrong - KNOWN == set()
    assert KNOWN - wrong == set(), "no longer true: take it from the list"


@pytest.mark.requirement("DX-ARC-04")
def test_modules_and_functions_are_short() -> None:
    wrong: list[str] = []
    for path in python_files():
        text = path.read_text()
        if (lines := len(text.splitlines())) > 300:
            wrong.append(f"{name_of(path)} has {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > 50:
                    wrong.append(f"{name_of(path)}:{node.lineno} {node.name} has {length} lines")
    for path in (each for folder in BESIDE for each in python_files(ROOT / folder)):
        if (lines := len(path.read_text().splitlines())) > BESIDE[path.relative_to(ROOT).parts[0]]:
            wrong.append(f"{name_of(path)} has {lines} lines")
    assert wrong == []


@pytest.mark.requirement("DX-ARC-04")
def test_names_say_what_a_module_is_about() -> None:
    parts = {
        name_of(path)
        for folder in ("services", "tests", "training", "benchmarks", "deploy")
        for path in python_files(ROOT / folder)
        if NEVER & set(path.with_suffix("").relative_to(ROOT).parts)
        or NEVER & set(path.stem.split("_"))
    }
    assert parts == set()


@pytest.mark.requirement("DX-ARC-05")
@pytest.mark.parametrize("service", SERVICES)
def test_service_has_its_docstring_wiring_and_settings(service: str) -> None:
    folder = CODE / service
    says = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    assert len(says) > 40, "it says what the service consumes, publishes and calls"
    assert len((folder / "__main__.py").read_text().splitlines()) <= 60
    tree = ast.parse((folder / "settings.py").read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    (settings,) = [node for node in classes if node.name == "Settings"]
    parent = "IdentitySettings" if service in IDENTITY_ZONE else "MeshSettings"
    assert [dotted(base) for base in settings.bases] == [parent]
    for node in settings.body:
        assert not (isinstance(node, ast.AnnAssign) and "| None" in ast.unparse(node)) or node.value


@pytest.mark.requirement("DX-ARC-05")
def test_only_the_wiring_reads_the_environment() -> None:
    wrong = [
        name_of(path)
        for path in python_files()
        if service_of(path) in SERVICES
        for node in ast.walk(ast.parse(path.read_text()))
        if dotted(node) in ("os.environ", "os.getenv")
    ]
    assert wrong == []


@pytest.mark.requirement("DX-ARC-06")
def test_kernel_keeps_its_size() -> None:
    modules = [path for path in python_files(CODE / "kernel") if path.stem != "__init__"]
    assert len(modules) <= KERNEL_MODULES_MAX
    assert sum(len(path.read_text().splitlines()) for path in modules) <= KERNEL_LINES_MAX


def tracked() -> list[Path]:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: what is under version control is not known")
    names = subprocess.run(
        [git, "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [path for name in names.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.mark.requirement("DX-ARC-11")
def test_no_file_names_a_machine_or_a_registry() -> None:
    folders = "|".join(["work", "root", "home", "Users"])
    place = re.compile(rf"(?<![\w.\]}}/~$-])/({folders})/[\w.-]+")
    index = re.compile(
        r"index[-_]url[\s=\"':]+\S*//|trusted[-_]host[\s=]+\w|https?://\S+/simple\b", re.IGNORECASE
    )
    wrong = []
    for path in tracked():
        if path == Path(__file__):
            continue
        content = path.read_bytes()
        if b"\0" in content:
            continue
        for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
            if place.search(line) or index.search(line):
                wrong.append(f"{name_of(path)}:{number}: {line.strip()[:80]}")
    assert wrong == []
