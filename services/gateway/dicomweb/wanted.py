"""What a DICOMweb address names: the study that may be seen, its series, its instances."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.gateway.access import trail
from services.gateway.call import Call
from services.gateway.dicomweb import accept, rights
from services.gateway.dicomweb.archive import Archive
from services.gateway.store.dicom import Instance, Series, Study
from services.kernel.errors import NotFound, Unavailable

_UID = re.compile(r"[0-9.]{1,64}")
RETRIEVE, QUERY = "dicom-retrieve", "dicom-query"


@dataclass(frozen=True, slots=True)
class Found:
    """What was asked for."""

    study: Study
    series: tuple[Series, ...]
    """Each with the instances that were asked for."""

    @property
    def instances(self) -> list[tuple[Series, Instance]]:
        """Every instance with its series, in order."""
        return [(series, one) for series in self.series for one in series.instances]


def archive_of(call: Call) -> Archive:
    """Return where images are read from.

    Raises
    ------
    Unavailable
        The gateway was started without them.
    """
    if call.gateway.archive is None:
        raise Unavailable("images are not served here", reason="NO_ARCHIVE")
    return call.gateway.archive


async def found(call: Call) -> Found:
    """Return what the path names.

    Raises
    ------
    Forbidden, NotFound
    """
    rights.require(call, rights.READ)
    names = [str(call.request.path_params.get(n, "")) for n in ("study", "series", "instance")]
    if any(name and not _UID.fullmatch(name) for name in names):
        raise NotFound("there is no such study, series or instance")
    study, series, instance = names
    await archive_of(call).catch_up(call.tenant)
    studies = await rights.one(call, study)
    cases = {one.case_id for one in studies}
    held = [
        s for s in await call.store.dicom.series(call.tenant, study, series) if s.case_id in cases
    ]
    kept = merged(held)
    if instance:
        kept = [narrowed for one in kept if (narrowed := only(one, instance)).instances]
    if not kept:
        raise NotFound("there is no such study, series or instance")
    return Found(studies[0], tuple(kept))


def merged(series: Sequence[Series]) -> list[Series]:
    """Return each series once, as the case with the most instances of it has it; by number."""
    best: dict[str, Series] = {}
    for one in series:
        other = best.get(one.uid)
        if other is None or len(one.instances) > len(other.instances):
            best[one.uid] = one
    return sorted(best.values(), key=lambda one: (one.made, _number(one), one.uid))


def only(series: Series, instance: str) -> Series:
    """Return the series with one instance alone."""
    kept = tuple(one for one in series.instances if one.uid == instance)
    return Series(series.case_id, series.study, series.uid, series.made, series.attributes, kept)


def _number(series: Series) -> int:
    values = series.attributes.get("00200011", {}).get("Value") or [0]
    return values[0] if isinstance(values[0], int) else 0


def accepted(call: Call) -> list[accept.Range]:
    """Return what the client can take."""
    parameters = call.request.query_params.getlist("accept")
    return accept.ranges(call.request.headers.getlist("accept"), parameters)


async def note(call: Call, found: Found, *, often: bool = False) -> None:
    """Write the audit entry of what is about to be sent.

    `often`: a viewer asks for hundreds of frames; the first of a series within five minutes
    stands for those that follow.
    """
    uids = "/".join(sorted(one.uid for one in found.series))
    who = (call.tenant, call.principal.name, call.principal.client_id, uids)
    if often and archive_of(call).noted(who):
        return
    alias = (await call.gateway.hasher_for(call.tenant))("study", found.study.uid)[:32]
    await call.audit(
        RETRIEVE,
        found.study.resource or f"study:{alias}",
        patient=found.study.patient,
        case_id=found.series[0].case_id,
        query=trail.query_of(call.request),
    )
    if often:
        archive_of(call).note(who)
