"""Credentials for NATS in a cluster: one nkey per service, and the permissions of each.

`python -m services.cli.cluster FOLDER` writes a new folder that `kubectl apply -k FOLDER`
turns into Secrets: `dxmesh-nats-<service>` with the seed for each service's pods, and
`nats-auth` with the public keys and permissions for the servers. To change the keys of a
running mesh write another folder with `--keep OLD`: the servers then take old and new keys, so pods
change over one by one. `--rewrite` ends that, and brings the permissions of another version
to the keys of a folder. `docs/guides/operating.md` has the steps.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from services.cli.nats_config import make_seed, users
from services.kernel.subjects import SERVICES

AUTH = "auth.conf"
_NAMES = "generatorOptions:\n  disableNameSuffixHash: true\n"


class FolderInUse(Exception):
    """The folder holds credentials already; new ones would lock out what runs on them."""


def write_cluster_secrets(folder: Path, keep: Path | None = None) -> None:
    """Write `<service>.seed`, `<service>.pub`, `auth.conf` and a `kustomization.yaml`.

    Parameters
    ----------
    folder
        Created for its owner alone; it must not hold credentials yet.
    keep
        An earlier folder whose keys stay valid beside the new ones.

    Raises
    ------
    FolderInUse
    """
    if any(folder.glob("*.seed")) or any(folder.glob("*.pub")):
        raise FolderInUse(f"{folder} holds keys already; name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for service in SERVICES:
        seed, public = make_seed()
        secret = folder / f"{service}.seed"
        secret.touch(mode=0o600)
        secret.write_text(seed)
        (folder / f"{service}.pub").write_text(public)
    _write_auth(folder, *([keep] if keep else []))
    (folder / "kustomization.yaml").write_text(_kustomization())


def rewrite_auth(folder: Path) -> None:
    """Write `auth.conf` anew with this folder's public keys alone; seeds stay as they are.

    Raises
    ------
    FileNotFoundError
        The folder holds no keys.
    """
    _write_auth(folder)


def read_public_keys(folder: Path) -> dict[str, str]:
    """Return the nkey public key of each service in a folder."""
    return {service: (folder / f"{service}.pub").read_text().strip() for service in SERVICES}


def _write_auth(folder: Path, *others: Path) -> None:
    """Write what `nats.conf` includes; NATS reads JSON as configuration."""
    generations = [read_public_keys(each) for each in (folder, *others)]
    entries = [entry for public_keys in generations for entry in users(public_keys)]
    text = json.dumps({"authorization": {"users": entries}}, indent=1)
    (folder / AUTH).write_text(text + "\n")


def _kustomization() -> str:
    secrets = [(f"dxmesh-nats-{service}", f"seed={service}.seed") for service in SERVICES]
    secrets.append(("nats-auth", AUTH))
    entries = "".join(f"  - name: {name}\n    files: [{file}]\n" for name, file in secrets)
    return (
        "# Secrets of the bus. `kubectl apply -n dxmesh -k` this folder; commit none of it.\n"
        f"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n{_NAMES}"
        f"secretGenerator:\n{entries}"
    )


def main() -> None:
    """Write a folder of credentials from the command line."""
    parser = argparse.ArgumentParser(description="NATS credentials for a cluster")
    parser.add_argument("folder", type=Path, help="folder for seeds and auth.conf")
    change = parser.add_mutually_exclusive_group()
    change.add_argument("--keep", type=Path, help="folder whose keys stay valid meanwhile")
    change.add_argument("--rewrite", action="store_true", help="write its auth.conf anew")
    given = parser.parse_args()
    try:
        if given.rewrite:
            rewrite_auth(given.folder)
        else:
            write_cluster_secrets(given.folder, given.keep)
    except (FolderInUse, FileNotFoundError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
