"""Passwords as scrypt hashes (RFC 7914): `scrypt$n$r$p$salt$hash`, base64. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass

from services.kernel.settings import BadSettings

MEMORY_MAX = 256 << 20
"""Bytes one check may take; a hash that asks for more is a mistake or an attack."""
PASSWORD_CHARS_MAX = 1024


@dataclass(frozen=True, slots=True)
class ScryptHash:
    """Cost parameters, salt and digest."""

    n: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    @classmethod
    def parse(cls, text: str, where: str) -> ScryptHash:
        """Return the hash written in `text`.

        Raises
        ------
        BadSettings
            Malformed, weaker than n = 2^14, or needing more than 256 MiB.
        """
        try:
            name, n, r, p, salt, digest = text.split("$")
            parsed = cls(
                int(n),
                int(r),
                int(p),
                base64.b64decode(salt, validate=True),
                base64.b64decode(digest, validate=True),
            )
        except ValueError as error:
            raise BadSettings(f"{where}: password is not scrypt$n$r$p$salt$hash") from error
        if name != "scrypt" or parsed.n < 1 << 14 or parsed.n & (parsed.n - 1):
            raise BadSettings(
                f"{where}: password must be scrypt with n a power of 2, 16384 or more"
            )
        if 128 * parsed.n * parsed.r > MEMORY_MAX or not 0 < parsed.p <= 16:
            raise BadSettings(f"{where}: the password hash asks for too much memory or time")
        return parsed

    def matches(self, password: str) -> bool:
        """Tell whether this is the password; takes about 50 ms of one core."""
        if len(password) > PASSWORD_CHARS_MAX:
            return False
        given = hashlib.scrypt(
            password.encode(),
            salt=self.salt,
            n=self.n,
            r=self.r,
            p=self.p,
            maxmem=MEMORY_MAX * 2,
            dklen=len(self.digest),
        )
        return hmac.compare_digest(given, self.digest)


DUMMY = ScryptHash(1 << 14, 8, 1, b"nobody has it...", bytes(32))
"""Checked for unknown names, so that a guess takes as long as for a known one."""
