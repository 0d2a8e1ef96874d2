"""What has arrived of a submission's studies, and the manifest that hands it on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeManifest, IntakeProblem

from services.ingest import readiness, studies
from services.ingest.limits import Defaults
from services.ingest.readiness import Arrived
from services.ingest.store.cases import Claim
from services.ingest.store.intake import Gathered, Intake
from services.ingest.studies import NamedStudy
from services.ingest.submission import Submission

AWAITED = "IMAGES_AWAITED"


@dataclass(frozen=True, slots=True)
class Found:
    """A study that a submission names, and what is here of it."""

    study: NamedStudy
    gathered: Gathered

    @property
    def arrived(self) -> Arrived:
        """What readiness is decided from."""
        here = self.gathered
        return Arrived(self.study, here.instances, here.were_used, here.last)


@dataclass(frozen=True, slots=True)
class Source:
    """What a manifest is made of besides the images."""

    read: Submission
    bundle: BlobRef
    problems: Sequence[IntakeProblem]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as it was written."""

    ref: BlobRef
    problems: Sequence[IntakeProblem]


class Gathering:
    """Reads the intake for submissions."""

    def __init__(self, intake: Intake, defaults: Defaults) -> None:
        self._intake = intake
        self._defaults = defaults

    async def gather(self, tenant: str, named: Iterable[NamedStudy], case_id: str) -> list[Found]:
        """Return what is here of each study; raises AlreadyTaken when the case has one."""
        return [
            Found(study, await self._intake.gather(tenant, study.uid, case_id)) for study in named
        ]

    def awaited(
        self, found: Sequence[Found], since: datetime, now: datetime, due: datetime
    ) -> list[Arrived]:
        """Return the studies that are waited for; the case begins while there is time to read."""
        latest = due - timedelta(seconds=self._defaults.due_s_min)
        arrived = [each.arrived for each in found]
        return readiness.awaited(arrived, since, now, self._defaults.quiet_s, latest)

    async def keys(self, tenant: str, found: Iterable[Found]) -> list[tuple[str, str]]:
        """Return key and UID of each study."""
        hasher = await self._intake.blobs.vault.hasher(tenant)
        return [(hasher("study", each.study.uid), each.study.uid) for each in found]

    async def write(self, tenant: str, source: Source, found: Sequence[Found]) -> Manifest:
        """Write the manifest of a case, in its Bundle's scope."""
        manifest = IntakeManifest(
            bundle=source.bundle,
            problems=source.problems,
            purpose=source.read.purpose,
            recipient=self._defaults.recipient,
        )
        for study, here in ((each.study, each.gathered) for each in found):
            lacking = studies.missing(study, here.instances, were_used=here.were_used)
            manifest.problems.extend(lacking)
            if here.instances:
                manifest.studies.add(study_instance_uid=study.uid, instances=here.instances)
        content = manifest.SerializeToString()
        ref = await self._intake.blobs.put(tenant, source.bundle.scope, "manifest", content)
        return Manifest(ref, list(manifest.problems))


def claims(found: Iterable[Found]) -> list[Claim]:
    """Return the uploads a case takes."""
    return [claim for each in found for claim in each.gathered.claims]


def waits_for(missing: Iterable[Arrived]) -> list[IntakeProblem]:
    """Return what the sender is told of studies that are still arriving."""
    text = "of this study {} instances are here; the case begins when it is whole or quiet"
    return [
        IntakeProblem(
            source=each.study.path, reason=AWAITED, message=text.format(len(each.instances))
        )
        for each in missing
    ]
