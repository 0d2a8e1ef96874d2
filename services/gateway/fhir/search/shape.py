"""Resources cut down to what `_summary` or `_elements` asks for. Pure.

What must be there stays, and `meta.tag` says that the resource is not whole. Source: FHIR R4,
search.html 3.1.1.5.8 (_summary), 3.1.1.5.9 (_elements); v3-ObservationValue SUBSETTED.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.gateway.fhir.search.schema import Element, elements

SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
}
_ALWAYS = ("resourceType", "id", "meta", "implicitRules")

Resource = Mapping[str, Any]


def shaped(resource: Resource, summary: str = "", names: Sequence[str] = ()) -> Resource:
    """Return a resource as `_summary` (true, text or data) or `_elements` asks; else the same."""
    kind = str(resource.get("resourceType"))
    known = elements(kind)
    if summary == "true":
        kept = {
            name: _summary(value, known.get(_plain(name)))
            for name, value in resource.items()
            if name in _ALWAYS or _of(known, name, "summary")
        }
    elif summary == "data":
        kept = {name: value for name, value in resource.items() if name != "text"}
    elif summary == "text" or names:
        wanted = {"text"} if summary else set(names)
        kept = {
            name: value
            for name, value in resource.items()
            if name in _ALWAYS or _of(known, name, "required") or _base(known, name) in wanted
        }
    else:
        return resource
    return _marked(kept)


def _marked(resource: dict[str, Any]) -> dict[str, Any]:
    meta = resource.get("meta")
    meta = dict(meta) if isinstance(meta, dict) else {}
    tags = meta.get("tag")
    meta["tag"] = [*(tags if isinstance(tags, list) else []), SUBSETTED]
    head = {name: resource[name] for name in ("resourceType", "id") if name in resource}
    return head | {"meta": meta} | {n: v for n, v in resource.items() if n not in (*head, "meta")}


def _plain(name: str) -> str:
    return name.removeprefix("_")


def _base(known: Mapping[str, Element], name: str) -> str:
    """Return the element a JSON name is of: value for valueQuantity or _valueString."""
    plain = _plain(name)
    if plain in known:
        return plain
    for element in known.values():
        if element.choice and plain.startswith(element.name):
            return element.name
    return plain


def _of(known: Mapping[str, Element], name: str, mark: str) -> bool:
    element = known.get(_base(known, name))
    return element is not None and bool(getattr(element, mark))


def _summary(value: Any, element: Element | None) -> Any:
    """Return a value without the elements of a backbone that are not of the summary."""
    if element is None or "." not in element.types[0]:
        return value
    if isinstance(value, list):
        return [_summary(item, element) for item in value]
    if not isinstance(value, dict):
        return value
    known = elements(element.types[0])
    return {
        name: _summary(item, known.get(_plain(name)))
        for name, item in value.items()
        if name == "id" or _of(known, name, "summary") or _of(known, name, "required")
    }
