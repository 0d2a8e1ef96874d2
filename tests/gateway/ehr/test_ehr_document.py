"""The PDF of a case inside the EHR is refused where it shows what its reader may not see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.gateway.dicomweb.images import STUDY_RESOURCE, hold, made
from tests.gateway.dicomweb.test_dicomweb_rights import RESTRICTED
from tests.gateway.dicomweb.test_page_labels import label


@pytest.mark.requirement("DX-VIE-14")
async def test_a_restricted_study_takes_the_pdf_and_says_so(scene: Any, setting: Any) -> None:
    await hold(scene.world, setting, [[made(1)]])
    store = scene.gateway.store
    await store.people.remember_subject("north", ["urn:test:mrn|MRN-p-1"], "subject-9")
    async with store.cases.change("north", setting.CASE_ID) as opened:
        opened.case = replace(opened.case, subject_key="subject-9")
    root = await scene.launch("p-1")
    case = f"{root}/cases/{setting.CASE_ID}"
    document = await scene.page(f"{case}/report.pdf")
    assert document.status_code == 200 and document.content.startswith(b"%PDF")
    assert f"{case}/report.pdf" in (await scene.page(case)).text
    await label(scene.world, {**STUDY_RESOURCE, "meta": RESTRICTED})
    refused = await scene.page(f"{case}/report.pdf")
    assert refused.status_code == 403
    assert "DOCUMENT_RESTRICTED" in refused.text and "report on its page" in refused.text
    page = (await scene.page(case)).text
    assert f"{case}/report.pdf" not in page and "No PDF" in page
    assert (await scene.page(f"{case}/report.json")).status_code == 200, "words stay"
