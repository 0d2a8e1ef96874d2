"""Encrypted content in a local folder or an S3-compatible store.

Format: 4-byte magic, 8-byte random prefix, then chunks of 1 MiB, each sealed with
AES-256-GCM under the scope's key. The nonce is prefix ‖ chunk number; the associated
data is the blob's path, the number and whether it is the last, so chunks cannot be
reordered, dropped, or moved to another blob (the STREAM construction, Hoang et al. 2015).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Sequence
from pathlib import Path
from typing import Literal

import obstore
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import ObjectStore, from_url

from services.kernel.crypto import Vault, checked, read_master_key
from services.kernel.errors import Conflict, NotFound, Unavailable
from services.kernel.pieces import (
    CHUNK,
    MAGIC,
    PREFIX,
    BlobReader,
    bound,
    opened_whole,
    sealed_whole,
)
from services.kernel.settings import BadSettings, IdentitySettings, MeshSettings


class Blobs:
    """The content of one zone; every name is `<tenant>/<scope>/<name>`."""

    def __init__(self, store: ObjectStore, vault: Vault) -> None:
        self._store = store
        self.vault = vault

    async def put(
        self, tenant: str, scope: str, name: str, content: bytes, *, new: bool = False
    ) -> BlobRef:
        """Store `content`; a name is overwritten, so a repeated handler is harmless.

        `new`: only where nothing has the name yet; else raises Conflict, so of two one wins.
        """
        key = await self.vault.scope_key(tenant, scope, create=True)
        path = _path(tenant, scope, name)
        sealed, digest = await asyncio.to_thread(_seal_all, key, path, content)
        mode: Literal["create", "overwrite"] = "create" if new else "overwrite"
        await _answered(obstore.put_async(self._store, path, sealed, mode=mode))
        return BlobRef(scope=scope, name=name, size=len(content), sha256=digest)

    async def put_all(
        self, tenant: str, scope: str, contents: Sequence[tuple[str, bytes, str]]
    ) -> list[BlobRef]:
        """Store several contents: name, bytes and the SHA-256 of the bytes, 64 hex digits.

        When it raises, some of them may be stored.
        """
        key = await self.vault.scope_key(tenant, scope, create=True)
        paths = [_path(tenant, scope, name) for name, _, _ in contents]

        def seal() -> list[bytearray]:
            return [
                sealed_whole(key, path, content)
                for path, (_, content, _) in zip(paths, contents, strict=True)
            ]

        sealed = await asyncio.to_thread(seal)
        writes = (obstore.put_async(self._store, *each) for each in zip(paths, sealed, strict=True))
        for step in await asyncio.gather(*writes, return_exceptions=True):
            if isinstance(step, BaseError | OSError):
                raise Unavailable("the blob store does not answer") from step
            if isinstance(step, BaseException):
                raise step
        return [
            BlobRef(scope=scope, name=name, size=len(content), sha256=digest)
            for name, content, digest in contents
        ]

    async def put_stream(
        self, tenant: str, scope: str, name: str, chunks: AsyncIterable[bytes]
    ) -> BlobRef:
        """Store content as it arrives, holding about one chunk in memory.

        An error from `chunks` leaves nothing stored and is raised as it is.
        """
        key = await self.vault.scope_key(tenant, scope, create=True)
        path = _path(tenant, scope, name)
        sealer = _Sealer(key, path)
        writer = obstore.open_writer_async(self._store, path)
        try:
            async for plain in chunks:
                if sealed := sealer.feed(plain):
                    await _answered(writer.write(sealed))
            await _answered(writer.write(sealer.close()))
            await _answered(writer.close())
        except BaseException:
            await asyncio.shield(self._discard(writer, path))
            raise
        return BlobRef(scope=scope, name=name, size=sealer.size, sha256=sealer.sha256)

    async def get(self, tenant: str, ref: BlobRef) -> bytes:
        """Return the content of a blob.

        Raises
        ------
        KeyDestroyed, NotFound, Damaged, Unavailable
        """
        key = await self.vault.scope_key(tenant, ref.scope)
        path = _path(tenant, ref.scope, ref.name)
        try:
            result = await obstore.get_async(self._store, path)
            sealed = bytes(await result.bytes_async())
        except FileNotFoundError as error:
            raise NotFound("a blob is gone", scope=ref.scope) from error
        except (BaseError, OSError) as error:
            raise Unavailable("the blob store does not answer") from error
        return await asyncio.to_thread(opened_whole, key, path, sealed, ref.sha256)

    async def open(self, tenant: str, scope: str, name: str) -> BlobReader:
        """Return a blob to be read in pieces.

        Raises
        ------
        KeyDestroyed, NotFound, Damaged, Unavailable
        """
        key = await self.vault.scope_key(tenant, scope)
        path = _path(tenant, scope, name)
        try:
            size = (await obstore.head_async(self._store, path))["size"]
        except FileNotFoundError as error:
            raise NotFound("a blob is gone", scope=scope) from error
        except (BaseError, OSError) as error:
            raise Unavailable("the blob store does not answer") from error
        return BlobReader(self._store, key, path, size)

    async def delete(self, tenant: str, scope: str, name: str) -> None:
        """Delete one blob; safe to repeat."""
        try:
            await obstore.delete_async(self._store, _path(tenant, scope, name))
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise Unavailable("the blob store does not answer") from error

    async def names(self, tenant: str, scope: str) -> list[str]:
        """Return the names stored under a scope."""
        prefix = f"blobs/{checked(tenant)}/{checked(scope)}/"
        found: list[str] = []
        try:
            async for batch in _batches(self._store, prefix):
                found.extend(path.removeprefix(prefix) for path in batch)
        except (BaseError, OSError) as error:
            raise Unavailable("the blob store does not answer") from error
        return found

    async def tenants(self) -> list[str]:
        """Return the tenants that have anything stored."""
        return await self._below("blobs/")

    async def scopes(self, tenant: str) -> list[str]:
        """Return the scopes of a tenant that have anything stored."""
        return await self._below(f"blobs/{checked(tenant)}/")

    async def _below(self, prefix: str) -> list[str]:
        """Return the names of the folders right below a prefix."""
        try:
            found = await obstore.list_with_delimiter_async(self._store, prefix)
        except (BaseError, OSError) as error:
            raise Unavailable("the blob store does not answer") from error
        return sorted(path.rsplit("/", 1)[1] for path in found["common_prefixes"])

    async def destroy(self, tenant: str, scope: str) -> None:
        """Destroy the scope's key, then delete its objects; safe to repeat."""
        await self.vault.destroy(tenant, scope)
        prefix = f"blobs/{checked(tenant)}/{checked(scope)}/"
        try:
            async for batch in _batches(self._store, prefix):
                await obstore.delete_async(self._store, batch)
        except FileNotFoundError:
            return  # somebody else deleted it at the same time
        except (BaseError, OSError) as error:
            raise Unavailable("the blob store does not answer") from error

    async def _discard(self, writer: object, path: str) -> None:
        """Close what was opened and delete it: half a blob must not be found."""
        try:
            await writer.close()  # type: ignore[attr-defined]  # obstore exports no writer type
            await obstore.delete_async(self._store, path)
        except (BaseError, OSError):
            return  # nothing had been written


async def _answered(step: Awaitable[object]) -> None:
    """Await one step of writing; the store's own errors mean that it is away."""
    try:
        await step
    except (AlreadyExistsError, FileExistsError) as error:
        raise Conflict("a blob has this name already") from error
    except (BaseError, OSError) as error:
        raise Unavailable("the blob store does not answer") from error


def open_analysis(settings: MeshSettings) -> Blobs:
    """Return the blobs of the analysis zone."""
    return _open(settings.blobs_analysis_url, "analysis", settings.master_key_analysis_file)


def open_identity(settings: IdentitySettings) -> Blobs:
    """Return the blobs of the identity zone."""
    return _open(settings.blobs_identity_url, "identity", settings.master_key_identity_file)


def _open(url: str, zone: str, master_key_file: Path | None) -> Blobs:
    if master_key_file is None:
        raise BadSettings(f"DX_MASTER_KEY_{zone.upper()}_FILE is not set")
    options = {"automatic_cleanup": True, "mkdir": True} if url.startswith("file:") else {}
    store = from_url(url, **options)  # type: ignore[call-overload]  # options depend on the scheme
    return Blobs(store, Vault(store, read_master_key(master_key_file), zone))


def _path(tenant: str, scope: str, name: str) -> str:
    for segment in name.split("/"):
        checked(segment)
    return f"blobs/{checked(tenant)}/{checked(scope)}/{name}"


async def _batches(store: ObjectStore, prefix: str) -> AsyncIterator[list[str]]:
    async for batch in obstore.list(store, prefix=prefix):
        yield [str(meta["path"]) for meta in batch]


class _Sealer:
    """Seals a stream chunk by chunk; counts and hashes the plain bytes."""

    def __init__(self, key: bytes, path: str) -> None:
        self._aead = AESGCM(key)
        self._path = path.encode()
        self._prefix = os.urandom(PREFIX)
        self._number = 0
        self._rest = b""
        self._hash = hashlib.sha256()
        self._head = MAGIC + self._prefix
        self.size = 0

    def feed(self, plain: bytes) -> bytes:
        self.size += len(plain)
        self._hash.update(plain)
        self._rest += plain
        out = [self._take_head()]
        start = 0
        while len(self._rest) - start > CHUNK:  # the last chunk waits for close()
            out.append(self._seal(self._rest[start : start + CHUNK], last=False))
            start += CHUNK
        self._rest = self._rest[start:]
        return b"".join(out)

    def close(self) -> bytes:
        return self._take_head() + self._seal(self._rest, last=True)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def _take_head(self) -> bytes:
        head, self._head = self._head, b""
        return head

    def _seal(self, plain: bytes, *, last: bool) -> bytes:
        nonce = self._prefix + self._number.to_bytes(4, "big")
        sealed = self._aead.encrypt(nonce, plain, bound(self._path, self._number, last))
        self._number += 1
        return sealed


def _seal_all(key: bytes, path: str, content: bytes) -> tuple[bytearray, str]:
    return sealed_whole(key, path, content), hashlib.sha256(content).hexdigest()
