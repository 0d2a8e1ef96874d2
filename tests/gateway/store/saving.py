"""Small resources, and how tests of the store write them."""

from __future__ import annotations

from typing import Any

from services.gateway.store import Store


def basic(number: int = 0, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Basic", "id": f"b-{number}", "code": {"text": "x"}, **more}


async def save(store: Store, resource: Any, tenant: str = "north", **how: Any) -> Any:
    async with store.resources.writing(tenant) as writing:
        return await writing.save(resource, **how)
