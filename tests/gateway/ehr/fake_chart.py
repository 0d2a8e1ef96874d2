"""What the fake EHR keeps of a patient, and a certificate made on the spot. No code of dxmesh."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey


def patient(number: str, name: str) -> dict[str, Any]:
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}
    return {
        "resourceType": "Patient",
        "id": number,
        "identifier": [{"type": kind, "system": "urn:test:mrn", "value": f"MRN-{number}"}],
        "name": [{"text": name}],
        "gender": "female",
        "birthDate": "1971-02-03",
    }


def chart(number: str = "p-1", name: str = "Chen Fictional") -> list[dict[str, Any]]:
    """Return a patient with an order, a consent, results, notes and a study."""
    subject = {"reference": f"Patient/{number}"}
    note = "Cough for three weeks. Smoker."
    return [
        patient(number, name),
        {
            "resourceType": "Encounter",
            "id": f"{number}-visit",
            "status": "in-progress",
            "class": {"code": "AMB"},
            "subject": subject,
        },
        {
            "resourceType": "Consent",
            "id": f"{number}-consent",
            "status": "active",
            "scope": {"coding": [{"code": "patient-privacy"}]},
            "category": [{"coding": [{"code": "59284-0"}]}],
            "patient": subject,
            "dateTime": "2026-11-01",
            "policyRule": {"coding": [{"code": "OPTIN"}]},
            "provision": {"type": "permit"},
        },
        {
            "resourceType": "ServiceRequest",
            "id": f"{number}-order",
            "status": "active",
            "intent": "order",
            "code": {"text": "CT Chest"},
            "subject": subject,
            "authoredOn": "2026-11-20T08:00:00Z",
        },
        *(
            {
                "resourceType": "Observation",
                "id": f"{number}-lab-{number_of}",
                "status": "final",
                "category": [{"coding": [{"code": "laboratory"}]}],
                "code": {"coding": [{"system": "http://loinc.org", "code": code}], "text": text},
                "subject": subject,
                "effectiveDateTime": f"2026-11-{20 + number_of}T09:20:00+08:00",
                "valueQuantity": {"value": value, "unit": unit},
            }
            for number_of, (code, text, value, unit) in enumerate(
                [("2823-3", "Potassium", 6.8, "mmol/L"), ("718-7", "Hemoglobin", 13.1, "g/dL")]
            )
        ),
        {
            "resourceType": "DocumentReference",
            "id": f"{number}-note",
            "status": "current",
            "subject": subject,
            "date": "2026-11-19T10:00:00Z",
            "description": "Progress note",
            "content": [
                {"attachment": {"contentType": "text/plain", "url": f"Binary/{number}-text"}}
            ],
        },
        {
            "resourceType": "DocumentReference",
            "id": f"{number}-scan",
            "status": "current",
            "subject": subject,
            "content": [{"attachment": {"contentType": "application/pdf", "url": "Binary/x"}}],
        },
        {
            "resourceType": "Binary",
            "id": f"{number}-text",
            "contentType": "text/plain",
            "data": base64.b64encode(note.encode()).decode(),
        },
        {
            "resourceType": "ImagingStudy",
            "id": f"{number}-study",
            "status": "available",
            "subject": subject,
            "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.9"}],
            "description": "Chest CT",
            "numberOfInstances": 1,
            "series": [{"uid": "1.2.9.1", "modality": {"code": "CT"}, "numberOfInstances": 1}],
            "endpoint": [{"reference": "Endpoint/archive"}],
        },
    ]


def archive(address: str) -> dict[str, Any]:
    return {
        "resourceType": "Endpoint",
        "id": "archive",
        "status": "active",
        "connectionType": {"code": "dicom-wado-rs"},
        "address": address,
    }


def certificate(folder: Path) -> tuple[Path, Path]:
    """Return certificate and key for localhost and 127.0.0.1, made now and signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_path, key_path = folder / "tls.crt", folder / "tls.key"
    certificate_path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_path, key_path


def ec_key() -> ECKey:
    return ECKey.generate_key("P-384")


def private_jwk(key: ECKey) -> str:
    return json.dumps(key.as_dict(private=True))


def public_jwk(key: ECKey) -> str:
    return json.dumps(key.as_dict(private=False))


def weak_jwk() -> str:
    return json.dumps(ECKey.generate_key("P-256").as_dict(private=True))
