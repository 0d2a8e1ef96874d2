"""A ZIP archive: every entry is stored or refused by name, and none costs more than it may."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.ingest.archive import Archive
from services.ingest.elements import UnusableInstance
from services.ingest.limits import ArchiveLimits
from services.kernel.errors import InvalidInput

Packed = Callable[..., bytes]
LIMITS = ArchiveLimits(
    entries=20, entry_bytes=1 << 20, total_bytes=4 << 20, ratio_free_bytes=64 << 10
)
pytestmark = pytest.mark.requirement("DX-ING-03")

fuzz = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def unpack(content: bytes) -> dict[str, bytes | str]:
    """Return each entry's bytes, or the reason it was refused."""
    found: dict[str, bytes | str] = {}
    archive = Archive(io.BytesIO(content), len(content), LIMITS)
    for entry in archive.entries():
        if entry.refusal:
            found[entry.name] = entry.refusal.reason
            continue
        try:
            found[entry.name] = b"".join(archive.content(entry))
        except UnusableInstance as error:
            found[entry.name] = error.reason
    return found


def reason(content: bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        unpack(content)
    return caught.value.reason


def with_info(content: bytes = b"x", **fields: object) -> bytes:
    info = zipfile.ZipInfo("image")
    for name, value in fields.items():
        setattr(info, name, value)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, content)
    return buffer.getvalue()


def test_entries_come_out_as_they_went_in(packed: Packed) -> None:
    files = {"a/b.dcm": b"one" * 1000, "c": b"", "图像.dcm": b"two"}
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert unpack(packed(files, method)) == files


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../up.dcm", "UNSAFE_NAME"),
        ("a/../../up.dcm", "UNSAFE_NAME"),
        ("/etc/passwd", "UNSAFE_NAME"),
        ("C:/windows/x.dcm", "UNSAFE_NAME"),
        ("c:x.dcm", "UNSAFE_NAME"),
        ("..\\up.dcm", "UNSAFE_NAME"),
        ("\\\\host\\share\\x.dcm", "UNSAFE_NAME"),
        ("line\nbreak.dcm", "UNSAFE_NAME"),
        ("__MACOSX/._a.dcm", "SYSTEM_FILE"),
        ("a/.DS_Store", "SYSTEM_FILE"),
        ("a/Thumbs.db", "SYSTEM_FILE"),
        ("DICOMDIR", "SYSTEM_FILE"),
        ("a/inner.ZIP", "NESTED_ARCHIVE"),
        ("a/inner.tar.gz", "NESTED_ARCHIVE"),
    ],
)
def test_names_that_are_not_opened_are_refused_and_the_rest_goes_on(
    packed: Packed, name: str, expected: str
) -> None:
    assert unpack(packed({name: b"x", "good": b"image"})) == {name: expected, "good": b"image"}


def test_names_in_gb18030_are_readable(packed: Packed) -> None:
    name = "胸部/一.dcm".encode("gb18030")
    plain = packed({"A" * len(name): b"x"})
    assert unpack(plain.replace(b"A" * len(name), name)) == {"胸部/一.dcm": b"x"}


def test_links_encrypted_and_unknown_entries_are_refused() -> None:
    link = with_info(b"/etc/passwd", external_attr=0o120777 << 16)
    assert unpack(link) == {"image": "SPECIAL_FILE"}
    encrypted = bytearray(with_info())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[encrypted.find(signature) + offset] |= 1
    assert unpack(bytes(encrypted)) == {"image": "ENCRYPTED_ENTRY"}
    unknown = bytearray(with_info())
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        unknown[unknown.find(signature) + offset] = 9
    assert unpack(bytes(unknown)) == {"image": "DAMAGED_ENTRY"}


def test_a_bomb_is_refused_before_it_is_unpacked(packed: Packed) -> None:
    assert reason(packed({"bomb": bytes(3 << 20)})) == "ZIP_BOMB"
    assert reason(packed({f"{n}": bytes(1 << 20) for n in range(5)})) == "ARCHIVE_TOO_LARGE"
    assert unpack(packed({"big": bytes(range(256)) * 5000}, zipfile.ZIP_STORED)) == {
        "big": "INSTANCE_TOO_LARGE"
    }
    small = packed({"black": bytes(60 << 10)})
    assert unpack(small) == {"black": bytes(60 << 10)}, "a black image packs a thousandfold"


def test_an_entry_that_lies_about_its_size_is_cut_off(packed: Packed) -> None:
    content = bytearray(packed({"liar": bytes(1 << 20)}))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<L", content, content.find(signature) + offset, 100)
    assert unpack(bytes(content)) == {"liar": "DAMAGED_ENTRY"}


def test_too_many_entries_are_refused_by_the_directorys_size(packed: Packed) -> None:
    assert reason(packed({f"{n}": b"x" for n in range(21)})) == "TOO_MANY_ENTRIES"
    content = bytearray(packed({"a": b"x"}))
    struct.pack_into("<L", content, content.rfind(b"PK\x05\x06") + 12, 1 << 30)
    assert reason(bytes(content)) == "TOO_MANY_ENTRIES"


@pytest.mark.parametrize(
    "content", [b"", b"no archive", b"PK\x05\x06", b"PK\x05\x06" + b"\xff" * 18]
)
def test_what_is_no_archive_is_refused(content: bytes) -> None:
    assert reason(content) in {"NOT_A_ZIP", "TOO_MANY_ENTRIES"}


@fuzz
@given(data=st.data())
def test_a_damaged_archive_yields_entries_or_reasons(packed: Packed, data: st.DataObject) -> None:
    files = {"a": b"one" * 50, "b/c": b"two" * 50}
    method = data.draw(st.sampled_from([zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2]))
    content = bytearray(packed(files, method))
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(content[: data.draw(st.integers(0, len(content)))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = unpack(cut)
        except InvalidInput as error:
            assert error.reason.isupper()
            return
    for value in found.values():
        assert value in files.values() or isinstance(value, str) or len(value) <= 1 << 20
