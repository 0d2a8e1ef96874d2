"""A slow and obvious search, to hold the real one against: it reads every resource, each time.

It shares no code with the gateway, knows only the parameters it names, and follows the text of
the R4 search page. Loaded by the conftest beside it.
"""

from __future__ import annotations

from typing import Any

from tests.gateway.search.reference_values import (
    TESTS,
    Json,
    get,
    quantity,
    token,
)

PARAMETERS: dict[str, dict[str, tuple[str, list[str]]]] = {
    "Patient": {
        "_id": ("token", ["id"]),
        "_tag": ("token", ["meta.tag"]),
        "name": ("string", ["name"]),
        "family": ("string", ["name.family"]),
        "given": ("string", ["name.given"]),
        "address-city": ("string", ["address.city"]),
        "gender": ("token", ["gender"]),
        "active": ("token", ["active"]),
        "identifier": ("token", ["identifier"]),
        "birthdate": ("date", ["birthDate"]),
        "organization": ("reference", ["managingOrganization"]),
    },
    "Observation": {
        "_id": ("token", ["id"]),
        "status": ("token", ["status"]),
        "code": ("token", ["code"]),
        "category": ("token", ["category"]),
        "combo-code": ("token", ["code", "component.code"]),
        "date": ("date", ["effectiveDateTime", "effectivePeriod", "effectiveInstant"]),
        "subject": ("reference", ["subject"]),
        "patient": ("reference", ["subject"]),
        "performer": ("reference", ["performer"]),
        "value-quantity": ("quantity", ["valueQuantity"]),
        "combo-value-quantity": ("quantity", ["valueQuantity", "component.valueQuantity"]),
        "value-string": ("string", ["valueString"]),
    },
    "RiskAssessment": {
        "probability": ("number", ["prediction.probabilityDecimal"]),
        "subject": ("reference", ["subject"]),
    },
    "ValueSet": {"url": ("uri", ["url"])},
    "Organization": {"name": ("string", ["name", "alias"])},
}


class Reference:
    """Everything that was stored, by type, in the order it came."""

    def __init__(self, resources: list[Json]) -> None:
        self.resources = resources

    def search(self, kind: str, pairs: list[tuple[str, str]]) -> list[Json]:
        """Return the matches, last stored first."""
        return [
            r
            for r in reversed(self.resources)
            if r["resourceType"] == kind and all(self.meets(r, *pair) for pair in pairs)
        ]

    def meets(self, resource: Json, name: str, value: str) -> bool:
        if name.startswith("_has:"):
            _, kind, link, rest = name.split(":", 3)
            me = f"{resource['resourceType']}/{resource['id']}"
            return any(
                me in [n.get("reference") for n in self.nodes(other, link)]
                for other in self.search(kind, [(rest, value)])
            )
        head, dot, rest = name.partition(".")
        code, _, modifier = head.partition(":")
        nodes = self.nodes(resource, code)
        if dot:
            targets = [n.get("reference") for n in nodes]
            return any(
                f"{r['resourceType']}/{r['id']}" in targets
                and (not modifier or r["resourceType"] == modifier)
                and rest.partition(".")[0].partition(":")[0] in PARAMETERS[r["resourceType"]]
                and self.meets(r, rest, value)
                for r in self.resources
            )
        if modifier == "missing":
            return (not nodes) == (value == "true")
        if code in ("code-value-quantity", "component-code-value-quantity"):
            return self.composite(resource, code, value)
        test = TESTS[PARAMETERS[resource["resourceType"]][code][0]]
        wanted = value.split(",")
        if modifier == "not":
            return not any(test(node, "", text) for node in nodes for text in wanted)
        return any(test(node, modifier, text) for node in nodes for text in wanted)

    def nodes(self, resource: Json, code: str) -> list[Any]:
        known = PARAMETERS[resource["resourceType"]]
        if code not in known:
            return []
        found = [node for path in known[code][1] for node in get(resource, path)]
        if code == "patient":
            found = [n for n in found if n.get("reference", "").startswith("Patient/")]
        return found

    def composite(self, resource: Json, code: str, value: str) -> bool:
        groups = [resource] if code[0] == "c" and code[2] == "d" else resource.get("component", [])
        first, second = value.split("$")
        return any(
            token(group["code"], "", first)
            and "valueQuantity" in group
            and quantity(group["valueQuantity"], second)
            for group in groups
        )
