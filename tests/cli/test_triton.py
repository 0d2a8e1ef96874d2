"""The project's model repository as the wheel's Triton can serve it."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.cli.mesh import MODELS, RUNNER
from services.cli.triton import TritonWheel, find_wheel, prepare

GPU = {
    "in lines": "instance_group [\n  {\n    count: 2\n    kind: KIND_GPU\n  }\n]\n",
    "in one line": "instance_group [ { count: 2 kind: KIND_GPU } ]\n",
}


@pytest.fixture
def wheel(tmp_path: Path) -> TritonWheel:
    """An environment with the files that `prepare` takes from the wheel."""
    made = TritonWheel(tmp_path / "bin/python", tmp_path / "lib", "3.11")
    (tmp_path / "lib/pytriton/tritonserver/backends/python").mkdir(parents=True)
    made.stub.parent.mkdir(parents=True)
    made.stub.write_bytes(b"stub")
    return made


@pytest.mark.requirement("DX-CLI-06")
@pytest.mark.parametrize("group", GPU.values(), ids=GPU.keys())
def test_a_model_for_a_gpu_is_served_by_the_python_backend_on_the_cpu(
    tmp_path: Path, wheel: TritonWheel, group: str
) -> None:
    model = tmp_path / "models" / "m"
    (model / "1").mkdir(parents=True)
    (model / "1" / "model.onnx").write_bytes(b"onnx")
    (model / "config.pbtxt").write_text(f'name: "m"\nbackend: "onnxruntime"\n{group}')
    prepare(wheel, tmp_path / "models", tmp_path / "out", RUNNER)
    config = (tmp_path / "out/models/m/config.pbtxt").read_text()
    assert 'backend: "python"' in config and "onnxruntime" not in config
    assert "KIND_CPU" in config and "KIND_GPU" not in config
    assert (tmp_path / "out/models/m/1/model.py").is_file()


@pytest.mark.requirement("DX-CLI-06")
def test_every_model_of_the_project_is_prepared(tmp_path: Path, wheel: TritonWheel) -> None:
    prepare(wheel, MODELS, tmp_path / "out", RUNNER)
    made = {path.name for path in (tmp_path / "out" / "models").iterdir()}
    assert made == {path.parent.name for path in MODELS.glob("*/config.pbtxt")} and made


@pytest.mark.requirement("DX-CLI-06")
def test_without_the_wheel_there_is_none(tmp_path: Path) -> None:
    assert find_wheel(tmp_path) is None
