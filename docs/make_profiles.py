"""Write docs/profiles.md and docs/profiles.json from services/gateway/profiles."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson

from services.gateway.profiles.definitions import (
    PREFIX,
    R4,
    VALUE_SETS,
    codes_of,
    profiles,
    table,
    terminology,
)

Json = Mapping[str, Any]

FOLDER = Path(__file__).parent
HEAD = files("services.gateway.profiles").joinpath("introduction.md")


def bundle() -> bytes:
    """Return every definition in one collection Bundle."""
    resources = [*profiles().values(), *terminology()]
    made = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": each["url"], "resource": each} for each in resources],
    }
    return orjson.dumps(made, option=orjson.OPT_INDENT_2) + b"\n"


def page() -> str:
    """Return the page."""
    rows = table("profiles.tsv")
    resources = [row["name"] for row in rows if row["type"] != "Extension"]
    extensions = [row["name"] for row in rows if row["type"] == "Extension"]
    parts = [HEAD.read_text("utf-8"), _overview(resources)]
    parts += [_profile(name) for name in resources]
    parts.append("## Extensions\n")
    parts += [_profile(name, level=3) for name in extensions]
    parts.append(_terminology())
    return "\n".join(parts).rstrip() + "\n"


def _overview(names: list[str]) -> str:
    lines = ["| profile | of | what |", "|---|---|---|"]
    for name in names:
        made = profiles()[name]
        lines.append(f"| [`{name}`](#{name}) | {_base(made)} | {made['description']} |")
    return "\n".join(lines) + "\n"


def _profile(name: str, level: int = 2) -> str:
    made = profiles()[name]
    lines = [f"{'#' * level} {name}\n", f"{made['description']} Of {_base(made)}.\n"]
    lines += ["| element | card. | constraint | note |", "|---|---|---|---|"]
    for element in made["differential"]["element"][1:]:
        path = element["id"].split(".", 1)[1]
        card = f"{element['min']}..{element['max']}" if "min" in element else ""
        note = element.get("short", "")
        lines.append(f"| `{path}` | {card} | {_constraint(element)} | {note} |")
    return "\n".join(lines) + "\n"


def _base(made: Json) -> str:
    base = str(made["baseDefinition"])
    return (
        f"R4 {base.removeprefix(R4)}" if base.startswith(R4) else f"`{base.removeprefix(PREFIX)}`"
    )


def _constraint(element: Json) -> str:
    said: list[str] = []
    for name, value in element.items():
        if name.startswith("fixed"):
            said.append(f"`{value}`")
        elif name.startswith("pattern"):
            coding = value["coding"][0] if "coding" in value else value
            said.append(f"`{coding['system']}` `{coding['code']}`")
    if "binding" in element:
        name = element["binding"]["valueSet"].removeprefix(VALUE_SETS)
        codes = ", ".join(dict.fromkeys(f"`{r['code']}`" for r in _codes(name)))
        said.append(f"one of {codes}")
    if "slicing" in element:
        each = element["slicing"]["discriminator"][0]
        said.append(f"sliced by {each['type']} of `{each['path']}`")
    for kind in element.get("type", []):
        said.append(_type(kind))
    return "; ".join(said)


def _type(kind: Json) -> str:
    if "profile" in kind:
        return f"extension `{kind['profile'][0].removeprefix(PREFIX)}`"
    if "targetProfile" in kind:
        return f"reference to {kind['targetProfile'][0].removeprefix(R4)}"
    return str(kind["code"])


def _codes(value_set: str) -> list[dict[str, str]]:
    return [row for row in table("valuesets.tsv") if row["name"] == value_set]


def _terminology() -> str:
    lines = ["## Code systems\n", "| system | code | display | meaning |", "|---|---|---|---|"]
    for row in table("codes.tsv"):
        lines.append(
            f"| `{row['system']}` | `{row['code']}` | {row['display']} | {row['definition']} |"
        )
    lines += ["", "## Value sets\n", "| value set | codes |", "|---|---|"]
    for resource in terminology():
        if resource["resourceType"] == "ValueSet":
            listed = ", ".join(f"`{code}`" for _, code in sorted(codes_of(resource["url"])))
            lines.append(f"| `{resource['url'].removeprefix(VALUE_SETS)}` | {listed} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (FOLDER / "profiles.md").write_text(page(), "utf-8")
    (FOLDER / "profiles.json").write_bytes(bundle())
