"""Tables of CDS Hooks: tokens already used, cards that were shown, what became of them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, String, Table

from services.gateway.store.tables import metadata

TOKENS = Table(
    "gateway_hook_tokens",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("exp_s", BigInteger, nullable=False),
    Index("gateway_hook_tokens_by_exp", "exp_s"),
)
"""SHA-256 of issuer and `jti` of each token until it expires: a second use is a replay."""

CARDS = Table(
    "gateway_hook_cards",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("card", String(36), primary_key=True),
    Column("service", String(64), nullable=False),
    Column("topic", String(64), nullable=False),
    Column("case_id", String(64), nullable=False),
    Column("client", String(64), nullable=False),
    Column("issued_us", BigInteger, nullable=False),
    Index("gateway_hook_cards_by_time", "issued_us"),
)
"""Cards that were sent, so that feedback can be held against them; no identity in it."""

FEEDBACK = Table(
    "gateway_hook_feedback",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("card", String(36), primary_key=True),
    Column("at_us", BigInteger, primary_key=True, autoincrement=False),
    Column("service", String(64), nullable=False),
    Column("topic", String(64), nullable=False),
    Column("case_id", String(64), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("received_us", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
"""What a clinician did with a card; the comment, which may name a patient, is sealed."""
