"""$acknowledge: POST /fhir/Communication/{id}/$acknowledge. Somebody read a critical result.

A physician, or an app on their behalf, reads for themselves. A system says who read it:
Parameters with `reader`, a Reference to a Practitioner or PractitionerRole by its address or
by its identifier. Every Communication of the notice, escalations too, is `completed`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from services.gateway.access.principal import Role
from services.gateway.call import Call
from services.gateway.critical.acknowledging import acknowledge as note
from services.gateway.critical.acknowledging import themselves
from services.gateway.critical.communication import KIND, Reader
from services.gateway.fhir import allowed, answers, conditions, content
from services.kernel import fhir
from services.kernel.errors import InvalidInput, Precondition, Violation

PEOPLE = ("Practitioner", "PractitionerRole")
_LITERAL = re.compile(rf"({'|'.join(PEOPLE)})/[A-Za-z0-9.-]{{1,64}}")
TEXT_CHARS_MAX = 256


async def acknowledge(call: Call) -> Response:
    """Note who read a notice; answer with the Communication as it is then."""
    resource_id = content.id_of(call.path("id"), KIND)
    answers.accept_json(call.request)
    given = _given(await content.read_parameters(call))
    rights = call.principal.rights
    stored = await call.store.resources.read(call.tenant, KIND, resource_id)
    allowed.require_seen(rights.visibility("r"), stored)
    allowed.require_change(rights, "u", KIND, [fhir.parse(stored.content)])
    conditions.require(call.request.headers, stored.version)
    notice = await call.store.critical.of_communication(call.tenant, resource_id)
    if notice is None:
        raise Precondition("this Communication tells no critical result", reason="NO_NOTICE")
    reader, person = await _reader(call, given)
    await note(call, [notice.id], reader, "$acknowledge", person=person)
    return answers.resource(await call.store.resources.read(call.tenant, KIND, resource_id))


def _given(parameters: Sequence[tuple[str, Any]]) -> Any:
    """Return the reader that is stated; None: there is none."""
    if any(name != "reader" for name, _ in parameters):
        raise _refused("it is the only parameter")
    if len(parameters) > 1:
        raise _refused("one person reads; say the next one in another request")
    return parameters[0][1] if parameters else None


async def _reader(call: Call, given: Any) -> tuple[Reader, dict[str, Any] | None]:
    if call.principal.role == Role.PHYSICIAN:
        if given is not None:
            raise _refused("a physician reads for themselves")
        return await themselves(call)
    if not isinstance(given, dict):
        raise _refused("say who read it: a Reference to a Practitioner or PractitionerRole")
    display = given.get("display", "")
    literal = str(given.get("reference", "")).removeprefix(f"{call.base_url}/fhir/")
    known = given.get("identifier")
    if not isinstance(display, str) or len(display) > TEXT_CHARS_MAX:
        raise _refused("its display is a text of at most 256 characters")
    if _LITERAL.fullmatch(literal):
        return Reader({"reference": literal}, display), None
    pair: dict[str, Any] = {}
    if isinstance(known, dict) and given.get("type") in PEOPLE:
        pair = {name: known.get(name) for name in ("system", "value")}
    if not all(isinstance(each, str) and 0 < len(each) <= TEXT_CHARS_MAX for each in pair.values()):
        pair = {}
    if not pair:
        raise _refused("it has an address, or `type` and `identifier` with system and value")
    return Reader({"type": given["type"], "identifier": pair}, display), None


def _refused(problem: str) -> InvalidInput:
    found = [Violation("Parameters.parameter.where(name = 'reader')", problem)]
    return InvalidInput("the reader cannot be used", found, reason="BAD_REQUEST")
