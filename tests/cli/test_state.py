"""The state folder: secrets are the owner's alone, and never written where they are not needed."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from services.cli import accounts
from services.cli.state import open_state
from services.gateway.access import accounts as gateway_accounts
from services.kernel.crypto import read_master_key
from services.kernel.subjects import SERVICES


@pytest.mark.requirement("DX-CLI-04")
def test_secrets_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    state = open_state(tmp_path / "s")
    secrets = [state.master_key("identity"), state.master_key("analysis")]
    secrets += [state.seed(name) for name in SERVICES]
    secrets += [state.tls(name) / "tls.key" for name in (*SERVICES, "operator")]
    secrets.append(state.root / "credentials.json")
    for path in secrets:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
    assert stat.S_IMODE(state.root.stat().st_mode) == 0o700


@pytest.mark.requirement("DX-CLI-04")
def test_the_gateway_gets_hashes_that_open_with_what_the_person_was_given(tmp_path: Path) -> None:
    state = open_state(tmp_path / "s")
    known = accounts.read(state.root)
    text = (state.root / "accounts.toml").read_text()
    tokens = (known.ehr_token, known.operator_token, known.auditor_token)
    for secret in (known.physician_password, *tokens):
        assert secret and secret not in text
    parsed = gateway_accounts.parse(text)
    assert parsed.client(known.ehr_token) is not None
    assert parsed.client("something else") is None
    key = parsed.find(known.physician)
    assert parsed.password_of(key).matches(known.physician_password)
    assert not parsed.password_of(key).matches("wrong")


@pytest.mark.requirement("DX-CLI-04")
def test_zones_have_keys_of_their_own_and_a_state_is_kept_unless_fresh(tmp_path: Path) -> None:
    state = open_state(tmp_path / "s")
    first = read_master_key(state.master_key("identity"))
    assert first != read_master_key(state.master_key("analysis"))
    assert read_master_key(open_state(tmp_path / "s").master_key("identity")) == first
    fresh = open_state(tmp_path / "s", fresh=True)
    assert read_master_key(fresh.master_key("identity")) != first


@pytest.mark.requirement("DX-CLI-04")
def test_a_folder_that_is_no_state_is_never_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    open_state(tmp_path, fresh=True)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
