"""Keys: a zone's master key wraps tenant keys, a tenant key wraps one data key per scope.

A scope is a case or an upload. Destroying its key makes every copy of its content
unreadable, backups included (crypto-shredding, NIST SP 800-88 rev. 1, 2.6). Wrapped keys
lie in the zone's store under `keys/<tenant>/`; a destroyed one leaves a tombstone so that
it can not be made again. AES-256-GCM throughout (NIST SP 800-38D), 96-bit random nonces.
"""

from __future__ import annotations

import base64
import hmac
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import obstore
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import ObjectStore

from services.kernel.errors import Damaged, InvalidInput, KeyDestroyed, Unavailable
from services.kernel.settings import BadSettings

KEY_BYTES = 32
NONCE_BYTES = 12
TOMBSTONE = b"destroyed"
SCOPE_CACHE_S = 5.0
"""How long another process may still use a scope key that was destroyed meanwhile."""

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def read_master_key(path: Path) -> bytes:
    """Return the 32 bytes written as base64 in a file."""
    try:
        key = base64.b64decode(path.read_text().strip(), validate=True)
    except (OSError, ValueError) as error:
        raise BadSettings(f"cannot read a base64 key from {path.name}") from error
    if len(key) != KEY_BYTES:
        raise BadSettings(f"{path.name} holds {len(key)} bytes, a master key has {KEY_BYTES}")
    return key


def checked(name: str) -> str:
    """Return a tenant or scope name that is safe as one path segment."""
    if not _SAFE.fullmatch(name):
        raise InvalidInput("a tenant or scope name holds characters that are not allowed")
    return name


class FieldCipher:
    """Encrypts small values, such as database fields, under one key.

    `context` says where the value stands (table/row/column); a value moved elsewhere
    does not decrypt.
    """

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def encrypt(self, plain: bytes, context: str) -> bytes:
        """Return nonce ‖ ciphertext ‖ tag."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plain, context.encode())

    def decrypt(self, sealed: bytes, context: str) -> bytes:
        """Return the plain bytes.

        Raises
        ------
        Damaged
            The value was changed, moved, or belongs to another key.
        """
        try:
            return self._aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context.encode())
        except (InvalidTag, ValueError) as error:
            raise Damaged("a stored value does not decrypt under its key") from error


class KeyedHash:
    """HMAC-SHA256 with domain separation: stable pseudonyms that nobody can guess back."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    def __call__(self, domain: str, *values: str) -> str:
        """Return 64 hex digits for the values, which may hold any character."""
        return self.digest(domain, *values).hex()

    def digest(self, domain: str, *values: str) -> bytes:
        """Return the 32 bytes."""
        parts = [part.encode() for part in (domain, *values)]
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self.key, message, "sha256")


class Vault:
    """The keys of one zone, in the zone's store."""

    def __init__(
        self,
        store: ObjectStore,
        master_key: bytes,
        zone: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._master = FieldCipher(master_key)
        self._zone = zone
        self._clock = clock
        self._tenants: dict[str, bytes] = {}
        self._derived: dict[tuple[str, str], bytes] = {}
        self._scopes: dict[tuple[str, str], tuple[float, bytes]] = {}

    async def hasher(self, tenant: str) -> KeyedHash:
        """Return the tenant's keyed hash; the same in every process of the zone."""
        return KeyedHash(await self._of_tenant(tenant, "pseudonym"))

    async def cipher(self, tenant: str) -> FieldCipher:
        """Return the cipher for the tenant's database fields."""
        return FieldCipher(await self._of_tenant(tenant, "field"))

    async def scope_cipher(self, tenant: str, scope: str) -> FieldCipher:
        """Return a cipher whose key dies with the scope; made at first use."""
        return FieldCipher(_derive(await self.scope_key(tenant, scope, create=True), "field"))

    async def scope_key(self, tenant: str, scope: str, *, create: bool = False) -> bytes:
        """Return the scope's data key, 32 bytes.

        Raises
        ------
        KeyDestroyed
            It was destroyed, or never made and `create` is false.
        """
        slot = (tenant, scope)
        cached = self._scopes.get(slot)
        if cached and self._clock() - cached[0] < SCOPE_CACHE_S:
            return cached[1]
        path = self._path(tenant, scope)
        wrapping = FieldCipher(await self._of_tenant(tenant, "wrap"))
        sealed = await self._read_or_make(path, wrapping, create)
        if sealed is None or sealed == TOMBSTONE:
            self._scopes.pop(slot, None)
            raise KeyDestroyed("the key of this scope is destroyed", scope=scope)
        key = wrapping.decrypt(sealed, path)
        if len(self._scopes) > 4096:
            self._scopes.clear()
        self._scopes[slot] = (self._clock(), key)
        return key

    async def destroy(self, tenant: str, scope: str) -> None:
        """Overwrite the scope's wrapped key with a tombstone; safe to repeat."""
        try:
            await obstore.put_async(self._store, self._path(tenant, scope), TOMBSTONE)
        except (BaseError, OSError) as error:
            raise Unavailable("the key store does not answer") from error
        finally:
            self._scopes.pop((tenant, scope), None)

    async def _of_tenant(self, tenant: str, purpose: str) -> bytes:
        """Return the tenant's key for a purpose; tenant keys are not destroyed, so it is held."""
        slot = (tenant, purpose)
        if slot not in self._derived:
            self._derived[slot] = _derive(await self._tenant_key(tenant), purpose)
        return self._derived[slot]

    async def _tenant_key(self, tenant: str) -> bytes:
        if tenant not in self._tenants:
            path = f"keys/{checked(tenant)}/_tenant"
            sealed = await self._read_or_make(path, self._master, create=True)
            if sealed is None:
                raise Unavailable("the tenant key could not be made")
            self._tenants[tenant] = self._master.decrypt(sealed, path)
        return self._tenants[tenant]

    async def _read_or_make(self, path: str, wrapping: FieldCipher, create: bool) -> bytes | None:
        """Return the sealed key at `path`; two processes that make it at once agree on one."""
        try:
            sealed = await _read(self._store, path)
            if sealed is None and create:
                fresh = wrapping.encrypt(os.urandom(KEY_BYTES), path)
                try:
                    await obstore.put_async(self._store, path, fresh, mode="create")
                except (AlreadyExistsError, FileExistsError):
                    return await _read(self._store, path)
                return fresh
        except (BaseError, OSError) as error:
            raise Unavailable("the key store does not answer") from error
        return sealed

    def _path(self, tenant: str, scope: str) -> str:
        return f"keys/{checked(tenant)}/{checked(scope)}"


async def _read(store: ObjectStore, path: str) -> bytes | None:
    try:
        return bytes(await (await obstore.get_async(store, path)).bytes_async())
    except FileNotFoundError:
        return None


def _derive(key: bytes, purpose: str) -> bytes:
    """Return a key for one purpose (HKDF-SHA256, RFC 5869)."""
    info = f"dxmesh/v1/{purpose}".encode()
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(key)
