"""How tests read a case's report and sign it."""

from __future__ import annotations

from typing import Any

AI, PHYSICIAN = "AIAST", "CLINAST"


async def reports(world: Any) -> list[Any]:
    bundle = (await world.get("/fhir/DiagnosticReport")).json()
    return [entry["resource"] for entry in bundle.get("entry", [])]


def labels(resource: Any) -> list[str]:
    return [label["code"] for label in resource["meta"].get("security", [])]


async def page_token(world: Any, case_id: str) -> tuple[str, str]:
    """Return the page and its token."""
    page = (await world.http.get(f"/cases/{case_id}", headers={"Accept": "text/html"})).text
    return page, hidden(page, "csrf")


def hidden(page: str, name: str) -> str:
    return page.split(f'name="{name}" value="')[1].split('"')[0]


async def sign(world: Any, setting: Any, *, verdicts: Any = None, **changes: Any) -> Any:
    await world.sign_in()
    page, token = await page_token(world, setting.CASE_ID)
    bundle = await world.gateway.store.reports.composed("north", setting.CASE_ID, 1)
    ids = [e["resource"]["id"] for e in bundle["entry"] if e["resource"].get("meta", {}).get("tag")]
    given = dict.fromkeys(ids, "agree") | (verdicts(ids) if verdicts else {})
    form = {f"verdict:{key}": value for key, value in given.items()}
    form |= {"csrf": token, "version": "1", "amends": hidden(page, "amends"), "comment": ""}
    form |= {"password": setting.PASSWORD}
    return await world.http.post(f"/cases/{setting.CASE_ID}/sign", data=form | changes)
