"""Dead letters listed, shown and put back by an operator, over a real nats-server."""

from __future__ import annotations

import pytest

from services.kernel.deadletters import DeadLetters
from services.kernel.errors import InvalidInput, NotFound
from services.kernel.subjects import PART_LABS, PART_NLP
from tests.kernel.messages import Connect, Seen, part, until

pytestmark = pytest.mark.flow


@pytest.mark.requirement("DX-BUS-12")
async def test_letter_is_listed_shown_retried_and_then_gone(connect: Connect) -> None:
    sender, worker, operator = [
        await connect(name) for name in ("anonymization", "labs", "gateway")
    ]
    letters = DeadLetters(operator)
    seen = Seen(InvalidInput("no panel", reason="NO_PANEL"), InvalidInput("no panel again"))
    await worker.consume(PART_LABS, seen.handle, on_dead=seen.on_dead)
    await sender.publish(PART_LABS, part(7), message_id="seven")
    await until(lambda: len(seen.given_up) == 1)
    while not (found := await letters.list("demo")):
        pass
    (letter,) = found
    assert (letter.service, letter.reason, letter.case_id) == ("labs", "NO_PANEL", "case-7")
    assert letter.event["partId"] == "labs-7"
    assert letter.message_id == "seven"
    assert letter.time
    assert await letters.show("demo", letter.sequence) == letter
    assert await letters.list("elsewhere") == []

    await letters.retry("demo", letter.sequence)
    await until(lambda: len(seen.given_up) == 2)  # the same failure gives a second letter
    while not (found := await letters.list("demo")):
        pass
    assert [again.sequence for again in found] == [letter.sequence + 1]

    await letters.retry("demo", found[0].sequence)
    await until(lambda: seen.events == ["labs-7"] * 3)
    assert await letters.list("demo") == []
    assert len(seen.given_up) == 2, "the third time it went through"
    with pytest.raises(NotFound):
        await letters.retry("demo", found[0].sequence)


@pytest.mark.requirement("DX-BUS-12")
async def test_letter_of_another_tenant_is_not_found(connect: Connect) -> None:
    sender, worker, operator = [
        await connect(name) for name in ("anonymization", "labs", "gateway")
    ]
    letters, seen = DeadLetters(operator), Seen(InvalidInput("no"))
    await worker.consume(PART_LABS, seen.handle, on_dead=seen.on_dead)
    await sender.publish(PART_LABS, part(), message_id="one")
    while not (found := await letters.list("demo")):
        pass
    for action in (letters.show, letters.retry):
        with pytest.raises(NotFound):
            await action("elsewhere", found[0].sequence)
    assert len(await letters.list("demo")) == 1


@pytest.mark.requirement("DX-BUS-12")
async def test_letter_that_is_no_event_is_still_listed_and_retried(connect: Connect) -> None:
    sender, worker, operator = [await connect(name) for name in ("anonymization", "nlp", "gateway")]
    letters, seen = DeadLetters(operator), Seen()
    await worker.consume(PART_NLP, seen.handle)
    subject = PART_NLP.subject("demo", 3)
    await sender.store(subject, b"\xff\xff", {"Nats-Msg-Id": "x", "Dx-Tenant": "demo"})
    while not (found := await letters.list("demo")):
        pass
    assert (found[0].reason, found[0].event, found[0].subject) == ("NOT_AN_EVENT", {}, subject)
    await letters.retry("demo", found[0].sequence)
    while [letter.sequence for letter in await letters.list("demo")] != [found[0].sequence + 1]:
        pass
