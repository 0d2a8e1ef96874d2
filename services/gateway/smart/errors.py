"""Refusals in the words of OAuth. Pure."""

from __future__ import annotations


class OAuthError(Exception):
    """A refusal in the words of RFC 6749, 5.2; its text names no person."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.code, self.description, self.status = code, description, status


class InvalidClient(OAuthError):
    """The client did not prove who it is."""

    def __init__(self, description: str) -> None:
        super().__init__("invalid_client", description, 401)
