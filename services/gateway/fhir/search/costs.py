"""What one search may cost. Pure."""

from __future__ import annotations

from services.kernel.errors import MeshError

SCAN_MAX = 5_000
"""Candidates looked at again for one page; then the page ends early, with a next link."""
COUNT_SCAN_MAX = 20_000
"""Candidates looked at again for `_total`."""
SORT_MAX = 2_000
"""Matches sorted in memory: by strings, tokens or several keys."""
LINKED_MAX = 1_000
"""Resources a chain or `_has` is resolved to at once; beyond, each candidate is followed."""
FOLLOWED_MAX = 10_000
"""References looked at to follow the candidates of one step."""
INCLUDED_MAX = 1_000
"""Resources that `_include` and `_revinclude` may add to a page."""
ROUNDS_MAX = 8
"""Times that `:iterate` follows what it included."""
VALUE_SET_MAX = 2_000
"""Codes of a value set that `:in` may look up."""


class TooCostly(MeshError):
    """The search would cost more than is allowed; the message says how to narrow it."""

    issue = "too-costly"
    grpc_status = "FAILED_PRECONDITION"
