"""One result as far as it was understood: canonical value, range, flag, or the reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from services.labs import qualitative, reasons
from services.labs.analytes import Analyte, Code
from services.labs.interval import Interval
from services.labs.panel import Measured
from services.labs.range_rows import Range
from services.labs.reading import Kind
from services.labs.reasons import NotInterpretable, Remark


class Flag(Enum):
    """HL7 v3 ObservationInterpretation codes."""

    __hash__ = object.__hash__  # members are single; the hash of their names is slow

    NORMAL = "N"
    LOW = "L"
    HIGH = "H"
    CRITICAL_LOW = "LL"
    CRITICAL_HIGH = "HH"
    ABNORMAL = "A"


@dataclass(slots=True)  # not frozen: a panel makes many, and freezing costs six times
class Result:
    """One item of the part, interpreted as far as it can be."""

    measured: Measured
    code: Code | None = None
    canonical: Decimal | None = None
    """Exact value in the analyte's canonical unit; None as well for a limit or a range."""
    shown: str = ""
    """The same for a reader, rounded to the precision it came with."""
    range: Range | None = None
    flag: Flag | None = None
    critical_source: str = ""
    reason: NotInterpretable | None = None
    """Why it has no flag; None when it has one, or when neither answer of a test is abnormal."""
    test: qualitative.Test | None = None
    """The ordinal test, when it is one."""
    answer: qualitative.Reading | None = None
    """What an ordinal test says."""
    interval: Interval | None = None
    """What a limit or a range says of the value, in the canonical unit."""
    kind: Kind = Kind.NONE
    remarks: tuple[Remark, ...] = ()
    by_laboratory: bool = False
    """The flag is the laboratory's own: nothing here says what is normal."""
    how: str = ""
    """How the analyte was found: loinc, tenant or name; empty: it was not."""
    _number: float | None = field(default=None, init=False, compare=False, repr=False)

    @property
    def number(self) -> float | None:
        """The canonical value as a float, made once."""
        if self._number is None and self.canonical is not None:
            self._number = float(self.canonical)
        return self._number

    @property
    def name(self) -> str:
        """Id of the analyte or of the ordinal test; empty when the code is not known."""
        if self.code:
            return self.code.analyte.analyte_id
        return self.test.analyte_id if self.test else ""

    @property
    def analyte(self) -> Analyte | None:
        """What was measured, when the code is known."""
        return self.code.analyte if self.code else None

    @property
    def critical(self) -> bool:
        """Whether the value is beyond a critical limit."""
        return self.flag in (Flag.CRITICAL_LOW, Flag.CRITICAL_HIGH)

    @property
    def in_future(self) -> bool:
        """Whether it is dated after it was received."""
        return any(isinstance(each, reasons.ResultInFuture) for each in self.remarks)
