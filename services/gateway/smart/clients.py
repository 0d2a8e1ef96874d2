"""A SMART client as the operator registers it. Pure.

Three kinds: `public` (an app without a secret: PKCE alone), `symmetric` (a secret we make,
sent as HTTP Basic) and `asymmetric` (`private_key_jwt` with its public keys, by address or
inline). A backend service is an asymmetric client with a role and `system/` scopes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey

from services.gateway.access import scopes
from services.gateway.access.principal import Role
from services.kernel.errors import InvalidInput, Violation

KINDS = ("public", "symmetric", "asymmetric")
BACKEND_ROLES = ("ehr", "auditor")
REDIRECTS_MAX, URI_CHARS_MAX, KEYS_MAX = 20, 2000, 20
RSA_BITS_MIN = 2048
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{2,63}")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_APP_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+")
"""A native app's own scheme, which must be a reversed domain name (RFC 8252, 7.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmartClient:
    """One registration."""

    client_id: str
    tenant: str
    name: str
    """What the physician is shown."""
    kind: str
    redirect_uris: tuple[str, ...] = ()
    launch_url: str = ""
    scope: str = ""
    """Scopes it may ask for at most."""
    role: str = ""
    """Of a backend service: what it may do in its own name; empty: it has no such grant."""
    jwks: Mapping[str, Any] | None = None
    jwks_url: str = ""

    def document(self) -> dict[str, Any]:
        """Return all but the keys of the row, for the store."""
        content = asdict(self)
        return {k: v for k, v in content.items() if k not in ("client_id", "tenant")}

    @property
    def scopes(self) -> scopes.Scopes:
        """The scopes it may ask for at most."""
        return scopes.parse(self.scope)


def from_document(client_id: str, tenant: str, document: Mapping[str, Any]) -> SmartClient:
    """Return a registration out of the store."""
    content = dict(document) | {"redirect_uris": tuple(document["redirect_uris"])}
    return SmartClient(client_id=client_id, tenant=tenant, **content)


def checked(client: SmartClient) -> SmartClient:
    """Return the registration when it can be used.

    Raises
    ------
    InvalidInput
        Names every field that is wrong.
    """
    problems = [*_identity(client), *_addresses(client), *_keys(client), *_scopes(client)]
    if problems:
        raise InvalidInput("the client cannot be registered like this", problems)
    return client


def _identity(client: SmartClient) -> list[Violation]:
    found = []
    if not _ID.fullmatch(client.client_id):
        found.append(Violation("client_id", "3 to 64 letters, digits, '.', '_', '~' and '-'"))
    if not 1 <= len(client.name.strip()) <= 100 or not client.name.isprintable():
        found.append(Violation("name", "1 to 100 printable characters"))
    if client.kind not in KINDS:
        found.append(Violation("kind", f"one of {', '.join(KINDS)}"))
    return found


def _addresses(client: SmartClient) -> list[Violation]:
    found = []
    if not client.redirect_uris and not client.role:
        found.append(Violation("redirect_uris", "at least one, or a role for a backend service"))
    if len(client.redirect_uris) > REDIRECTS_MAX:
        found.append(Violation("redirect_uris", f"at most {REDIRECTS_MAX}"))
    found += [
        Violation("redirect_uris", "https, http on loopback, or a native app's own scheme")
        for uri in client.redirect_uris
        if not is_redirect(uri)
    ]
    if client.launch_url and not is_web(client.launch_url):
        found.append(Violation("launch_url", "https, or http on loopback"))
    return found


def is_web(uri: str) -> bool:
    """Tell whether an address is https, or http on this machine, and nothing odd."""
    if (
        len(uri) > URI_CHARS_MAX
        or not uri.isascii()
        or any(c <= " " or c in "\\\"'<>`" for c in uri)
    ):
        return False
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    if "#" in uri or "@" in parts.netloc or not host or ";" in host or "," in host:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)


def is_redirect(uri: str) -> bool:
    """Tell whether an answer may be sent to an address (RFC 6749, 3.1.2; RFC 8252)."""
    if is_web(uri):
        return True
    scheme, colon, rest = uri.partition(":")
    odd = not uri.isascii() or any(c <= " " or c in "\\\"'<>`#;," for c in uri)
    return (
        bool(colon and rest and not odd and _APP_SCHEME.fullmatch(scheme))
        and len(uri) <= URI_CHARS_MAX
    )


def _keys(client: SmartClient) -> list[Violation]:
    given = (client.jwks is not None) + bool(client.jwks_url)
    if client.kind != "asymmetric":
        return [Violation("jwks", "only for an asymmetric client")] if given else []
    if given != 1:
        return [Violation("jwks", "either jwks or jwks_url")]
    if client.jwks is None:
        return []
    try:
        usable(client.jwks)
    except ValueError as error:
        return [Violation("jwks", str(error))]
    return []


def usable(document: Any) -> KeySet:
    """Return the keys of a JWK set that may verify an assertion: RSA from 2048 bits, and P-384.

    Keys of another kind are left aside (RFC 7517, 5).

    Raises
    ------
    ValueError
        It is no key set, holds a private or symmetric key, or no usable one.
    """
    keys = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(keys, list) or not 0 < len(keys) <= KEYS_MAX:
        raise ValueError(f"a JWK set with 1 to {KEYS_MAX} keys")
    found: list[RSAKey | ECKey] = []
    for each in keys:
        if not isinstance(each, Mapping):
            raise ValueError("each key is an object")
        if "d" in each or "k" in each or each.get("kty") == "oct":
            raise ValueError("the public parts alone: a private or symmetric key is refused")
        if (key := _usable(each)) is not None:
            found.append(key)
    if not found:
        raise ValueError("no RSA key from 2048 bits and no EC key on P-384")
    return KeySet(list(found))


def _usable(each: Mapping[str, Any]) -> RSAKey | ECKey | None:
    if each.get("use", "sig") != "sig" or each.get("alg", "RS384") not in ("RS384", "ES384"):
        return None
    try:
        if each.get("kty") == "RSA":
            rsa = RSAKey.import_key(dict(each))
            return rsa if rsa.public_key.key_size >= RSA_BITS_MIN else None
        if each.get("kty") == "EC" and each.get("crv") == "P-384":
            return ECKey.import_key(dict(each))
    except (JoseError, ValueError, TypeError) as error:
        raise ValueError("a key cannot be read") from error
    return None


def _scopes(client: SmartClient) -> list[Violation]:
    known = client.scopes
    words = set(client.scope.split())
    unknown = words - {scope.text for scope in known.resources} - known.flags
    found = [Violation("scope", f"not a SMART scope: {word[:64]}") for word in sorted(unknown)]
    backend = bool(known.of("system"))
    if backend and client.kind != "asymmetric":
        found.append(Violation("scope", "system/ scopes are for an asymmetric client"))
    if backend != bool(client.role) or client.role not in ("", *BACKEND_ROLES):
        found.append(Violation("role", f"one of {', '.join(BACKEND_ROLES)}, with system/ scopes"))
    if not known.resources and not known.flags:
        found.append(Violation("scope", "at least one"))
    return found


def role_of(client: SmartClient) -> Role:
    """Return what a backend service is."""
    return Role(client.role)
