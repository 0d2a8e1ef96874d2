"""A StoreFilesRequest in protobuf's encoding, made of pieces that are copied once. Pure.

Built as a message, the images of a request were copied four times before the first byte of them
left; that took a quarter of what the gateway spends on an upload.

Source: Protocol Buffers, Encoding (length-delimited fields; base 128 varints).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dxmesh.ingest.v1.ingest_service_pb2 import InstanceFile, StoreFilesRequest

LENGTH_DELIMITED = 2
TENANT = StoreFilesRequest.TENANT_FIELD_NUMBER
FILES = StoreFilesRequest.FILES_FIELD_NUMBER
LABEL = InstanceFile.LABEL_FIELD_NUMBER
CONTENT = InstanceFile.CONTENT_FIELD_NUMBER

File = tuple[str, Sequence[bytes]]
"""A label, and the pieces of a file's content."""


def encoded(tenant: str, files: Sequence[File]) -> bytes:
    """Return the request as it travels."""
    name = tenant.encode()
    pieces = [_head(TENANT, len(name)), name]
    for label, content in files:
        pieces.extend(_file(label.encode(), content))
    return b"".join(pieces)


def _file(label: bytes, content: Sequence[bytes]) -> Iterator[bytes]:
    size = sum(map(len, content))
    first, second = _head(LABEL, len(label)), _head(CONTENT, size)
    yield _head(FILES, len(first) + len(label) + len(second) + size)
    yield from (first, label, second)
    yield from content


def _head(number: int, length: int) -> bytes:
    """Return tag and length of a field."""
    found = bytearray([number << 3 | LENGTH_DELIMITED])
    while length > 0x7F:
        found.append(length & 0x7F | 0x80)
        length >>= 7
    found.append(length)
    return bytes(found)
