"""One version of a resource, and how its content is sealed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping

from services.gateway.store.database import Cipher
from services.gateway.store.resource_tables import RESOURCES

Resource = dict[str, Any]
Key = tuple[str, str]
"""Type and id of a resource."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of a resource."""

    type: str
    id: str
    version: int
    case_id: str
    updated_us: int
    content: bytes
    """JSON as it is served; empty when `deleted`."""
    seq: int
    """Place among all versions of the tenant, in the order they were committed."""
    key: int
    """`seq` of the resource's first version: its place among the resources, for good."""
    method: str
    """What made this version: POST, PUT or DELETE."""
    owned: bool
    """Made by the mesh: nobody else may change it."""

    @property
    def deleted(self) -> bool:
        """Whether this version says that the resource was deleted."""
        return self.method == "DELETE"


COLUMNS = tuple(c.name for c in RESOURCES.columns if c.name not in ("tenant", "sealed"))


def context(tenant: str, kind: str, resource_id: str, version: int) -> str:
    """Return where a sealed version stands; it decrypts nowhere else."""
    return f"{RESOURCES.name}/{tenant}/{kind}/{resource_id}/{version}"


def unsealed(cipher: Cipher, row: Mapping[str, Any] | RowMapping) -> Stored:
    """Return the version in a row of `gateway_resources`."""
    content = b""
    if row["method"] != "DELETE":
        where = context(row["tenant"], row["type"], row["id"], row["version"])
        content = cipher.decrypt(row["sealed"], where)
    return Stored(
        type=row["type"],
        id=row["id"],
        version=row["version"],
        case_id=row["case_id"],
        updated_us=row["updated_us"],
        content=content,
        seq=row["seq"],
        key=row["key"],
        method=row["method"],
        owned=bool(row["owned"]),
    )
