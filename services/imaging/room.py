"""The reading room: every reader that takes a source reads it, each in a thread of its own.

What one reader refuses, and what fails in one, costs the others nothing. Pure: the inference
server, the store and the clock are handed in.
"""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from dxmesh.event.v1.case_ref_pb2 import CaseRef
from dxmesh.event.v1.model_use_pb2 import ModelUse
from dxmesh.event.v1.part_ready_pb2 import PartReady
from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.imaging import key_image
from services.imaging.findings import Part, Taken
from services.imaging.pulse import Pulse, ReadingStalled, Stopped
from services.imaging.reading import Ask, Checkpoint, Context, Reader, Reading
from services.imaging.routing import explain
from services.imaging.routing.decide import Choice, decide
from services.imaging.routing.rules import RuleBook
from services.imaging.series.archive import File
from services.imaging.series.facts import Facts
from services.imaging.series.refusals import SeriesRefused
from services.imaging.series.sources import Source
from services.imaging.series.upright import upright
from services.imaging.series.volume import Volume
from services.kernel.errors import KeyDestroyed, MeshError

LOOK_S = 5.0
"""How often a running reading is looked at."""

READINGS_MAX = 64
"""Most readings at once; more than a process has memory for."""


class Asked(Ask, Protocol):
    """Asks models, and remembers which."""

    @property
    def uses(self) -> list[ModelUse]:
        """Which models spoke, and on what."""


class ModelServer(Protocol):
    """What the room needs of the models."""

    def card(self, name: str) -> Mapping[str, Any]:
        """Return a model's card."""

    def version(self, name: str) -> str:
        """Return what tells a model from its successors; "" when it is missing."""

    def asking(self, loop: asyncio.AbstractEventLoop, alive: Callable[[], None]) -> Asked:
        """Return what one reading asks with."""


class Priors(Protocol):
    """An earlier study of the same pseudonym."""

    @property
    def findings(self) -> pb.ImagingFindings:
        """What was found in it."""

    @property
    def days(self) -> int:
        """Days from it to this study."""


class Shelf(Protocol):
    """What the room needs of the store."""

    async def prior(
        self, case: CaseRef, pseudonym: str, acquired: str, function: pb.Function.ValueType
    ) -> Priors | None:
        """Return the latest earlier study that this reading has read."""

    def checkpoint(self, case: CaseRef, part_id: str, *key: str) -> Checkpoint:
        """Return where one reading leaves half-done work."""

    async def note_progress(self, case: CaseRef, part_id: str, reader: str, share: float) -> None:
        """Let others see how far a reading is."""


@dataclass(frozen=True, slots=True)
class Work:
    """One reader's work on one source."""

    event: PartReady
    facts: Facts
    source: Source
    options: Mapping[str, Any]


class ReadingRoom:
    """The readers, the routing tables, and what both need."""

    def __init__(
        self,
        readers: Sequence[Reader[Any]],
        books: Mapping[str, RuleBook],
        models: ModelServer,
        shelf: Shelf,
        clock: Callable[[], float],
        stall_s: float,
    ) -> None:
        """Take `books` by tenant; "" is every other tenant's."""
        self._readers = {reader.name: reader for reader in readers}
        self._books = books
        self._models = models
        self._shelf = shelf
        self._clock = clock
        self._stall_s = stall_s
        # Of its own: a reading waits for questions that the loop's usual threads answer.
        self._threads = ThreadPoolExecutor(READINGS_MAX, thread_name_prefix="reading")

    async def read(
        self, event: PartReady, facts: Facts, source: Source, files: Sequence[File], part: Part
    ) -> list[Choice]:
        """Have every reader that takes a source read it; return what each was to do.

        Raises
        ------
        MeshError
            One that passes, when the inference server or the store is away; KeyDestroyed.
        """
        book = self._books.get(event.case.tenant, self._books[""])
        choices = await asyncio.to_thread(decide, facts, source, book, list(self._readers))
        for choice in choices:
            reader = self._readers[choice.reader]
            why: Refusal | None = None
            if choice.read:
                work = Work(event, facts, source, choice.rule.options if choice.rule else {})
                taken = await self._one(reader, work, part)
                if isinstance(taken, Taken):
                    taken.files = [file.path for file in files if file.path]
                    part.taken.append(taken)
                else:
                    why = taken
            made = explain.decision(choice, reader.function, facts.series_uid, why)
            part.decisions.append(made)
            if why is not None and facts.refusal is None:
                facts.refusal = SeriesRefused(why.message, **why.facts)
                facts.refusal.reason = why.reason
        return choices

    async def _one(self, reader: Reader[Any], work: Work, part: Part) -> Taken | Refusal:
        """Return what a reader made of a source, or why it made nothing."""
        pulse = Pulse(self._clock)
        asking = self._models.asking(asyncio.get_running_loop(), pulse.beat)
        try:
            context = await self._context(reader, work, pulse)

            def reads() -> Taken:
                source = _straightened(work)
                reading = reader.read(source, context, asking)
                return _taken(work, source, reading, asking.uses)

            return await self._in_thread(reads, pulse, reader.name, work.event)
        except SeriesRefused as error:
            return explain.refusal(error)
        except MeshError as error:
            if error.retry_after_s is not None or isinstance(error, KeyDestroyed):
                raise
            part.failures.append(error)
        except Exception as error:  # noqa: BLE001 - whatever fails in one reader costs that one
            part.failures.append(error)
        return explain.READING_FAILED

    async def _context(self, reader: Reader[Any], work: Work, pulse: Pulse) -> Context:
        event, facts = work.event, work.facts
        prior = await self._shelf.prior(
            event.case, event.subject_pseudonym, facts.acquired, reader.function
        )
        versions = [self._models.version(name) for name in reader.models]
        seen = prior.findings.findings if prior else ()
        return Context(
            age_years=facts.age_years,
            sex=facts.sex,
            options=work.options,
            card=self._models.card,
            prior=[one for one in seen if one.function == reader.function],
            prior_days=float(prior.days) if prior else None,
            progress=pulse.progress,
            checkpoint=self._shelf.checkpoint(
                event.case, event.part_id, reader.name, facts.series_uid, *versions
            ),
        )

    async def _in_thread(
        self, reads: Callable[[], Taken], pulse: Pulse, name: str, event: PartReady
    ) -> Taken:
        """Wait for a reading's thread, look whether it moves, and show how far it is.

        A thread cannot be ended from outside: one that is not wanted any more ends itself at
        its next question or sign of progress.
        """
        context = contextvars.copy_context()  # spans of its questions belong to this part
        loop = asyncio.get_running_loop()
        task = loop.run_in_executor(self._threads, context.run, reads)
        shown = 0.0
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=LOOK_S)
                if task.done():
                    break
                if (silent_s := pulse.silent_s()) > self._stall_s:
                    raise ReadingStalled("a reading did not move", silent_s=silent_s)
                if pulse.done >= shown + 0.01:
                    shown = pulse.done
                    await self._shelf.note_progress(event.case, event.part_id, name, shown)
        except BaseException:
            pulse.stop()
            task.add_done_callback(_let_go)
            raise
        return task.result()


def _straightened(work: Work) -> Source:
    """Return the source as the rule wants it: a tilted stack sheared straight, or as it is."""
    if isinstance(work.source, Volume) and work.options.get("straighten"):
        return upright(work.source)
    return work.source


def _taken(work: Work, source: Source, reading: Reading, uses: Sequence[ModelUse]) -> Taken:
    """Return what a reader made of a source, with pictures, without the voxels.

    Pictures and boxes are those of the stored images, also where the source was straightened.
    """
    taken = Taken(
        facts=work.facts,
        source=_without_voxels(source),
        files=(),
        reading=reading,
        models=uses,
    )
    reading.answer.models.extend(dict.fromkeys(use.name for use in uses))
    for lesion in reading.lesions:
        place = lesion.finding.place
        if isinstance(source, Volume) and source is not work.source:
            _move_box(place, source)
        key = (place.sop_instance_uid, place.frame)
        if key not in taken.drawn:
            picture = key_image.draw(work.source, place, work.options)
            if picture is not None:
                taken.drawn[key] = picture
    return taken


def _move_box(place: pb.Place, straight: Volume) -> None:
    """Move a box from a straightened slice to the image that it shows."""
    down, right = straight.on_image(place.slice_index)
    for side, offset in (("left", right), ("right", right), ("top", down), ("bottom", down)):
        moved = round(getattr(place.box, side) - offset)
        setattr(place.box, side, max(moved, 0))


def _without_voxels(source: Source) -> Source:
    """Return a volume's grid; its values are all 0 and take no memory."""
    if not isinstance(source, Volume):
        return source
    return dataclasses.replace(source, hu=np.broadcast_to(np.int16(0), source.hu.shape))


def _let_go(task: asyncio.Future[Taken]) -> None:
    """Hear how a thread ended that nobody waits for."""
    if not task.cancelled() and isinstance(task.exception(), Stopped):
        return
