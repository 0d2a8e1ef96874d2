"""A physician at the review pages, by HTTP alone."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import httpx

from services.cli import accounts
from tests.flow.running import Running

_CSRF = re.compile(r'name="csrf" value="([^"]+)"')
_VERSION = re.compile(r'name="version" value="(\d+)"')
_AMENDS = re.compile(r'name="amends" value="(\d+)"')
_FINDING = re.compile(r'name="verdict:([^"]+)"')


@dataclass
class Physician:
    """Signed in to a running mesh."""

    running: Running
    http: httpx.Client = field(init=False)
    password: str = field(init=False)

    def __post_init__(self) -> None:
        known = accounts.read(self.running.state.root)
        self.password = known.physician_password
        self.http = httpx.Client(
            base_url=self.running.mesh.url, headers={"Accept": "text/html"}, timeout=60.0
        )
        form = {"name": known.physician, "password": self.password}
        answer = self.http.post("/sign-in", data=form)
        assert answer.status_code == 303, answer.status_code

    def page(self, case_id: str, query: str = "") -> str:
        """Return the page of a case."""
        answer = self.http.get(f"/cases/{case_id}{query}")
        assert answer.status_code == 200, answer.status_code
        return answer.text

    def findings(self, case_id: str) -> list[str]:
        """Return the ids of what needs a verdict, in the page's order."""
        return list(dict.fromkeys(_FINDING.findall(self.page(case_id))))

    def sign(
        self,
        case_id: str,
        *,
        comment: str = "",
        corrections: dict[str, str] | None = None,
        query: str = "",
        amends: str | None = None,
    ) -> httpx.Response:
        """Agree with every finding but those that are corrected, and sign.

        `amends` is the signature that is amended; by default the one the page names.
        """
        page = self.page(case_id, query)
        form = {
            "csrf": _only(_CSRF, page),
            "version": _only(_VERSION, page),
            "amends": _only(_AMENDS, page) if amends is None else amends,
            "comment": comment,
            "password": self.password,
        }
        for finding in dict.fromkeys(_FINDING.findall(page)):
            corrected = (corrections or {}).get(finding)
            form[f"verdict:{finding}"] = "edit" if corrected else "agree"
            if corrected:
                form[f"correction:{finding}"] = corrected
        return self.http.post(f"/cases/{case_id}/sign", data=form)


def _only(pattern: re.Pattern[str], page: str) -> str:
    found = pattern.search(page)
    assert found, f"no {pattern.pattern} in the page"
    return found[1]
