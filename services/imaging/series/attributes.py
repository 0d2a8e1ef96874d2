"""Values out of a data set: text, numbers, codes; absent and empty ones are none."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError

UNREADABLE = (
    *(AttributeError, KeyError, IndexError, TypeError, ValueError, EOFError, OSError),
    *(NotImplementedError, LookupError, OverflowError, RecursionError),
    *(BytesLengthException, InvalidDicomError, AssertionError, struct.error),
)
"""What pydicom raises on a malformed file or value."""

Numbers = tuple[float, ...]
TEXT_MAX = 1024


def text(dataset: Dataset, name: str) -> str:
    """Return a value as text; several values joined by a backslash."""
    return "\\".join(texts(dataset, name))[:TEXT_MAX]


def texts(dataset: Dataset, name: str) -> list[str]:
    """Return the values of an attribute as text."""
    value = dataset.get(name)
    if value is None or value == "":
        return []
    parts = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]
    return [str(part).strip() for part in parts]


def upper(dataset: Dataset, name: str) -> str:
    """Return a value as upper-case text."""
    return text(dataset, name).upper()


def numbers(dataset: Dataset, name: str) -> Numbers:
    """Return the numbers of an attribute; none when it is absent, empty or not finite."""
    value = dataset.get(name)
    if value is None or value == "":
        return ()
    parts = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    found = tuple(float(part) for part in parts)
    return found if all(math.isfinite(number) for number in found) else ()


def number(dataset: Dataset, name: str) -> float | None:
    """Return the first number of an attribute, or None."""
    found = numbers(dataset, name)
    return found[0] if found else None


def integer(dataset: Dataset, name: str, absent: int = 0) -> int:
    """Return one whole number."""
    value = dataset.get(name)
    return absent if value is None or value == "" else int(value)


def items(dataset: Dataset, *names: str) -> Iterator[Dataset]:
    """Yield the items of the named sequences, where they are."""
    for name in names:
        value = dataset.get(name)
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            yield from (item for item in value if isinstance(item, Dataset))


def first(dataset: Dataset, *names: str) -> Dataset:
    """Return the first item of the first sequence that has one; an empty data set else."""
    return next(items(dataset, *names), Dataset())


def meaning(dataset: Dataset, *names: str) -> str:
    """Return the meaning of the first code of the named sequences, upper case."""
    return upper(first(dataset, *names), "CodeMeaning")
