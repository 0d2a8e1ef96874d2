"""UCUM through pint: what the table of `units` lacks. Its start takes over a second.

The registry is made when it is first asked, or before that by `warm` on a thread of its own;
`units` gives the same answers whichever comes first.
"""

from __future__ import annotations

import gc
from functools import cache
from threading import Lock, Thread
from typing import Any

DIGITS = 14
"""Of a scale. Of the last ones of a float the order decides in which pint multiplies, and that
differs from process to process."""
_reading = Lock()
"""The registry fills caches while it reads; parts are interpreted on several threads."""


class NotUcum(ValueError):
    """The text is not UCUM, or none that pint can read."""


def read(ucum: str) -> tuple[float, tuple[tuple[str, float], ...]]:
    """Return how many root units (SI, gram) a unit is, and its dimension.

    Raises
    ------
    NotUcum
    """
    with _reading:
        registry, unreadable = _registry()
        try:
            root = (1.0 * registry.from_ucum(ucum)).to_root_units()
            scale, dimension = float(f"{root.magnitude:.{DIGITS}g}"), dict(root.dimensionality)
        except unreadable as error:
            raise NotUcum("not UCUM") from error
    return scale, tuple(sorted((name, float(power)) for name, power in dimension.items()))


def warm() -> Thread:
    """Make the registry on a thread of its own, and return the thread."""
    thread = Thread(target=_made, name="unit-registry", daemon=True)
    thread.start()
    return thread


def _made() -> None:
    with _reading:
        _registry()
    gc.freeze()  # it stays: looking through its objects again and again costs a part 30 ms


@cache
def _registry() -> tuple[Any, tuple[type[Exception], ...]]:
    """Return the registry, and what ucumvert and pint raise for text that is not UCUM."""
    from lark.exceptions import LarkError
    from pint.errors import PintError
    from ucumvert import PintUcumRegistry

    kinds = (LarkError, PintError, AttributeError, TypeError, ValueError, ArithmeticError)
    return PintUcumRegistry(), kinds
