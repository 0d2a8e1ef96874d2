"""The table of devices, and what a sender is told."""

from __future__ import annotations

import pytest

from services.ingest.dimse import devices, statuses
from services.ingest.store.keeping import OtherContent
from services.kernel.errors import InvalidInput, TooLarge, Unavailable
from services.kernel.settings import BadSettings

TABLE = """
[[device]]
title = "CT1"
tenant = "north"
addresses = ["10.1.0.0/16", "fd00::/8"]
report_to = "10.1.4.7:11112"

[[device]]
title = "XRAY ROOM 2"
tenant = "south"
"""


@pytest.mark.requirement("DX-RCV-02")
def test_a_device_has_its_tenant_its_addresses_and_its_place_for_reports() -> None:
    known = devices.read(TABLE)
    scanner, room = known["CT1"], known["XRAY ROOM 2"]
    assert (scanner.tenant, scanner.report_to) == ("north", ("10.1.4.7", 11112))
    assert scanner.may_call_from("10.1.200.3") and scanner.may_call_from("::ffff:10.1.0.9")
    assert scanner.may_call_from("fd00::17%eth0")
    assert not scanner.may_call_from("10.2.0.1") and not scanner.may_call_from("nonsense")
    assert room.tenant == "south" and room.may_call_from("192.0.2.1") and room.report_to is None


@pytest.mark.requirement("DX-RCV-02")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("title = ", "no TOML"),
        ("", "names none"),
        ('[[device]]\ntitle = "A"', "device 1"),
        ('[[device]]\ntitle = "SEVENTEEN LETTERS"\ntenant = "t"', "1 to 16"),
        ('[[device]]\ntitle = "A"\ntenant = "a/b"', "device 1"),
        ('[[device]]\ntitle = "A"\ntenant = "t"\naddresses = ["10.0.0.1/8"]', "device 1"),
        ('[[device]]\ntitle = "A"\ntenant = "t"\nreport_to = "host"', "host:port"),
        ('[[device]]\ntitle = "A"\ntenant = "t"\nrepot_to = "h:1"', "unknown repot_to"),
        ('[[device]]\ntitle = "A"\ntenant = "t"\n' * 2, "twice"),
    ],
)
def test_a_table_that_is_wrong_stops_the_start_and_says_where(text: str, problem: str) -> None:
    with pytest.raises(BadSettings, match=problem):
        devices.read(text)


@pytest.mark.requirement("DX-RCV-01")
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Unavailable("away"), 0xA700),
        (TooLarge("big", reason="INSTANCE_TOO_LARGE"), 0xA700),
        (InvalidInput("cut", reason="TRUNCATED"), 0xC000),
        (InvalidInput("other", reason="DOES_NOT_MATCH"), 0xA900),
        (OtherContent("other"), 0x0111),
    ],
)
def test_a_sender_is_told_whether_sending_again_can_help(error: object, status: int) -> None:
    assert statuses.status(error) == status  # type: ignore[arg-type]
    assert len(statuses.comment(error)) <= 64  # type: ignore[arg-type]
