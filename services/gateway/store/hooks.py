"""CDS Hooks in the store: each token once, the cards that were sent, the feedback on them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.store.audit import AuditEntry, AuditTrail
from services.gateway.store.database import Database, Row, insert_absent
from services.gateway.store.hook_tables import CARDS, FEEDBACK, TOKENS
from services.kernel.errors import NotFound, Unauthenticated

CARDS_KEPT_S = 90 * 86_400
"""How long feedback on a card is taken."""
TOKENS_KEPT_S = 3600
"""How long after it expired a token is remembered: more than any clock is wrong by."""
TIDY_S = 60


@dataclass(frozen=True, slots=True)
class SentCard:
    """A card as we remember it."""

    card: str
    topic: str
    case_id: str


@dataclass(frozen=True, slots=True)
class Feedback:
    """What became of one card."""

    card: str
    outcome: str
    """accepted or overridden."""
    at_us: int
    reason: str
    """Code of the override reason; empty: none, or not one of ours."""
    detail: dict[str, object]
    """Accepted suggestions, the reason as sent, the comment."""


@dataclass(frozen=True, slots=True)
class FeedbackCount:
    """How often cards of a topic met with an outcome."""

    service: str
    topic: str
    outcome: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class UsedToken:
    """A token that was verified: its issuer, its `jti`, and until when it could be used."""

    iss: str
    jti: str
    exp_s: int


class Hooks:
    """Tokens, cards and feedback of every tenant."""

    def __init__(self, database: Database, audit: AuditTrail) -> None:
        self._db = database
        self._audit = audit
        self._tidied_us = 0

    async def answered(
        self,
        tenant: str,
        token: UsedToken,
        service: str,
        client: str,
        cards: Sequence[SentCard],
        entries: Sequence[AuditEntry],
    ) -> None:
        """Commit that a token was used, what is answered to it, and the audit of it, together.

        Raises
        ------
        Unauthenticated
            The token was used before: nothing may be answered.
        """
        now = self._db.now_us()
        rows = [
            {
                "tenant": tenant,
                "card": card.card,
                "service": service,
                "topic": card.topic,
                "case_id": card.case_id,
                "client": client[:64],
                "issued_us": now,
            }
            for card in cards
        ]
        async with self._db.begin() as connection:
            await self._use(connection, token, now)
            if rows:
                await connection.execute(insert(CARDS), rows)
            await self._audit.write(connection, entries)

    async def feedback(
        self,
        tenant: str,
        token: UsedToken,
        service: str,
        given: Sequence[Feedback],
        entries: Sequence[AuditEntry],
    ) -> None:
        """Keep feedback; the same again changes nothing.

        Raises
        ------
        Unauthenticated
            The token was used before.
        NotFound
            A card that this service did not send to this tenant, or too long ago.
        """
        now = self._db.now_us()
        cipher = await self._db.cipher_for(tenant)
        async with self._db.begin() as connection:
            await self._use(connection, token, now)
            sent = await self._cards(connection, tenant, service, [each.card for each in given])
            rows: list[Row] = []
            for number, each in enumerate(given):
                if each.card not in sent:
                    raise NotFound(f"feedback[{number}].card is no card of this service")
                card = sent[each.card]
                rows.append(
                    {
                        "tenant": tenant,
                        "card": each.card,
                        "at_us": each.at_us,
                        "service": service,
                        "topic": card.topic,
                        "case_id": card.case_id,
                        "outcome": each.outcome,
                        "reason": each.reason[:64],
                        "received_us": now,
                        "sealed": cipher.encrypt(
                            orjson.dumps(each.detail), _context(tenant, each.card, each.at_us)
                        ),
                    }
                )
            await insert_absent(connection, FEEDBACK, rows)
            await self._audit.write(connection, entries)

    async def counts(self, tenant: str) -> list[FeedbackCount]:
        """Return how often cards were accepted and overridden, and why."""
        columns = (FEEDBACK.c.service, FEEDBACK.c.topic, FEEDBACK.c.outcome, FEEDBACK.c.reason)
        query = (
            select(*columns, func.count())
            .where(FEEDBACK.c.tenant == tenant)
            .group_by(*columns)
            .order_by(*columns)
        )
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).all()
        return [FeedbackCount(*row) for row in rows]

    async def _use(self, connection: AsyncConnection, token: UsedToken, now_us: int) -> None:
        """Note the token; now and then forget expired ones, and cards nobody may answer to."""
        row = {"token_hash": _hash(token), "exp_s": token.exp_s}
        if now_us - self._tidied_us > TIDY_S * 1_000_000:
            self._tidied_us, old = now_us, now_us - CARDS_KEPT_S * 1_000_000
            past = TOKENS.c.exp_s < now_us // 1_000_000 - TOKENS_KEPT_S
            await connection.execute(delete(TOKENS).where(past))
            await connection.execute(delete(CARDS).where(CARDS.c.issued_us < old))
        try:
            await connection.execute(insert(TOKENS), [row])
        except IntegrityError as error:
            raise _replayed() from error

    async def _cards(
        self, connection: AsyncConnection, tenant: str, service: str, cards: Sequence[str]
    ) -> dict[str, SentCard]:
        query = select(CARDS.c.card, CARDS.c.topic, CARDS.c.case_id).where(
            CARDS.c.tenant == tenant, CARDS.c.service == service, CARDS.c.card.in_(cards)
        )
        return {row[0]: SentCard(*row) for row in await connection.execute(query)}


def _replayed() -> Unauthenticated:
    return Unauthenticated(
        "the CDS client's token was used before; sign a new one for each call",
        reason="TOKEN_REPLAYED",
    )


def _hash(token: UsedToken) -> str:
    return hashlib.sha256(f"{len(token.iss)}:{token.iss}{token.jti}".encode()).hexdigest()


def _context(tenant: str, card: str, at_us: int) -> str:
    return f"{FEEDBACK.name}/{tenant}/{card}/{at_us}"
