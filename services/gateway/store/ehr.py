"""Launches by an EHR: states on their way, sessions of one patient each, their tokens."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from services.gateway.store.database import Database, Row
from services.gateway.store.ehr_tables import EHR_LAUNCHES, EHR_STATES
from services.kernel import fhir
from services.kernel.errors import Unavailable

US = 1_000_000
STATE_S = 600
"""How long a physician may take to sign in at the EHR."""
STATES_MAX = 5000
"""Launches of one EHR that may be under way at once: anybody may begin one."""
LAUNCHES_OF_PATIENT_MAX = 20
KEEP_DAYS = 30
"""How long the tokens of a launch are kept for writing back."""

Content = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Launch:
    """A session of one patient of one EHR."""

    launch_id: str
    tenant: str
    ehr: str
    reviewer: str
    csrf: str
    created_us: int
    content: Content
    """patient, encounter, user, marks, tokens: see `ehr.launch`."""

    @property
    def patient(self) -> str:
        """Id of the Patient at the EHR."""
        return str(self.content["patient"])


class EhrLaunches:
    """The launches of every tenant."""

    def __init__(self, database: Database, session_s: float, idle_s: float) -> None:
        self._db = database
        self._session_us = int(session_s * US)
        self._idle_us = int(idle_s * US)

    async def patient_hash(self, tenant: str, ehr: str, patient: str) -> str:
        """Return the keyed hash that stands for a patient of an EHR."""
        return (await self._db.hasher_for(tenant))("ehr-patient", ehr, patient)

    async def add_state(self, tenant: str, ehr: str, content: Content) -> str:
        """Keep what a launch needs when it comes back; return its state."""
        state, now = secrets.token_urlsafe(32), self._db.now_us()
        key = _hash(state)
        cipher = await self._db.cipher_for(tenant)
        sealed = cipher.encrypt(fhir.dump(content), _context(EHR_STATES.name, tenant, key))
        row = {"state_hash": key, "tenant": tenant, "ehr": ehr, "created_us": now}
        async with self._db.begin() as connection:
            old = EHR_STATES.c.created_us < now - STATE_S * US
            await connection.execute(delete(EHR_STATES).where(old))
            under_way = select(func.count()).where(EHR_STATES.c.ehr == ehr)
            if (await connection.execute(under_way)).scalar_one() >= STATES_MAX:
                raise Unavailable("too many launches are under way", reason="EHR_TOO_MANY_LAUNCHES")
            await connection.execute(insert(EHR_STATES).values(**row, sealed=sealed))
        return state

    async def take_state(self, ehr: str, state: str) -> Content | None:
        """Return what was kept under a state of this EHR; the first asker alone gets it."""
        key = _hash(state)
        where = (EHR_STATES.c.state_hash == key, EHR_STATES.c.ehr == ehr)
        async with self._db.begin() as connection:
            removed = await connection.execute(
                delete(EHR_STATES).where(*where).returning(*EHR_STATES.c)
            )
            row = removed.mappings().one_or_none()
        if row is None or self._db.now_us() - row["created_us"] > STATE_S * US:
            return None
        cipher = await self._db.cipher_for(row["tenant"])
        plain = cipher.decrypt(row["sealed"], _context(EHR_STATES.name, row["tenant"], key))
        return dict(fhir.parse(plain))

    async def open(
        self, tenant: str, ehr: str, reviewer: str, content: Content
    ) -> tuple[str, Launch]:
        """Return a new session and its token; the store keeps the token's hash alone."""
        token, now = secrets.token_urlsafe(32), self._db.now_us()
        launch = Launch(
            secrets.token_hex(12), tenant, ehr, reviewer, secrets.token_urlsafe(24), now, content
        )
        row: Row = {
            "launch_id": launch.launch_id,
            "tenant": tenant,
            "ehr": ehr,
            "patient_hash": await self.patient_hash(tenant, ehr, launch.patient),
            "token_hash": _hash(token),
            "reviewer": reviewer,
            "csrf": launch.csrf,
            "created_us": now,
            "seen_us": now,
            "ended_us": 0,
            "refreshing_us": 0,
            "sealed": await self._seal(launch, content),
        }
        async with self._db.begin() as connection:
            old = EHR_LAUNCHES.c.created_us < now - KEEP_DAYS * 86_400 * US
            await connection.execute(delete(EHR_LAUNCHES).where(old))
            await connection.execute(insert(EHR_LAUNCHES).values(row))
        return token, launch

    async def session(self, launch_id: str, token: str) -> Launch | None:
        """Return the session of a token, unless it ended or lay idle too long."""
        now, row = self._db.now_us(), await self._row(launch_id)
        if row is None or not hmac.compare_digest(row["token_hash"], _hash(token)):
            return None
        if row["ended_us"] or now - row["created_us"] > self._session_us:
            return None
        if now - row["seen_us"] > self._idle_us:
            return None
        if now - row["seen_us"] > min(60 * US, self._idle_us // 4):
            await self._change(launch_id, {"seen_us": now})
        return await self._launch(row)

    async def ehr_of(self, launch_id: str) -> str:
        """Return the EHR of a launch, ended or not; empty when there is none."""
        row = await self._row(launch_id)
        return str(row["ehr"]) if row else ""

    async def end(self, launch_id: str) -> None:
        """End the page's session; the tokens stay for what is still to be written back."""
        await self._change(launch_id, {"ended_us": self._db.now_us()})

    async def of_patient(self, tenant: str, patient_hash: str) -> list[Launch]:
        """Return a patient's launches, newest first, also those whose session ended."""
        query = (
            select(EHR_LAUNCHES)
            .where(EHR_LAUNCHES.c.tenant == tenant, EHR_LAUNCHES.c.patient_hash == patient_hash)
            .order_by(EHR_LAUNCHES.c.created_us.desc())
            .limit(LAUNCHES_OF_PATIENT_MAX)
        )
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [await self._launch(dict(row)) for row in rows]

    async def get(self, launch_id: str) -> Launch | None:
        """Return a launch as it is now, whoever asks."""
        row = await self._row(launch_id)
        return await self._launch(row) if row else None

    async def begin_refresh(self, launch_id: str, seconds: float) -> bool:
        """Return whether the caller alone may refresh the tokens, for some seconds."""
        now = self._db.now_us()
        where = (EHR_LAUNCHES.c.launch_id == launch_id, EHR_LAUNCHES.c.refreshing_us < now)
        values = {"refreshing_us": now + int(seconds * US)}
        async with self._db.begin() as connection:
            done = await connection.execute(update(EHR_LAUNCHES).where(*where).values(values))
        return done.rowcount == 1

    async def end_refresh(self, launch: Launch, tokens: Content | None) -> None:
        """Keep new tokens (None: there are none) and let others refresh again."""
        values: Row = {"refreshing_us": 0}
        if tokens is not None:
            values["sealed"] = await self._seal(launch, launch.content | {"tokens": tokens})
        await self._change(launch.launch_id, values)

    async def _change(self, launch_id: str, values: Row) -> None:
        async with self._db.begin() as connection:
            where = EHR_LAUNCHES.c.launch_id == launch_id
            await connection.execute(update(EHR_LAUNCHES).where(where).values(values))

    async def _row(self, launch_id: str) -> Row | None:
        query = select(EHR_LAUNCHES).where(EHR_LAUNCHES.c.launch_id == launch_id)
        async with self._db.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return dict(row) if row else None

    async def _launch(self, row: Row) -> Launch:
        tenant, launch_id = row["tenant"], row["launch_id"]
        cipher = await self._db.cipher_for(tenant)
        plain = cipher.decrypt(row["sealed"], _context(EHR_LAUNCHES.name, tenant, launch_id))
        return Launch(
            launch_id,
            tenant,
            row["ehr"],
            row["reviewer"],
            row["csrf"],
            row["created_us"],
            dict(fhir.parse(plain)),
        )

    async def _seal(self, launch: Launch, content: Content) -> bytes:
        cipher = await self._db.cipher_for(launch.tenant)
        context = _context(EHR_LAUNCHES.name, launch.tenant, launch.launch_id)
        return cipher.encrypt(fhir.dump(content), context)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _context(table: str, tenant: str, key: str) -> str:
    return f"{table}/{tenant}/{key}"
