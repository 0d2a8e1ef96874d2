"""One version of a resource, and how its content is sealed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def context(tenant: str, kind: str, resource_id: str, version: int) -> str:
    """Return where a sealed version stands; it decrypts nowhere else."""
    return f"{RESOURCES.name}/{tenant}/{kind}/{resource_id}/{version}"


COLUMNS = (
    "type",
    "id",
    "version",
    "seq",
    "key",
    "method",
    "case_id",
    "owned",
    "updated_us",
)
"""Of `gateway_resources`, but for tenant and sealed."""


def unsealed(cipher: Cipher, row: Mapping[str, Any] | RowMapping) -> Stored:
    """Return the version in a row of `gateway_resources`."""
    return unsealed_row(cipher, [row["tenant"], *(row[name] for name in COLUMNS), row["sealed"]])


def unsealed_row(cipher: Cipher, row: Sequence[Any]) -> Stored:
    """Return the version in a row of `sql.CURRENT_VERSIONS`: tenant, `COLUMNS`, sealed."""
    tenant, kind, resource_id, version, seq, key, method, case_id, owned, updated_us, sealed = row
    content = b""
    if method != "DELETE":
        content = cipher.decrypt(sealed, context(tenant, kind, resource_id, version))
    return Stored(
        type=kind,
        id=resource_id,
        version=version,
        case_id=case_id,
        updated_us=updated_us,
        content=content,
        seq=seq,
        key=key,
        method=method,
        owned=bool(owned),
    )
