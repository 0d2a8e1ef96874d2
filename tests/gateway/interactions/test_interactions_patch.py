"""JSON Patch and FHIRPath Patch: what they change, what stays digit for digit, what is refused."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.fhir import element_path, fhirpath_patch, json_patch
from services.kernel import fhir
from services.kernel.errors import InvalidInput

JSON_PATCH = "application/json-patch+json"
WEIGHT = (
    b'{"resourceType":"Observation","id":"w","status":"final","code":{"text":"w"},'
    b'"valueQuantity":{"value":72.50,"unit":"kg"},'
    b'"component":[{"code":{"text":"c"},"valueQuantity":{"value":1.0e2}},'
    b'{"code":{"text":"d"},"valueString":"x"}],"note":[{"text":"one"},{"text":"two"}]}'
)
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "active": True,
    "name": [{"use": "official", "given": ["x", "y"]}, {"use": "nickname", "text": "b"}],
    "deceasedBoolean": False,
    "birthDate": "1980-01-01",
}


def operation(kind: str, path: str, **parts: Any) -> dict[str, Any]:
    """Return one operation; a part is an index, a text, or a whole value part."""
    made: list[dict[str, Any]] = [
        {"name": "type", "valueCode": kind},
        {"name": "path", "valueString": path},
    ]
    for name, value in parts.items():
        form = "valueInteger" if isinstance(value, int) else "valueString"
        made.append({"name": name, **(value if isinstance(value, dict) else {form: value})})
    return {"name": "operation", "part": made}


def patched(*operations: Any, resource: Any = PATIENT) -> dict[str, Any]:
    return fhirpath_patch.apply(resource, {"parameter": list(operations)})


@pytest.mark.requirement("DX-INT-08")
async def test_json_patch_keeps_every_other_digit(each_database: Any) -> None:
    assert (await each_database("PUT", "Observation/w", WEIGHT)).status_code == 201
    change = (
        b'[{"op":"test","path":"/valueQuantity/value","value":72.5},'
        b'{"op":"copy","from":"/component/0/valueQuantity/value","path":"/valueQuantity/value"},'
        b'{"op":"add","path":"/note/-","value":{"text":"three"}},'
        b'{"op":"move","from":"/note/0","path":"/note/2"},'
        b'{"op":"remove","path":"/component/1"}]'
    )
    answer = await each_database("PATCH", "Observation/w", change, content_type=JSON_PATCH)
    assert answer.status_code == 200 and answer.headers["etag"] == 'W/"2"'
    assert b'"valueQuantity":{"value":1.0e2,"unit":"kg"}' in answer.content
    assert [note["text"] for note in answer.json()["note"]] == ["two", "three", "one"]
    assert len(answer.json()["component"]) == 1
    stale = await each_database(
        "PATCH", "Observation/w", change, content_type=JSON_PATCH, if_match='W/"1"'
    )
    assert stale.status_code == 412


UNFIT = [
    (b'[{"op":"test","path":"/status","value":"amended"}]', 422),
    (b'[{"op":"remove","path":"/nothing"}]', 422),
    (b'[{"op":"remove","path":"/code"}]', 422),
    (b'[{"op":"replace","path":"/id","value":"other"}]', 422),
    (b'[{"op":"replace","path":"/resourceType","value":"Basic"}]', 422),
    (b'[{"op":"replace","path":"","value":[]}]', 422),
    (b'[{"op":"append","path":"/status","value":"x"}]', 422),
    (b'[{"op":"add","path":"/note/9","value":{"text":"x"}}]', 422),
    (b'[{"op":"move","from":"/code","path":"/code/text"}]', 422),
    (b"[]", 422),
    (b"[1]", 422),
    (b"{", 400),
]


@pytest.mark.requirement("DX-INT-08")
async def test_a_json_patch_that_does_not_fit_changes_nothing(server: Any) -> None:
    await server("PUT", "Observation/w", WEIGHT)
    for change, status in UNFIT:
        answer = await server("PATCH", "Observation/w", change, content_type=JSON_PATCH)
        assert answer.status_code == status, (change, answer.text)
    assert (await server("GET", "Observation/w")).headers["etag"] == 'W/"1"'


@pytest.mark.requirement("DX-INT-05")
async def test_a_patch_does_not_show_what_may_not_be_read(server: Any, only_patient: Any) -> None:
    about = fhir.parse(WEIGHT) | {"subject": {"reference": "Patient/p"}}
    await server("PUT", "Observation/w", fhir.dump(about))
    blind = server.with_rights(only_patient("p", "u"))
    change = b'[{"op":"replace","path":"/status","value":"amended"}]'
    answer = await blind("PATCH", "Observation/w", change, content_type=JSON_PATCH)
    assert (answer.status_code, answer.content) == (200, b"")
    assert (await server("GET", "Observation/w")).json()["status"] == "amended"


@pytest.mark.requirement("DX-INT-08")
async def test_fhirpath_patch_over_http(server: Any) -> None:
    await server("PUT", "Observation/w", WEIGHT)
    value = {"valueDecimal": 3}
    parameters = {
        "resourceType": "Parameters",
        "parameter": [operation("replace", "Observation.status", value={"valueCode": "amended"})],
    }
    answer = await server("PATCH", "Observation/w", parameters)
    assert answer.status_code == 200 and answer.json()["status"] == "amended"
    assert b'"value":72.50' in answer.content and b"1.0e2" in answer.content
    for wrong in (
        {"resourceType": "Basic"},
        {"resourceType": "Parameters"},
        {"resourceType": "Parameters", "parameter": [{"name": "operation"}]},
        {"resourceType": "Parameters", "parameter": [operation("add", "Basic", value=value)]},
    ):
        assert (await server("PATCH", "Observation/w", wrong)).status_code in (400, 422), wrong
    xml = await server("PATCH", "Observation/w", b"<diff/>", content_type="application/xml")
    assert xml.status_code == 415
    assert (await server("PATCH", "Observation/none", parameters)).status_code == 404
    await server("DELETE", "Observation/w")
    assert (await server("PATCH", "Observation/w", parameters)).status_code == 410


@pytest.mark.requirement("DX-INT-08")
def test_fhirpath_patch_operations() -> None:
    made = patched(
        operation("replace", "Patient.birthDate", value={"valueDate": "1990"}),
        operation("replace", "Patient.deceased", value={"valueDateTime": "2020"}),
        operation("delete", "Patient.active"),
        operation("delete", "Patient.gender"),
        operation("add", "Patient.name.where(use='official')", name="given", value="z"),
        operation("move", "Patient.name[0].given", source=2, destination=0),
        operation("insert", "Patient.name", index=1, value={"valueHumanName": {"text": "c"}}),
        operation("delete", "Patient.name.where(use = 'nickname' and text='b')"),
        operation(
            "add",
            "Patient",
            name="contact",
            value={
                "part": [
                    {"name": "name", "valueHumanName": {"text": "n"}},
                    {"name": "relationship", "valueCodeableConcept": {"text": "r"}},
                ]
            },
        ),
        operation("add", "Patient", name="multipleBirth", value={"valueInteger": 2}),
    )
    assert made == {
        "resourceType": "Patient",
        "id": "p",
        "birthDate": "1990",
        "deceasedDateTime": "2020",
        "name": [{"use": "official", "given": ["z", "x", "y"]}, {"text": "c"}],
        "contact": [{"name": {"text": "n"}, "relationship": [{"text": "r"}]}],
        "multipleBirthInteger": 2,
    }
    assert PATIENT["birthDate"] == "1980-01-01", "what was given is not changed"


@pytest.mark.requirement("DX-INT-08")
def test_deleting_takes_what_hangs_on_it() -> None:
    resource = {
        "resourceType": "Patient",
        "id": "p",
        "birthDate": "1980",
        "_birthDate": {"extension": [{"url": "urn:x", "valueString": "y"}]},
        "name": [{"given": ["x", "y"], "_given": [None, {"id": "g"}]}],
    }
    made = patched(
        operation("delete", "Patient.birthDate"),
        operation("delete", "Patient.name[0].given[1]"),
        resource=resource,
    )
    assert made == {"resourceType": "Patient", "id": "p", "name": [{"given": ["x"]}]}
    empty = patched(
        operation("delete", "Patient.name.given[0]"),
        operation("delete", "Patient.name.given"),
        resource=made | {"name": [{"given": ["x", "y"]}]},
    )
    assert empty == {"resourceType": "Patient", "id": "p"}, "nothing empty is left"


@pytest.mark.requirement("DX-INT-08")
@pytest.mark.parametrize(
    "wrong",
    [
        operation("add", "Patient", name="birthDate", value={"valueDate": "1999"}),
        operation("add", "Patient", name="deceased", value={"valueBoolean": True}),
        operation("add", "Patient", name="colour", value="red"),
        operation("add", "Patient.birthDate", name="x", value="red"),
        operation("replace", "Patient.name", value={"valueHumanName": {}}),
        operation("replace", "Patient.gender", value={"valueCode": "male"}),
        operation("replace", "Patient", value={"resource": {}}),
        operation("delete", "Patient"),
        operation("delete", "Patient.name"),
        operation("insert", "Patient.birthDate", index=0, value="x"),
        operation("insert", "Patient.name", index=7, value={"valueHumanName": {}}),
        operation("move", "Patient.name", source=0, destination=2),
        operation("delete", "Observation.name"),
        operation("delete", "Patient.name.exists()"),
        operation("delete", "Patient.name.where(use"),
        operation("delete", "Patient..name"),
        operation("delete", "Patient.name[x]"),
        operation("delete", "x" * 2000),
        operation("merge", "Patient.name"),
        operation("replace", "Patient.birthDate"),
        {"name": "other"},
        {"name": "operation", "part": [3]},
    ],
    ids=lambda w: str(w)[-60:],
)
def test_a_fhirpath_patch_that_does_not_fit_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        patched(operation("delete", "Patient.active"), wrong)
    assert refused.value.violations[0].path.startswith("Parameters.parameter[1]")
    assert "1980" not in str(refused.value.violations)


@given(st.text(alphabet="Patient.name[]()'=where0 and\\first", max_size=60))
@pytest.mark.requirement("DX-INT-16")
def test_no_path_is_more_than_refused(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        element_path.find(dict(PATIENT), text)


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists, max_leaves=8))
@pytest.mark.requirement("DX-INT-16")
def test_no_json_patch_is_more_than_refused(value: Any) -> None:
    for change in (value, [{"op": "add", "path": value, "value": value}], [value]):
        with contextlib.suppress(InvalidInput):
            json_patch.apply(fhir.parse(WEIGHT), change)


@pytest.mark.requirement("DX-INT-08")
def test_copies_of_a_list_into_itself_end_before_they_fill_the_memory() -> None:
    bomb = [{"op": "copy", "from": "/name", "path": "/name/-"}] * 60
    with pytest.raises(InvalidInput) as refused:
        json_patch.apply(PATIENT, bomb)
    assert "may copy" in refused.value.violations[0].problem
    whole = [{"op": "copy", "from": "", "path": "/x"}] * 1000
    with pytest.raises(InvalidInput):
        json_patch.apply(PATIENT, whole)


@pytest.mark.requirement("DX-INT-08")
async def test_a_patch_tells_nothing_of_what_its_sender_may_not_change(
    server: Any, only_patient: Any
) -> None:
    for name in ("a", "b"):
        await server.put({"resourceType": "Patient", "id": name})
    secret = {"resourceType": "Flag", "id": "f", "status": "active", "code": {"text": "secret"}}
    await server.put(secret | {"subject": {"reference": "Patient/b"}})
    app = server.with_rights(only_patient("a"))
    for guess in ("secret", "other"):
        test = [{"op": "test", "path": "/code/text", "value": guess}]
        for version in ('W/"1"', 'W/"7"'):
            answer = await app("PATCH", "Flag/f", test, content_type=JSON_PATCH, if_match=version)
            assert answer.status_code == 403, (guess, version)
    for version in ('W/"1"', 'W/"7"'):
        assert (await app("DELETE", "Flag/f", if_match=version)).status_code == 403


@pytest.mark.requirement("DX-INT-08")
def test_a_fhirpath_patch_may_not_walk_a_large_resource_a_thousand_times() -> None:
    notes = [{"text": "x"} for _ in range(10_000)]
    large = {**PATIENT, "extension": [{"url": "u", "extension": notes}]}
    gone = operation("delete", "Patient.active")
    assert "active" not in patched(*[gone] * 10, resource=large)
    with pytest.raises(InvalidInput) as refused:
        patched(*[gone] * 1000, resource=large)
    assert "several patches" in refused.value.violations[0].problem


@pytest.mark.requirement("DX-INT-08")
@pytest.mark.parametrize("path", ["name[1.5]", "name[1", "none.where(use=", "none.where(use='a'"])
def test_a_path_that_ends_early_or_counts_in_halves_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput):
        patched(operation("delete", f"Patient.{path}"))
