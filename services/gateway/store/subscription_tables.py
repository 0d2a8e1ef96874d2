"""Tables of subscriptions; times are microseconds since 1970 UTC (`_us`)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table

from services.gateway.store.tables import key_column, metadata

SUBSCRIPTIONS = Table(
    "gateway_subscriptions",
    metadata,
    key_column("tenant", 64),
    key_column("id", 64),
    Column("edition", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("greeted", Integer, nullable=False),
    Column("numbered", BigInteger, nullable=False),
    Column("delivered", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("failing_us", BigInteger, nullable=False),
    Column("next_us", BigInteger, nullable=False),
    Column("sent_us", BigInteger, nullable=False),
    Column("heartbeat_s", Integer, nullable=False),
    Column("end_us", BigInteger, nullable=False),
    Column("reason", String(64), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
"""Where each Subscription stands: the number of its last event, and of the last one that its
endpoint took. `edition` counts how often its owner wrote it: what was sent for an older one
says nothing of this one. `greeted` is 1 after the handshake, `failing_us` the first failure of
the run that lasts (0: none), `next_us` the earliest next attempt; what it asks for and by whose
rights is sealed, secrets among it."""

EVENTS = Table(
    "gateway_subscription_events",
    metadata,
    key_column("tenant", 64),
    key_column("subscription", 64),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("type", String(64), nullable=False),
    Column("id", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Index("gateway_subscription_events_by_time", "time_us"),
)
"""One row per event of a Subscription, written in the transaction of the resource version it
names. Numbers of a Subscription have no gap."""

MARKS = Table(
    "gateway_subscription_marks",
    metadata,
    key_column("tenant", 64),
    Column("mark", BigInteger, nullable=False),
)
"""Drawn anew with every change of a tenant's subscriptions: tells whether what a process
remembers of them still holds."""
