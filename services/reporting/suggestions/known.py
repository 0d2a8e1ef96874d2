"""What a report that is being composed has: its parts, and the Observations made of them."""

from __future__ import annotations

from dataclasses import dataclass

from services.reporting.draft import Draft, Part


@dataclass(frozen=True, slots=True)
class Known:
    """Which Observations the Bundle has; a place that it lacks is never named."""

    draft: Draft
    observations: frozenset[str]

    def places(self, part: Part, *local: str) -> tuple[str, ...]:
        """Return the ids of those Observations of a part that are there."""
        made = (self.draft.id(part.part_id, each) for each in local)
        return tuple(dict.fromkeys(each for each in made if each in self.observations))
