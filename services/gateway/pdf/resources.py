"""Looking into the resources of a Bundle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]


def of_type(bundle: Json, kind: str) -> list[Json]:
    """Return the resources of a type, in order."""
    found = (entry["resource"] for entry in bundle["entry"])
    return [resource for resource in found if resource["resourceType"] == kind]


def codes(concept: Json) -> list[str]:
    """Return the codes of a CodeableConcept."""
    return [str(coding.get("code", "")) for coding in concept.get("coding", [])]


def components(resource: Json) -> dict[str, Json]:
    """Return an Observation's components by code."""
    return {
        code: component
        for component in resource.get("component", [])
        for code in codes(component.get("code", {}))
    }


def written(quantity: Json | None) -> str:
    """Return a Quantity's number digit for digit, with its comparator; empty: none."""
    if not quantity or "value" not in quantity:
        return ""
    number = quantity["value"]
    return f"{quantity.get('comparator', '')}{getattr(number, 'written', number)}"


def shown(quantity: Json | None) -> str:
    """Return a Quantity with its unit."""
    unit = (quantity or {}).get("unit", (quantity or {}).get("code", ""))
    return f"{written(quantity)} {unit if unit != '1' else ''}".strip()


def name_of(references: Mapping[str, Json], reference: Json) -> Json:
    """Return the resource a Reference names; empty when it is not in the Bundle."""
    return references.get(str(reference.get("reference", "")), {})


def by_reference(bundle: Json) -> dict[str, Json]:
    """Return every resource by its relative reference."""
    resources = (entry["resource"] for entry in bundle["entry"])
    return {f"{each['resourceType']}/{each['id']}": each for each in resources if "id" in each}


def first(items: Sequence[Json]) -> Json:
    """Return the first of the items; empty when there is none."""
    return items[0] if items else {}


def extensions(resource: Json, name: str) -> Iterator[dict[str, Any]]:
    """Yield the inner values of a resource's compound extensions of one name."""
    for extension in resource.get("extension", []):
        if str(extension.get("url", "")).endswith(f":{name}"):
            yield {
                part["url"]: next((v for k, v in part.items() if k.startswith("value")), None)
                for part in extension.get("extension", [])
            }
