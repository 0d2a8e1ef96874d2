"""When a study is ready: every instance that the order states is here, or it was quiet. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeInstance

from services.ingest import studies
from services.ingest.studies import NamedStudy


@dataclass(frozen=True, slots=True)
class Arrived:
    """What has arrived of a study that a submission names."""

    study: NamedStudy
    instances: Sequence[IntakeInstance]
    were_used: bool
    """An earlier case has used it up: nothing more is to be expected."""
    last: datetime | None
    """When its newest instance came."""

    @property
    def is_whole(self) -> bool:
        """Whether everything that the order states is here; False where it states nothing."""
        if self.were_used:
            return True
        stated = self.study.count or any(
            series.count or series.instances for series in self.study.series.values()
        )
        lacking = studies.missing(self.study, self.instances, were_used=False)
        return bool(stated) and next(lacking, None) is None


def awaited(
    found: Sequence[Arrived], since: datetime, now: datetime, quiet_s: float, latest: datetime
) -> list[Arrived]:
    """Return the studies that are still awaited; none: the case can begin.

    A study that is not whole is awaited until nothing came for `quiet_s` seconds, counted from
    its newest instance or from the submission (`since`), and never beyond `latest`.
    """
    if now >= latest:
        return []
    quiet = timedelta(seconds=quiet_s)
    return [
        each for each in found if not each.is_whole and now - max(each.last or since, since) < quiet
    ]
