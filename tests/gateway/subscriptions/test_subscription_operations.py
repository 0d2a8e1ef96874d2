"""$status, $events and the topics; what a write does to the numbers."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.gateway.subscriptions import topics
from services.kernel import fhir
from tests.servers.medplum import validator


def parameters(resource: dict[str, Any]) -> dict[str, Any]:
    return {p["name"]: p for p in resource["parameter"]}


@pytest.mark.requirement("DX-SUB-10")
async def test_status_of_one_and_of_many(post: Any, asked: Any) -> None:
    name = await post.subscribe(asked.topic(post.receiver.url))
    await post.subscribe(asked.rest_hook(post.receiver.url))
    await post.put(asked.task())
    answer = await post.send("GET", f"/fhir/Subscription/{name}/$status")
    bundle = answer.json()
    assert (bundle["type"], bundle["total"]) == ("searchset", 1)
    said = parameters(bundle["entry"][0]["resource"])
    assert said["type"]["valueCode"] == "query-status"
    assert said["status"]["valueCode"] == "requested"
    assert said["events-since-subscription-start"]["valueString"] == "1"
    assert (await post.send("GET", "/fhir/Subscription/$status")).json()["total"] == 2
    await post.deliver()
    for query, total in (("id=" + name, 1), ("status=active", 2), ("status=error", 0)):
        answer = await post.send("GET", f"/fhir/Subscription/$status?{query}")
        assert answer.json()["total"] == total
    body = {"resourceType": "Parameters", "parameter": [{"name": "id", "valueId": name}]}
    assert (await post.send("POST", "/fhir/Subscription/$status", body)).json()["total"] == 1
    answer = await post.send("GET", "/fhir/Subscription/$status?colour=red")
    assert answer.status_code == 400
    assert (await post.send("GET", "/fhir/Subscription/none/$status")).status_code == 404


@pytest.mark.requirement("DX-SUB-10")
async def test_missed_events_can_be_asked_for(post: Any, asked: Any) -> None:
    name = await post.subscribe(asked.topic(post.receiver.url))
    for status in ("requested", "accepted", "in-progress", "completed"):
        await post.put(asked.task(status=status))
    await post.deliver()
    path = f"/fhir/Subscription/{name}/$events"
    for query, numbers in (
        ("", [1, 2, 3, 4]),
        ("?eventsSinceNumber=3", [3, 4]),
        ("?eventsSinceNumber=2&eventsUntilNumber=3&content=full-resource", [2, 3]),
    ):
        bundle = (await post.send("GET", path + query)).json()
        assert bundle["type"] == "history"
        first = bundle["entry"][0]["resource"]
        assert parameters(first)["type"]["valueCode"] == "query-event"
        told = [p["part"] for p in first["parameter"] if p["name"] == "notification-event"]
        assert [int(part[0]["valueString"]) for part in told] == numbers
    statuses = [entry["resource"]["status"] for entry in bundle["entry"][1:]]
    assert statuses == ["accepted", "in-progress"]  # each as it was at its event
    assert fhir.problems(bundle) == []
    for query in ("?eventsSinceNumber=-1", "?eventsSinceNumber=x", "?content=all", "?since=1"):
        assert (await post.send("GET", path + query)).status_code == 400, query


@pytest.mark.requirement("DX-SUB-10")
async def test_events_are_shown_to_the_owner_alone(post: Any, asked: Any) -> None:
    name = await post.subscribe(asked.topic(post.receiver.url))
    await post.world.sign_in()
    post.http.cookies = post.world.http.cookies
    answer = await post.http.get(f"/fhir/Subscription/{name}/$events")
    assert answer.status_code == 403
    assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == "NOT_THE_OWNER"


@pytest.mark.requirement("DX-SUB-10")
async def test_websockets_are_refused_clearly(post: Any, asked: Any) -> None:
    name = await post.subscribe(asked.topic(post.receiver.url))
    for path in ("/fhir/Subscription/", f"/fhir/Subscription/{name}/"):
        answer = await post.send("GET", f"{path}$get-ws-binding-token")
        assert answer.status_code == 501
        assert answer.json()["issue"][0]["code"] == "not-supported"


@pytest.mark.requirement("DX-SUB-10")
async def test_who_may_read_no_subscription_is_refused_everywhere(post: Any, asked: Any) -> None:
    name = await post.subscribe(asked.topic(post.receiver.url))
    for path in (
        "Subscription/$status",
        f"Subscription/{name}/$status",
        f"Subscription/{name}/$events",
        "Subscription/none/$events",
        f"Subscription/{name}/$get-ws-binding-token",
        "SubscriptionTopic",
        "SubscriptionTopic/report-ready",
    ):
        for other in ("auditor", "operator"):
            answer = await post.send("GET", f"/fhir/{path}", name=other)
            assert answer.status_code == 403, (path, other)


@pytest.mark.requirement("DX-SUB-10")
async def test_topics_can_be_read(post: Any) -> None:
    bundle = (await post.send("GET", "/fhir/SubscriptionTopic")).json()
    assert {e["resource"]["url"] for e in bundle["entry"]} == set(topics.BY_URL)
    for entry in bundle["entry"]:
        assert fhir.problems(entry["resource"]) == []
    url = "urn:dxmesh:topic:report-ready"
    bundle = (await post.send("GET", f"/fhir/SubscriptionTopic?url={url}")).json()
    assert [e["resource"]["id"] for e in bundle["entry"]] == ["report-ready"]
    one = await post.send("GET", "/fhir/SubscriptionTopic/report-ready")
    assert one.json()["url"] == url
    assert (await post.send("GET", "/fhir/SubscriptionTopic/none")).status_code == 404


@pytest.mark.requirement("DX-SUB-03")
async def test_the_guides_example_is_served(
    post: Any, setting: Any, request: pytest.FixtureRequest
) -> None:
    guide = (request.config.rootpath / "docs/guides/subscriptions.md").read_text("utf-8")
    body = guide[guide.index("-d '") + 4 :]
    example = orjson.loads(body[: body.index("}'") + 1])
    example["channel"]["endpoint"] = post.receiver.url
    name = await post.subscribe(example)
    await setting.compose(post.world, setting.sample_report())
    assert (await post.standing(name)).numbered == 0  # nobody has signed it
    await post.deliver()
    (greeting,) = post.receiver.got
    assert greeting.headers["authorization"] == "Bearer of-your-endpoint"


@pytest.mark.requirement("DX-SUB-10")
async def test_the_capability_statement_names_topics_and_operations(post: Any) -> None:
    statement = (await post.send("GET", "/fhir/metadata")).json()
    assert fhir.problems(statement) == []
    served = {r["type"]: r for r in statement["rest"][0]["resource"]}["Subscription"]
    assert {e["valueCanonical"] for e in served["extension"]} == set(topics.BY_URL)
    names = {operation["name"] for operation in served["operation"]}
    assert {"status", "events"} <= names
    assert "get-ws-binding-token" not in names


@pytest.mark.requirement("DX-SUB-03")
async def test_notifications_conform_to_r4(
    post: Any, asked: Any, request: pytest.FixtureRequest
) -> None:
    for content in ("empty", "id-only", "full-resource"):
        await post.subscribe(asked.topic(post.receiver.url, content=content))
    await post.put(asked.task())
    await post.deliver()
    bundles = [fhir.parse(told.content) for told in post.receiver.got]
    assert len(bundles) == 6
    for bundle in bundles:
        assert fhir.problems(bundle) == []
    validate = validator(request.config.cache.mkdir("medplum"))
    for bundle in bundles[:1] + bundles[-1:]:
        assert [i for i in validate(bundle) if i["severity"] == "error"] == []


@pytest.mark.requirement("DX-SUB-01")
async def test_events_of_a_transaction_are_numbered_with_it_or_not_at_all(
    post: Any, asked: Any
) -> None:
    name = await post.subscribe(asked.rest_hook(post.receiver.url))

    def bundle(*resources: dict[str, Any]) -> dict[str, Any]:
        entries = [
            {
                "fullUrl": f"urn:uuid:00000000-0000-4000-8000-00000000000{number}",
                "resource": resource,
                "request": {
                    "method": "PUT",
                    "url": f"{resource['resourceType']}/{resource['id']}",
                },
            }
            for number, resource in enumerate(resources)
        ]
        return {"resourceType": "Bundle", "type": "transaction", "entry": entries}

    first, second = asked.observation("o-1"), asked.observation("o-2")
    answer = await post.send("POST", "/fhir", bundle(first, second))
    assert answer.status_code == 200, answer.text
    assert (await post.standing(name)).numbered == 2
    broken = asked.observation("o-3") | {"status": 5}
    answer = await post.send("POST", "/fhir", bundle(asked.observation("o-4"), broken))
    assert answer.status_code >= 400
    assert (await post.standing(name)).numbered == 2
    await post.put(asked.observation("o-5"))
    await post.deliver()
    assert post.receiver.events == [1, 2, 3]


@pytest.mark.requirement("DX-SUB-01")
async def test_subscription_may_come_in_a_transaction_with_what_it_listens_to(
    post: Any, asked: Any
) -> None:
    wanted = asked.rest_hook(post.receiver.url, header=["Authorization: Bearer s3cr3t"])
    entries = [
        {"resource": wanted, "request": {"method": "POST", "url": "Subscription"}},
        {
            "resource": asked.observation(),
            "request": {"method": "PUT", "url": "Observation/o-1"},
        },
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = await post.send("POST", "/fhir", bundle, Prefer="return=representation")
    assert answer.status_code == 200, answer.text
    assert "s3cr3t" not in answer.text
    await post.deliver()
    assert post.receiver.events == [1]
    assert post.receiver.got[0].headers["authorization"] == "Bearer s3cr3t"


@pytest.mark.requirement("DX-SUB-02")
async def test_content_that_does_not_change_is_no_event(post: Any, asked: Any) -> None:
    name = await post.subscribe(asked.rest_hook(post.receiver.url))
    await post.put(asked.observation())
    await post.put(asked.observation())
    assert (await post.standing(name)).numbered == 1


@pytest.mark.requirement("DX-SUB-03")
async def test_report_and_its_critical_result_are_told_with_the_reports_commit(
    post: Any, asked: Any, setting: Any
) -> None:
    found = {
        topic: await post.subscribe(asked.topic(post.receiver.url, topic))
        for topic in ("report-ready", "critical-result", "case-status")
    }
    await setting.compose(post.world, setting.sample_report())
    numbered = {topic: (await post.standing(name)).numbered for topic, name in found.items()}
    assert numbered["report-ready"] == 1
    assert numbered["critical-result"] == 1  # the potassium
    assert numbered["case-status"] >= 1


def report(status: str) -> dict[str, Any]:
    return {"resourceType": "DiagnosticReport", "status": status}


def result(code: str, status: str = "final") -> dict[str, Any]:
    coding = [{"system": topics.INTERPRETATION, "code": code}]
    interpretation = [{"coding": coding}]
    return {"resourceType": "Observation", "status": status, "interpretation": interpretation}


TOLD: dict[str, Any] = {
    "resourceType": "Communication",
    "identifier": [{"system": topics.NOTICES, "value": "n"}],
    "status": "in-progress",
}
"""A critical result as it is told."""


@pytest.mark.requirement("DX-SUB-03")
@pytest.mark.parametrize(
    ("topic", "before", "now", "is_event"),
    [
        ("report-ready", None, report("partial"), True),
        ("report-ready", report("partial"), report("final"), True),
        ("report-ready", report("final"), report("amended"), True),
        ("report-ready", None, report("registered"), False),
        ("report-ready", report("final"), report("entered-in-error"), True),
        ("report-ready", None, report("entered-in-error"), False),
        ("critical-result", None, result("HH"), True),
        ("critical-result", None, result("H"), False),
        ("critical-result", result("H"), result("LL"), True),
        ("critical-result", result("HH"), result("HH"), False),
        ("critical-result", result("HH"), result("HH", "entered-in-error"), True),
        ("critical-result", result("HH"), result("N"), False),
        ("critical-notice", None, TOLD, True),
        ("critical-notice", None, {"status": "in-progress"}, False),
        ("critical-notice", TOLD, TOLD | {"note": []}, False),
        ("critical-notice", TOLD, TOLD | {"status": "completed"}, True),
        ("case-status", None, {"status": "requested"}, True),
        ("case-status", {"status": "requested"}, {"status": "requested", "note": []}, False),
        ("case-status", {"status": "requested"}, {"status": "completed"}, True),
    ],
)
def test_when_a_version_is_an_event(
    topic: str, before: dict[str, Any] | None, now: dict[str, Any], is_event: bool
) -> None:
    assert topics.BY_URL[topics.PREFIX + topic].trigger(now, before) is is_event
