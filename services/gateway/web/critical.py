"""Critical results on the pages: what was told, who read it, and the button to say so."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response

from services.gateway.call import Call, form_of
from services.gateway.critical import acknowledging, communication
from services.gateway.critical.communication import KIND
from services.gateway.fhir import allowed
from services.gateway.progress import Case, to_instant
from services.gateway.store.critical import OPEN, READ, WITHDRAWN, Notice
from services.gateway.web import pages, sight
from services.kernel import fhir
from services.kernel.errors import Conflict

MINUTE_US = 60_000_000
IDS_MAX = 200


@dataclass(frozen=True, slots=True)
class Told:
    """One critical result as a page shows it."""

    id: str
    state: str
    """open, read or withdrawn."""
    flag: str
    text: str
    language: str
    sent: str
    minutes: int
    """Since it was sent."""
    escalations: int
    readers: tuple[tuple[str, str], ...]
    """Who read it, and when."""

    @property
    def unread(self) -> bool:
        """Whether nobody has read it."""
        return self.state == OPEN


async def of_cases(call: Call, cases: Sequence[Case]) -> dict[str, list[Told]]:
    """Return what was told of some cases and may be shown, by case id; unread first."""
    found = await call.store.critical.of_cases(call.tenant, [case.case_id for case in cases])
    if not found:
        return {}
    keys = [(KIND, notice.id) for notice in found]
    stored = {one.id: one for one in await call.store.resources.find_many(call.tenant, keys)}
    visibility = call.principal.rights.visibility("r")
    shown: dict[str, list[Told]] = defaultdict(list)
    now_us = time.time_ns() // 1000
    order = (OPEN, READ, WITHDRAWN)
    for notice in sorted(found, key=lambda each: (order.index(each.state), each.sent_us)):
        one = stored.get(notice.id)
        if one and not one.deleted and allowed.sees(visibility, one):
            shown[notice.case_id].append(_told(notice, fhir.parse(one.content), now_us))
    return shown


def _told(notice: Notice, resource: dict[str, object], now_us: int) -> Told:
    return Told(
        notice.id,
        notice.state,
        communication.flag_of(resource),
        communication.text_of(resource),
        str(resource.get("language", "en")),
        to_instant(notice.sent_us),
        max(0, (now_us - notice.sent_us) // MINUTE_US),
        notice.escalations,
        tuple(communication.readers(resource)),
    )


async def of_case(call: Call, case: Case) -> list[Told]:
    """Return what was told of a case and may be shown."""
    return (await of_cases(call, [case])).get(case.case_id, [])


async def acknowledge(call: Call) -> Response:
    """Note that the physician read what the page showed; answers with the section anew."""
    case = await sight.case(call)
    form = await form_of(call.request)
    wanted = {str(value) for value in form.getlist("notice")[:IDS_MAX]}
    known = {each.id: each for each in await of_case(call, case)}
    if any(known[each].state == WITHDRAWN for each in wanted & known.keys()):
        raise Conflict("a notice was withdrawn meanwhile", reason="NOTICE_WITHDRAWN")
    if ids := sorted(wanted & known.keys()):
        reader, person = await acknowledging.themselves(call)
        await acknowledging.acknowledge(call, ids, reader, "acknowledge", person=person)
    if not call.request.headers.get("hx-request"):
        return RedirectResponse(f"{call.root}/cases/{case.case_id}", 303)
    told = await of_case(call, case)
    return pages.render(call.request, "case_critical.html", call=call, case=case, told=told)
