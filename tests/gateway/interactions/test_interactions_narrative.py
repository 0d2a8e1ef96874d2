"""A narrative is shown in browsers: it holds nothing that runs or loads (R4 narrative, txt-1)."""

from __future__ import annotations

from typing import Any

import pytest

NARRATIVES = {
    "<script>x</script>": 422,
    "<b onclick='x'>x</b>": 422,
    "<b ONLOAD='x'>x</b>": 422,
    "<object data='x'/>": 422,
    "<iframe src='x'></iframe>": 422,
    "<a href='java&#x09;script:x'>x</a>": 422,
    "<a href='&#106;avascript:x'>x</a>": 422,
    "<img src='data:image/svg+xml,x'/>": 422,
    "<b style='background:url(x)'>x</b>": 422,
    "<![CDATA[><script>x</script>]]>": 422,
    "<!--><script>x</script>-->": 422,
    "<b class=x>x</b>": 422,
    "<a href='#x' title='x'>x</a><br/><img src=\"#p\" alt=\"\"/><!-- x -->&lt;script&gt;": 201,
    "<table><tr><td colspan='2' style='color: red'>x</td></tr></table>": 201,
}


@pytest.mark.requirement("DX-INT-16")
@pytest.mark.parametrize("inside", [False, True])
async def test_a_narrative_holds_no_program(server: Any, *, inside: bool) -> None:
    for number, (markup, status) in enumerate(NARRATIVES.items()):
        div = f'<div xmlns="http://www.w3.org/1999/xhtml">{markup}</div>'
        text = {"status": "generated", "div": div}
        told = {"resourceType": "Basic", "id": "n", "code": {"text": "n"}, "text": text}
        made = {**told, "id": f"n-{number}"}
        if inside:
            made = {**made, "text": {**text, "div": "<div/>"}, "contained": [told]}
        answer = await server("PUT", f"Basic/n-{number}", made)
        assert answer.status_code == status, (markup, answer.text)
        if status == 422:
            assert answer.json()["issue"][0]["expression"][0].endswith("text.div")
