"""The addresses of the SMART app. A launch's pages are all under `/ehr/{launch}/`."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from services.gateway.call import Gateway
from services.gateway.ehr import launch, pages, submitting
from services.gateway.ehr.gate import EhrGate
from services.gateway.web import case_page, critical, review, viewer

VISIT = (
    ("/worklist", "GET", pages.worklist),
    ("/worklist/rows", "GET", pages.rows),
    ("/submit", "GET", submitting.page),
    ("/submit", "POST", submitting.send),
    ("/cases/{id}", "GET", pages.of_patient(case_page.case_page)),
    ("/cases/{id}/images/{version}/{image}", "GET", pages.of_patient(case_page.image)),
    *((f"/cases/{{id}}{path}", "GET", pages.of_patient(each)) for path, each in viewer.PATHS),
    ("/cases/{id}/critical", "POST", pages.of_patient(critical.acknowledge)),
    ("/cases/{id}/draft", "POST", pages.of_patient(review.save_draft)),
    ("/cases/{id}/sign", "POST", pages.sign),
    ("/cases/{id}/write", "POST", pages.ask),
    ("/cases/{id}/report.pdf", "GET", pages.pdf),
    ("/cases/{id}/report.json", "GET", pages.json),
    ("/language", "POST", pages.set_language),
    ("/sign-out", "POST", pages.end),
)


def routes(gateway: Gateway) -> list[BaseRoute]:
    """Return the routes; none when no EHR is configured."""
    if not gateway.ehrs.clients:
        return []
    gate = EhrGate(gateway)
    found: list[BaseRoute] = [
        Route("/ehr/launch", gate.open("ehr-launch", launch.launch), methods=["GET"]),
        Route("/ehr/callback/{ehr}", gate.open("ehr-callback", launch.callback), methods=["GET"]),
        Route("/ehr/jwks/{ehr}", gate.open("ehr-jwks", launch.jwks), methods=["GET"]),
    ]
    for path, method, handler in VISIT:
        full = f"/ehr/{{launch}}{path}"
        found.append(Route(full, gate.endpoint(full, method, handler), methods=[method]))
    return found
