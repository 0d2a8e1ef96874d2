"""Our StructureDefinitions, CodeSystems and ValueSets, built from the tables beside this file.

Differentials alone: a snapshot repeats R4, and every validator makes its own. Pure.

Source: R4 StructureDefinition, ElementDefinition; profiling, 2.7 (slicing and discriminators).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

Json = dict[str, Any]

PREFIX = "urn:dxmesh:fhir:StructureDefinition:"
VALUE_SETS = "urn:dxmesh:fhir:ValueSet:"
R4 = "http://hl7.org/fhir/StructureDefinition/"
_OWN_URL = {"step-state": "urn:dxmesh:step-state"}
"""Extensions that are older than the naming rule."""
_ORDER = {
    "DiagnosticReport": (
        "meta language extension identifier basedOn status category code subject issued "
        "performer resultsInterpreter result imagingStudy media conclusion conclusionCode "
        "presentedForm"
    ),
    "Observation": (
        "meta extension status category code subject performer value[x] interpretation note "
        "bodySite method device referenceRange derivedFrom component"
    ),
    "DocumentReference": (
        "meta extension masterIdentifier identifier status type subject author content context"
    ),
    "RiskAssessment": "meta status method code subject basis prediction mitigation note",
    "DetectedIssue": (
        "meta status code severity patient implicated evidence detail reference mitigation"
    ),
    "FamilyMemberHistory": "meta status patient relationship condition",
    "Media": "meta extension identifier status subject height width content",
    "Device": "identifier status deviceName type version",
    "Provenance": "meta extension target recorded reason activity agent entity",
}
"""Order of the elements in R4, in which a differential must name them."""


def url_of(name: str) -> str:
    """Return the canonical address of a profile or extension."""
    return _OWN_URL.get(name, PREFIX + name)


@cache
def profiles() -> dict[str, Json]:
    """Return every StructureDefinition by its name."""
    rules: dict[str, list[dict[str, str]]] = {}
    for row in table("rules.tsv"):
        rules.setdefault(row["profile"], []).append(row)
    return {row["name"]: _definition(row, rules[row["name"]]) for row in table("profiles.tsv")}


@cache
def terminology() -> list[Json]:
    """Return every CodeSystem and ValueSet."""
    systems: dict[str, list[Json]] = {}
    for row in table("codes.tsv"):
        concept = {name: row[name] for name in ("code", "display", "definition") if row[name]}
        systems.setdefault(row["system"], []).append(concept)
    sets: dict[str, dict[str, list[Json]]] = {}
    for row in table("valuesets.tsv"):
        included = sets.setdefault(row["name"], {}).setdefault(row["system"], [])
        included.append({"code": row["code"]})
    return [*(_system(*item) for item in systems.items()), *(_set(*i) for i in sets.items())]


def codes_of(value_set: str) -> set[tuple[str, str]]:
    """Return (system, code) of everything in a value set, by its canonical address."""
    name = value_set.removeprefix(VALUE_SETS)
    return {(r["system"], r["code"]) for r in table("valuesets.tsv") if r["name"] == name}


@cache
def table(name: str) -> list[dict[str, str]]:
    """Return the rows of a table beside this file; "#" begins a comment."""
    text = files("services.gateway.profiles").joinpath(name).read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    head, *rows = (line.split("\t") for line in lines)
    return [dict(zip(head, row, strict=True)) for row in rows]


def _definition(row: dict[str, str], rules: list[dict[str, str]]) -> Json:
    kind, name = row["type"], row["name"]
    made = _head("StructureDefinition", name, url_of(name), row["title"], row["about"])
    made |= {"fhirVersion": "4.0.1"}
    made |= {"kind": "complex-type" if kind == "Extension" else "resource", "abstract": False}
    if row["context"]:
        made["context"] = [{"type": "element", "expression": _context(row["context"], name)}]
    made["type"] = kind
    made["baseDefinition"] = url_of(row["parent"]) if row["parent"] else R4 + kind
    made["derivation"] = "constraint"
    made["differential"] = {"element": _elements(kind, name, row, rules)}
    return made


def _context(kind: str, name: str) -> str:
    """Return where an extension may stand: on the resource, or on the element it is used on."""
    below = dict.fromkeys(
        ("source-span", "step-state", "hours-before", "evidence", "points"), "Element"
    )
    return below.get(name, kind)


def _elements(kind: str, name: str, row: dict[str, str], rules: list[dict[str, str]]) -> list[Json]:
    root: Json = {"id": kind, "path": kind, "short": row["title"], "definition": row["about"]}
    found: dict[str, Json] = {}
    order = _ORDER.get(kind, "").split()
    if order:
        rules = sorted(rules, key=lambda r: order.index(r["path"].partition(".")[0].split(":")[0]))
    for rule in rules:
        element = found.setdefault(rule["path"], _element(kind, rule["path"]))
        if rule["card"]:
            low, _, high = rule["card"].partition("..")
            element |= {"min": int(low), "max": high}
        if rule["note"]:
            element["short"] = rule["note"]
        _constrain(element, rule["rule"], rule["value"])
    if kind == "Extension":
        url = {"id": "Extension.url", "path": "Extension.url", "fixedUri": url_of(name)}
        found["url"] = url
        place = {"extension": 0, "url": 1, "value[x]": 2}
        return [root, *sorted(found.values(), key=lambda e: place[_top(e["id"])])]
    return [root, *found.values()]


def _top(element_id: str) -> str:
    return element_id.split(".", 2)[1].partition(":")[0]


def _element(kind: str, path: str) -> Json:
    plain = ".".join(step.partition(":")[0] for step in path.split("."))
    made: Json = {"id": f"{kind}.{path}", "path": f"{kind}.{plain}"}
    slice_name = path.rpartition(".")[2].partition(":")[2]
    return made | ({"sliceName": slice_name} if slice_name else {})


def _constrain(element: Json, rule: str, value: str) -> None:
    what, _, kind = rule.partition(":")
    if what == "fixed":
        element[f"fixed{kind.capitalize()}"] = value
    elif what == "pattern":
        system, _, code = value.rpartition("|")
        coding = {"system": system, "code": code}
        element[f"pattern{kind}"] = {"coding": [coding]} if kind == "CodeableConcept" else coding
        if element["path"].endswith("value[x]"):
            element["type"] = [{"code": kind}]
    elif what == "binding":
        element["binding"] = {"strength": "required", "valueSet": VALUE_SETS + value}
    elif what == "slicing":
        how, _, path = value.partition(":")
        element["slicing"] = {"discriminator": [{"type": how, "path": path}], "rules": "open"}
    elif what == "extension":
        element["type"] = [{"code": "Extension", "profile": [url_of(value)]}]
    elif what == "target":
        element["type"] = [{"code": "Reference", "targetProfile": [R4 + value]}]
    elif what == "type":
        element["type"] = [{"code": value}]


def _system(url: str, concepts: list[Json]) -> Json:
    name = url.removeprefix("urn:dxmesh:")
    made = _head("CodeSystem", name, url, name, f"Codes of dxmesh: {name}.")
    return made | {
        "caseSensitive": True,
        "content": "complete",
        "count": len(concepts),
        "concept": concepts,
    }


def _set(name: str, systems: dict[str, list[Json]]) -> Json:
    made = _head("ValueSet", name, VALUE_SETS + name, name, f"What a profile binds to: {name}.")
    included = [{"system": system, "concept": codes} for system, codes in systems.items()]
    return made | {"compose": {"include": included}}


def _head(kind: str, name: str, url: str, title: str, about: str) -> Json:
    return {
        "resourceType": kind,
        "id": f"dxmesh-{name}",
        "url": url,
        "name": "Dx" + "".join(part.capitalize() for part in name.split("-")),
        "title": title,
        "status": "active",
        "publisher": "dxmesh",
        "description": about,
    }
