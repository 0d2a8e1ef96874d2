"""Keys: fields sealed where they stand, keyed hashes, master keys, nonces."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from services.kernel import blobs as blobs_module
from services.kernel import pieces as pieces_module
from services.kernel.blobs import CHUNK, open_identity
from services.kernel.crypto import FieldCipher, KeyedHash
from services.kernel.errors import Damaged
from services.kernel.settings import BadSettings, IdentitySettings


@pytest.mark.requirement("DX-KEY-07")
@given(plain=st.binary(max_size=200), context=st.text(max_size=20), other=st.text(max_size=20))
def test_field_decrypts_only_where_it_stands(plain: bytes, context: str, other: str) -> None:
    cipher = FieldCipher(b"1" * 32)
    sealed = cipher.encrypt(plain, context)
    assert cipher.decrypt(sealed, context) == plain
    assert cipher.encrypt(plain, context) != sealed, "each has its own nonce"
    for where, what in ((other, sealed), (context, sealed[:-1]), (context, b"")):
        if (where, what) == (context, sealed):
            continue
        with pytest.raises(Damaged):
            cipher.decrypt(what, where)
    with pytest.raises(Damaged):
        FieldCipher(b"2" * 32).decrypt(sealed, context)


@pytest.mark.requirement("DX-KEY-07")
@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_keyed_hash_tells_apart_what_differs(one: list[str], two: list[str]) -> None:
    keyed = KeyedHash(b"1" * 32)
    assert (keyed("name", *one) == keyed("name", *two)) == (one == two)
    assert keyed("name", *one) != keyed("other", *one)
    assert keyed("name", *one) != KeyedHash(b"2" * 32)("name", *one)


@pytest.mark.parametrize("text", ["", "short", base64.b64encode(b"1" * 31).decode(), "\u00e9"])
def test_master_key_that_is_no_key_is_refused_without_showing_it(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "master.key"
        path.write_text(text)
        with pytest.raises(BadSettings) as refused:
            open_identity(IdentitySettings(nats_url="", master_key_identity_file=path))
        assert not text or text not in refused.value.message
    with pytest.raises(BadSettings, match="DX_MASTER_KEY_IDENTITY_FILE"):
        open_identity(IdentitySettings(nats_url=""))


def test_nonce_is_never_used_twice_for_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice would give the key away (NIST SP 800-38D, 8)."""
    used: list[bytes] = []

    class Noting:
        def __init__(self, key: bytes) -> None:
            self._real = AESGCM(key)

        def encrypt_into(self, nonce: bytes, data: Any, bound: bytes, place: Any) -> int:
            used.append(nonce)
            return self._real.encrypt_into(nonce, data, bound, place)

    monkeypatch.setattr(pieces_module, "AESGCM", Noting)
    for _ in range(5):
        blobs_module._seal_all(b"1" * 32, "path", b"x" * (3 * CHUNK))
    assert len(used) == 15 == len(set(used))


@pytest.mark.requirement("DX-KEY-05")
async def test_processes_that_begin_at_once_agree_on_one_key(tmp_path: Path) -> None:
    script = """
import asyncio, sys
from obstore.store import from_url
from services.kernel.crypto import Vault
vault = Vault(from_url(sys.argv[1], mkdir=True), b"k" * 32, "analysis")
async def keys():
    return [(await vault.scope_key("demo", f"s{n}", create=True)).hex() for n in range(20)]
print(asyncio.run(keys()))
"""
    command = [sys.executable, "-c", script, (tmp_path / "blobs").as_uri()]
    runs = [
        await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]
    said = [await run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], b"\n".join(err for _, err in said)
    keys = {out for out, _ in said}
    assert len(keys) == 1
    assert keys.pop().count(b"'") == 40
