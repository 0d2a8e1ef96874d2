"""The folder of NATS credentials that `services.cli.cluster` writes for a cluster."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import nkeys
import pytest

from services.cli.cluster import (
    FolderInUse,
    read_public_keys,
    rewrite_auth,
    write_cluster_secrets,
)
from services.kernel.subjects import SERVICES, permissions


def users(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the permissions in `auth.conf` by public key."""
    document = json.loads((folder / "auth.conf").read_text())
    return {user["nkey"]: user["permissions"] for user in document["authorization"]["users"]}


@pytest.mark.requirement("DX-OPS-10")
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_do_what_the_permission_table_says(service: str, tmp_path: Path) -> None:
    write_cluster_secrets(tmp_path / "new")

    seed = (tmp_path / "new" / f"{service}.seed").read_text()
    public = nkeys.from_seed(bytearray(seed, "ascii")).public_key.decode()

    allowed = permissions(service)
    assert users(tmp_path / "new")[public] == {
        "publish": {"allow": allowed.publish},
        "subscribe": {"allow": allowed.subscribe},
    }


@pytest.mark.requirement("DX-OPS-10")
def test_seeds_are_for_their_owner_alone(tmp_path: Path) -> None:
    write_cluster_secrets(tmp_path / "new")

    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    seeds = list((tmp_path / "new").glob("*.seed"))
    assert len(seeds) == len(SERVICES)
    assert {stat.S_IMODE(seed.stat().st_mode) for seed in seeds} == {0o600}
    assert not any(seed.read_text() in (tmp_path / "new/auth.conf").read_text() for seed in seeds)


@pytest.mark.requirement("DX-OPS-10")
def test_keys_in_use_are_never_overwritten(tmp_path: Path) -> None:
    write_cluster_secrets(tmp_path / "new")
    before = read_public_keys(tmp_path / "new")

    with pytest.raises(FolderInUse, match="name a new folder"):
        write_cluster_secrets(tmp_path / "new")

    assert read_public_keys(tmp_path / "new") == before


@pytest.mark.requirement("DX-OPS-10")
def test_old_keys_hold_beside_new_ones_until_they_are_forgotten(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    write_cluster_secrets(old)
    write_cluster_secrets(new, keep=old)
    olds, news = set(read_public_keys(old).values()), set(read_public_keys(new).values())

    assert set(users(new)) == olds | news

    rewrite_auth(new)
    assert set(users(new)) == news


@pytest.mark.requirement("DX-OPS-10")
def test_the_command_says_what_stops_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "services.cli.cluster", str(tmp_path / "new")]
    assert subprocess.run(command, check=False).returncode == 0

    again = subprocess.run(command, check=False, capture_output=True, text=True)
    assert again.returncode == 1
    assert "name a new folder" in again.stderr

    rewritten = [*command, "--rewrite"]
    assert subprocess.run(rewritten, check=False).returncode == 0

    lost = [*command[:-1], str(tmp_path / "newer"), "--keep", str(tmp_path / "nowhere")]
    assert subprocess.run(lost, check=False, capture_output=True).returncode == 1
