"""An export holds the Binaries that a read would show: by security context and by label."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.access.rights import READING
from tests.gateway.dicomweb.images import STUDY_RESOURCE, hold, made
from tests.gateway.dicomweb.test_dicomweb_rights import RESTRICTED
from tests.gateway.dicomweb.test_page_labels import label

LABELLED = {
    "resourceType": "Basic", "id": "secret", "code": {"text": "x"}, "meta": RESTRICTED,
}  # fmt: skip


def binary(binary_id: str, context: str) -> dict[str, Any]:
    """Return a Binary as a hospital sends it."""
    sent = {"resourceType": "Binary", "id": binary_id, "contentType": "text/plain", "data": "eA=="}
    return {**sent, "securityContext": {"reference": context}}


@pytest.mark.requirement("DX-VIE-14")
async def test_a_label_holds_in_an_export(
    world: Any, setting: Any, bulk: Any, client: Any, keep: Any
) -> None:
    await hold(world, setting, [[made(1)]])
    await keep(world, LABELLED, binary("under-open", "Patient/p-1"))
    await keep(world, binary("under-secret", "Basic/secret"))
    reader = client("reader", READING)
    document = f"Binary/{setting.CASE_ID}-pdf"
    everything = await bulk.ids(_type="Binary")
    assert {document, "Binary/under-open", "Binary/under-secret"} < everything
    assert await reader.ids(_type="Binary") == everything - {"Binary/under-secret"}
    await label(world, {**STUDY_RESOURCE, "meta": RESTRICTED})
    shown = await reader.ids(_type="Binary")
    assert document not in shown and "Binary/under-open" in shown
    assert len(everything) - len(shown) == 4, "the PDF, two pictures, and what is under a label"
    assert await bulk.ids(_type="Binary") == everything
