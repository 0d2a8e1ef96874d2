"""FHIRPath Patch: a Parameters resource of operations on elements. Pure.

Source: R4 fhirpatch. Which paths are served: `element_path`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.gateway.fhir import schema
from services.gateway.fhir.element_path import Place, find
from services.gateway.fhir.json_patch import OPERATIONS_MAX, duplicate, size
from services.gateway.fhir.schema import Model
from services.kernel.errors import InvalidInput, Violation

COST_MAX = 2_000_000
"""Operations times values of the resource: each may look through all of it, under a lock."""

Json = Any
Parts = dict[str, Mapping[str, Json]]


def apply(resource: dict[str, Json], parameters: Mapping[str, Json]) -> dict[str, Json]:
    """Return the resource with the operations done in their order; the one given stays.

    Raises
    ------
    InvalidInput
        With the number of the operation that does not fit. No value is quoted.
    """
    operations = parameters.get("parameter")
    if not isinstance(operations, list) or not 0 < len(operations) <= OPERATIONS_MAX:
        raise _refused(f"1 to {OPERATIONS_MAX} operations are needed")
    most = COST_MAX // len(operations)
    if size(resource, most) > most:
        raise _refused("too many operations on so large a resource; send several patches")
    changed: dict[str, Json] = duplicate(resource)
    for number, operation in enumerate(operations):
        try:
            _step(changed, operation)
        except InvalidInput as error:
            at = f"Parameters.parameter[{number}]"
            found = [Violation(f"{at}.{v.path}".rstrip("."), v.problem) for v in error.violations]
            raise InvalidInput(error.message, found, reason=error.reason) from error
    return changed


def _step(resource: dict[str, Json], operation: Json) -> None:
    if not isinstance(operation, Mapping) or operation.get("name") != "operation":
        raise _refused("every parameter is named operation")
    listed = operation.get("part")
    parts: Parts = {}
    for part in listed if isinstance(listed, list) else []:
        if isinstance(part, Mapping) and isinstance(part.get("name"), str):
            parts[part["name"]] = part
    places = find(resource, _string(parts, "path"))
    kind = _string(parts, "type")
    if kind == "add":
        _add(_one(places), _string(parts, "name"), parts)
    elif kind == "insert":
        held = _list_of(places)
        index = _index(parts, "index", len(held))
        held.insert(index, _value(parts, _model(places)))
    elif kind == "delete":
        if places:
            _delete(resource, _one(places))
    elif kind == "replace":
        place = _one(places)
        if place.key == "":
            raise _refused("the whole resource cannot be replaced", "path")
        _replace(place, parts)
    elif kind == "move":
        held = _list_of(places)
        source = _index(parts, "source", len(held) - 1)
        held.insert(_index(parts, "destination", len(held) - 1), held.pop(source))
    else:
        raise _refused("add, insert, delete, replace or move", "type")


def _add(place: Place, name: str, parts: Parts) -> None:
    node = place.value
    if not isinstance(node, dict):
        raise _refused("nothing can be added to a primitive", "path")
    known = schema.elements(place.model) if place.model else {}
    written = name
    if name not in known and place.model:
        suffix = next((k[5:] for k in parts.get("value", {}) if k.startswith("value")), "")
        written = name + suffix
        if written not in known or known[written].choice != name:
            raise _refused("there is no such element", "name")
        if any(form.name in node for form in schema.choices(place.model, name)):
            raise _refused("the element is there already; replace it", "name")
    element = known.get(written)
    value = _value(parts, element.model if element else None)
    if (element and element.many) or isinstance(node.get(written), list):
        node.setdefault(written, []).append(value)
    elif written in node:
        raise _refused("the element is there already; replace it", "name")
    else:
        node[written] = value


def _replace(place: Place, parts: Parts) -> None:
    value = _value(parts, place.model)
    known = schema.elements(place.owner) if place.owner else {}
    name = place.key
    if name in known and (choice := known[name].choice):
        # A choice may change its type: valueString is replaced by valueQuantity.
        suffix = next((k[5:] for k in parts["value"] if k.startswith("value")), "")
        if choice + suffix in known:
            name = choice + suffix
            place.container.pop(place.key)
            place.container.pop(f"_{place.key}", None)
    place.container[name] = value


def _delete(resource: dict[str, Json], place: Place) -> None:
    if place.key == "":
        raise _refused("the resource itself is deleted by DELETE", "path")
    if isinstance(place.container, dict):
        place.container.pop(place.key)
        place.container.pop(f"_{place.key}", None)
        _drop_empty(resource)
        return
    owner, name = _owner(resource, place.container)
    beside = owner.get(f"_{name}")
    place.container.pop(place.key)
    if isinstance(beside, list) and place.key < len(beside):
        beside.pop(place.key)
        if all(item is None for item in beside):
            owner.pop(f"_{name}")
    _drop_empty(resource)


def _owner(node: Json, held: list[Json]) -> tuple[dict[str, Json], str]:
    """Return the object and the name under which a list stands."""
    for name, value in node.items() if isinstance(node, dict) else ():
        if value is held:
            return node, name
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict):
                found = _owner(inner, held)
                if found[1]:
                    return found
    return {}, ""


def _drop_empty(node: dict[str, Json]) -> None:
    """Take away objects and lists with nothing in them: R4 json does not allow them."""
    for name, value in list(node.items()):
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict):
                _drop_empty(inner)
        if isinstance(value, list):
            value[:] = [inner for inner in value if inner != {}]
        if value in ({}, []):
            node.pop(name)


def _one(places: list[Place]) -> Place:
    if len(places) != 1:
        raise _refused("the path must lead to exactly one element", "path")
    return places[0]


def _list_of(places: list[Place]) -> list[Json]:
    held = places[0].container if places else None
    if not isinstance(held, list) or any(place.container is not held for place in places):
        raise _refused("the path must lead to one list", "path")
    return held


def _model(places: list[Place]) -> Model | None:
    return places[0].model if places else None


def _value(parts: Parts, model: Model | None) -> Json:
    if "value" not in parts:
        raise _refused("a value is needed", "value")
    return _of_part(parts["value"], model)


def _of_part(part: Mapping[str, Json], model: Model | None) -> Json:
    """Return the value of a part: a value[x], a resource, or an element made of parts."""
    given = [name for name in part if name.startswith("value") or name == "resource"]
    if len(given) == 1 and "part" not in part:
        return duplicate(part[given[0]])
    listed = part.get("part")
    if given or not isinstance(listed, list) or not listed:
        raise _refused("exactly one value", "value")
    known = schema.elements(model) if model else {}
    made: dict[str, Json] = {}
    for inner in listed:
        name = inner.get("name") if isinstance(inner, Mapping) else None
        if not isinstance(name, str):
            raise _refused("a part without a name", "value")
        suffix = next((key[5:] for key in inner if key.startswith("value")), "")
        if name not in known and name + suffix in known:
            name += suffix
        element = known.get(name)
        value = _of_part(inner, element.model if element else None)
        if element and element.many:
            made.setdefault(name, []).append(value)
        elif name in made:
            raise _refused("the same part twice", "value")
        else:
            made[name] = value
    return made


def _string(parts: Parts, name: str) -> str:
    part = parts.get(name, {})
    value = next((part[key] for key in ("valueString", "valueCode") if key in part), None)
    if not isinstance(value, str):
        raise _refused("a valueString (type: a valueCode) is needed", name)
    return value


def _index(parts: Parts, name: str, largest: int) -> int:
    value = parts.get(name, {}).get("valueInteger")
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= largest:
        raise _refused(f"a valueInteger from 0 to {largest}", name)
    return value


def _refused(problem: str, at: str = "") -> InvalidInput:
    violations = [Violation(at, problem)]
    return InvalidInput("the patch cannot be applied", violations, reason="PATCH_NOT_APPLICABLE")
