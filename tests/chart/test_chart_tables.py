"""A laboratory's own tables are mounted where the services that read them look."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.render import case


def pod_of(documents: list[dict[str, Any]], name: str) -> dict[str, Any]:
    found = next(
        d for d in documents if d["kind"] == "Deployment" and d["metadata"]["name"].endswith(name)
    )
    pod: dict[str, Any] = found["spec"]["template"]["spec"]
    return pod


@pytest.mark.requirement("DX-LDU-02")
@pytest.mark.parametrize(
    ("service", "setting", "table"),
    [
        ("labs", "DX_LABS_CRITICAL_LIMITS_DIR", "limits"),
        ("labs", "DX_LABS_RANGES_DIR", "ranges"),
        ("labs", "DX_LABS_MAPPINGS_DIR", "codes"),
        ("anonymization", "DX_ANONYMIZATION_CODE_MAPPINGS_DIR", "codes"),
    ],
)
def test_table_lies_where_its_setting_points(service: str, setting: str, table: str) -> None:
    pod = pod_of(case("everything"), f"-{service}")
    (container,) = pod["containers"]
    folders = {each["name"]: each.get("value") for each in container["env"]}
    mounted = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
    maps = {v["name"]: v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v}
    assert maps[mounted[str(folders[setting])]] == table


@pytest.mark.requirement("DX-LDU-02")
def test_nothing_is_mounted_where_no_table_is_named() -> None:
    documents = case("default")
    assert "code-mappings" not in str(documents)
    assert "CODE_MAPPINGS_DIR" not in str(documents)
