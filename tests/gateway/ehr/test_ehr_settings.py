"""The EHR file: what an operator may write, what is refused, and which addresses are the EHR's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.gateway.ehr import chart, opening, patient, registry, scopes, tokens
from services.gateway.ehr.client import EhrClient
from services.kernel.errors import Forbidden
from services.kernel.settings import BadSettings

ENTRY = """
[[ehrs]]
name = "north"
tenant = "north"
issuer = "https://ehr.example/fhir/"
client_id = "dxmesh"
"""


def parsed(more: str = "") -> registry.Registry:
    return registry.parse(ENTRY + more, lambda name: f"content of {name}")


@pytest.mark.requirement("DX-EHR-04")
def test_an_ehr_with_defaults() -> None:
    ehr = parsed().by_name["north"]
    assert ehr.issuer == "https://ehr.example/fhir" and ehr.auth == "public"
    assert ehr.hosts == {"ehr.example:443"} and ehr.frame_ancestors == ()
    assert parsed().of_issuer("https://ehr.example/fhir/") is not None
    for other in ("https://ehr.example", "https://ehr.example/fhir/x", "https://EHR.example/fhir"):
        assert parsed().of_issuer(other) is None


@pytest.mark.requirement("DX-EHR-04")
@pytest.mark.parametrize(
    "more",
    [
        'secret = "in the file"',
        'auth = "none"',
        'auth = "private_key_jwt"',
        'auth = "client_secret"',
        'frame_ancestors = ["*"]',
        'frame_ancestors = ["https://*.ehr.example"]',
        'frame_ancestors = ["https://ehr.example; script-src *"]',
        'frame_ancestors = ["http://ehr.example"]',
        'frame_ancestors = ["https://ehr.example/path"]',
        'hosts = ["a b"]',
        'hosts = "ehr.example"',
        'write_back = "always"',
        '[ehrs.backend]\nclient_id = "b"',
        '[[ehrs.users]]\nmatch = "Practitioner/1"',
        ENTRY,
        ENTRY.replace('name = "north"', 'name = "x"').replace("ehr.example", "b.example"),
        ENTRY.replace("north", "Bad Name"),
        ENTRY.replace("https://ehr", "http://ehr"),
        ENTRY.replace("https://ehr.example/fhir/", "ehr"),
    ],
)
def test_what_cannot_be_meant_is_refused(more: str) -> None:
    with pytest.raises(BadSettings):
        parsed(more)


@pytest.mark.requirement("DX-EHR-04")
@pytest.mark.parametrize(
    ("url", "trusted"),
    [
        ("https://ehr.example/token", True),
        ("https://auth.ehr.example:8443/token", True),
        ("https://EHR.example:443/x", True),
        ("https://auth.ehr.example/token", False),
        ("https://ehr.example:8080/", False),
        ("http://ehr.example/token", False),
        ("https://ehr.example@evil.example/", False),
        ("https://evil.example#@ehr.example/", False),
        ("https://ehr.example.evil.example/", False),
        ("https://user:pass@ehr.example/", False),
        ("file:///etc/passwd", False),
        ("https://ehr.example:99999/", False),
        ("", False),
    ],
)
def test_which_addresses_are_the_ehrs(url: str, trusted: bool) -> None:
    ehr = parsed('hosts = ["auth.ehr.example:8443"]').by_name["north"]
    assert ehr.trusts(url) is trusted


@pytest.mark.requirement("DX-EHR-04")
@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/fhir/Patient/1",
        "https://ehr.example/fhirevil/Patient",
        "https://ehr.example/admin",
        "https://ehr.example/fhir/../admin",
        "../admin",
        "http://ehr.example/fhir/Patient/1",
    ],
)
def test_the_token_goes_to_the_fhir_server_alone(path: str) -> None:
    ehr = parsed().by_name["north"]
    client = EhrClient(ehr, opening.outbound_to(ehr))
    with pytest.raises(Forbidden):
        client.below(path)
    assert client.below("Patient?_id=1") == "https://ehr.example/fhir/Patient?_id=1"


@pytest.mark.requirement("DX-EHR-04")
async def test_files_stand_beside_the_ehr_file(tmp_path: Path, charts: Any) -> None:
    path = tmp_path / "ehrs.toml"
    path.write_text(ENTRY + 'auth = "private_key_jwt"\nkey_file = "key.jwk"')
    with pytest.raises(BadSettings, match=r"key\.jwk"):
        await opening.open_ehrs(path)
    key = charts.ec_key()
    for text in ("not a key", "{}", charts.public_jwk(key), charts.weak_jwk()):
        (tmp_path / "key.jwk").write_text(text)
        with pytest.raises(BadSettings, match="key_file"):
            await opening.open_ehrs(path)
    (tmp_path / "key.jwk").write_text(charts.private_jwk(key))
    ehr = (await opening.open_ehrs(path)).registry.by_name["north"]
    assert tokens.public_keys(ehr)["keys"][0]["kid"] == key.thumbprint()
    assert "key.jwk" not in repr(ehr) and '"d"' not in repr(ehr)
    assert (await opening.open_ehrs(None)).clients == {}


@pytest.mark.requirement("DX-EHR-07")
@pytest.mark.parametrize(
    ("granted", "kind", "letter", "allowed"),
    [
        ("patient/Observation.rs", "Observation", "s", True),
        ("patient/Observation.r", "Observation", "s", False),
        ("patient/Observation.read", "Observation", "s", True),
        ("patient/*.read", "Consent", "r", True),
        ("patient/*.read", "Consent", "c", False),
        ("user/*.*", "DiagnosticReport", "c", True),
        ("patient/DiagnosticReport.write", "DiagnosticReport", "u", True),
        ("patient/DiagnosticReport.crus", "DiagnosticReport", "c", True),
        ("patient/Observation.rs?category=laboratory", "Observation", "s", True),
        ("launch openid fhirUser patient/Observation.sr", "Observation", "s", False),
        ("patient/ObservationX.rs", "Observation", "s", False),
    ],
)
def test_scopes_of_both_versions(granted: str, kind: str, letter: str, allowed: bool) -> None:
    assert scopes.allows(granted, kind, letter) is allowed


@pytest.mark.requirement("DX-EHR-06")
def test_record_numbers_as_ingest_reads_them() -> None:
    def number(value: str, code: str = "", **more: str) -> dict[str, Any]:
        kind = {"type": {"coding": [{"code": code}]}} if code else {}
        return {"system": "urn:s", "value": value, **kind, **more}

    every = [number("1"), number("2", "PI"), number("3", "MR", use="old"), number("4", "MR")]
    assert patient.names_of({"identifier": every}) == ["urn:s|4"]
    assert patient.names_of({"identifier": every[:2]}) == ["urn:s|2"]
    assert patient.names_of({"identifier": every[:1]}) == ["urn:s|1"]
    assert patient.names_of({"identifier": [{"value": "5"}]}) == [], "a number of nobody's system"
    assert patient.names_of({"identifier": every}, ["urn:other"]) == []
    assert patient.names_of({}) == []


@pytest.mark.requirement("DX-EHR-07")
@pytest.mark.parametrize(
    ("about", "is_theirs"),
    [
        ({"subject": {"reference": "Patient/1"}}, True),
        ({"patient": {"reference": "https://ehr.example/fhir/Patient/1"}}, True),
        ({"subject": {"reference": "Patient/1/_history/3"}}, True),
        ({}, True),
        ({"subject": {"reference": "Patient/12"}}, False),
        ({"subject": {"reference": "https://other.example/fhir/Patient/1"}}, False),
        ({"subject": {"reference": "Group/1"}}, False),
    ],
)
def test_whom_a_resource_is_about(about: dict[str, Any], is_theirs: bool) -> None:
    assert chart.is_about(about, "https://ehr.example/fhir", "1") is is_theirs
