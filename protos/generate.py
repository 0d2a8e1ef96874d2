"""Write the Python code of every proto to a folder (`protos/gen` unless another is named).

Run by `make protos`; the tests run it into a scratch folder and compare.
"""

import sys
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).parent


def generate(target: Path) -> None:
    """Generate messages, stubs and their type stubs under `target`."""
    target.mkdir(parents=True, exist_ok=True)
    sources = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "dxmesh").rglob("*.proto"))
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    messages = [f"--python_out={target}", f"--mypy_out=quiet:{target}"]
    stubs = [f"--grpc_python_out={target}", f"--mypy_grpc_out=quiet:{target}"]
    services = [source for source in sources if source.endswith("_service.proto")]
    for outputs, files in ((messages, sources), (stubs, services)):
        paths = [f"--proto_path={ROOT}", f"--proto_path={well_known}"]
        if code := protoc.main(["protoc", *paths, *outputs, *files]):
            raise SystemExit(code)


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "gen")
