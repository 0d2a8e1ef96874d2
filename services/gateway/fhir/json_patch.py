"""JSON Patch (RFC 6902) on a resource; a number keeps the digits it was written with. Pure."""

from __future__ import annotations

import math
from typing import Any

import jsonpatch
import jsonpointer

from services.kernel.errors import InvalidInput, Violation
from services.kernel.fhir import DEPTH_MAX

OPERATIONS_MAX = 1000
_OPERATIONS = frozenset({"add", "remove", "replace", "move", "copy", "test"})
"""What RFC 6902 has; the library knows more."""
COPIED_MAX = 100_000
"""Values that one patch may copy or move: each copy of a list into itself doubles it."""
RESULT_CHARS_MAX = 16 << 20
"""Characters of a patched resource, about; a copied text counts each time."""

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
        taken, depth = _taken(changed, operation, left)
        left -= taken
        if left < 0:
            raise _refused(f"patch[{number}]", f"a patch may copy or move {COPIED_MAX} values")
        if depth > DEPTH_MAX:
            raise _refused(f"patch[{number}]", f"the result is nested deeper than {DEPTH_MAX}")
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


def require_bounded(resource: Json) -> None:
    """Let a patched resource pass that could also have been sent as a whole.

    Raises
    ------
    InvalidInput
    """
    _, depth, chars = extent(resource, RESULT_CHARS_MAX)
    if depth > DEPTH_MAX:
        raise _refused("", f"the result is nested deeper than {DEPTH_MAX}")
    if chars > RESULT_CHARS_MAX:
        raise _refused("", f"the result is larger than {RESULT_CHARS_MAX >> 20} MiB")


def _taken(resource: Json, operation: Json, most: int) -> tuple[int, int]:
    """Return how many values an operation copies or moves, and how deep they come to stand."""
    if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
        return 0, 0  # it is refused when it is applied
    steps = operation["path"].count("/")
    if operation.get("op") not in ("copy", "move"):
        return 0, steps + extent(operation.get("value"))[1]
    try:
        source = jsonpointer.resolve_pointer(resource, operation["from"])
    except (jsonpointer.JsonPointerException, TypeError, KeyError, AttributeError):
        return 0, 0  # as above
    count, depth, _ = extent(source, values_max=most)
    return count, steps + depth


def size(value: Json, most: int) -> int:
    """Return how many values there are in one, itself among them; no further than `most` + 1."""
    return extent(value, values_max=most)[0]


def extent(
    value: Json, chars_max: float = math.inf, values_max: float = math.inf
) -> tuple[int, int, int]:
    """Return how many values there are in one, how deep they nest, about how many characters.

    Counted until one of the limits is passed.
    """
    waiting, count, deepest, chars = [(value, 1)], 0, 0, 0
    while waiting and count <= values_max and chars <= chars_max:
        value, depth = waiting.pop()
        count += 1
        chars += 2
        if isinstance(value, str):
            chars += len(value)
            continue
        if not isinstance(value, dict | list):
            continue
        deepest = max(deepest, depth)
        if isinstance(value, dict):
            chars += sum(map(len, value))
            value = value.values()
        waiting += [(inner, depth + 1) for inner in value]
    return count, deepest, chars


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
