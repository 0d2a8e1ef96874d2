"""JSON Patch (RFC 6902) on a resource; a number keeps the digits it was written with. Pure."""

from __future__ import annotations

from typing import Any

import jsonpatch
import jsonpointer

from services.kernel.errors import InvalidInput, Violation

OPERATIONS_MAX = 1000
_OPERATIONS = frozenset({"add", "remove", "replace", "move", "copy", "test"})
"""What RFC 6902 has; the library knows more."""
COPIED_MAX = 100_000
"""Values that one patch may copy: each copy of a list into itself doubles it."""

Json = Any


def apply(resource: dict[str, Json], patch: Json) -> dict[str, Json]:
    """Return the resource with the patch applied; the one given stays as it is.

    Raises
    ------
    InvalidInput
        The patch is none, does not fit, or one of its tests fails. No value is quoted.
    """
    if not isinstance(patch, list) or not 0 < len(patch) <= OPERATIONS_MAX:
        raise _refused("", f"a JSON Patch is an array of 1 to {OPERATIONS_MAX} operations")
    changed: Json = duplicate(resource)
    left = COPIED_MAX
    for number, operation in enumerate(patch):
        left -= _copied(changed, operation, left)
        if left < 0:
            raise _refused(f"patch[{number}]", f"a patch may copy {COPIED_MAX} values")
        changed = _step(changed, operation, f"patch[{number}]")
    if not isinstance(changed, dict):
        raise _refused("patch", "the result must be a resource")
    return changed


def duplicate(value: Json) -> Json:
    """Return a deep copy; numbers and strings are shared, since nothing changes them."""
    if isinstance(value, dict):
        return {name: duplicate(item) for name, item in value.items()}
    if isinstance(value, list):
        return [duplicate(item) for item in value]
    return value


def _copied(resource: Json, operation: Json, most: int) -> int:
    """Return how many values a copy takes, counted no further than one over `most`."""
    if not isinstance(operation, dict) or operation.get("op") != "copy":
        return 0
    try:
        source = jsonpointer.resolve_pointer(resource, operation["from"])
    except (jsonpointer.JsonPointerException, TypeError, KeyError, AttributeError):
        return 0  # it is refused when it is applied
    return size(source, most)


def size(value: Json, most: int) -> int:
    """Return how many values there are in one, itself among them; no further than `most` + 1."""
    waiting, count = [value], 0
    while waiting and count <= most:
        value = waiting.pop()
        count += 1
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return count


def _step(resource: Json, operation: Json, at: str) -> Json:
    if not isinstance(operation, dict) or operation.get("op") not in _OPERATIONS:
        raise _refused(at, f"op must be one of {', '.join(sorted(_OPERATIONS))}")
    if not isinstance(operation.get("path"), str):
        raise _refused(at, "path must be a JSON Pointer")
    try:
        if "value" in operation:
            operation = {**operation, "value": duplicate(operation["value"])}
        return jsonpatch.JsonPatch([operation]).apply(resource, in_place=True)
    except jsonpatch.JsonPatchTestFailed as error:
        raise _refused(at, "the test is not met", reason="PATCH_TEST_FAILED") from error
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise _refused(at, "does not fit the resource") from error
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise _refused(at, "cannot be applied") from error


def _refused(at: str, problem: str, reason: str = "PATCH_NOT_APPLICABLE") -> InvalidInput:
    return InvalidInput("the patch cannot be applied", [Violation(at, problem)], reason=reason)
