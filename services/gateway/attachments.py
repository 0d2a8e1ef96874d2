"""The files of a report as Binaries, each under the rights of what names it. Pure.

Source: R4 Attachment; R4 binary, 2.38.3 (security context).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

Json = Any
Resource = dict[str, Json]


def with_pdf(bundle: Mapping[str, Json], case_id: str, pdf: bytes) -> Resource:
    """Return the Bundle with the rendered report as Binary and `presentedForm`."""
    binary_id = f"{case_id}-pdf"
    attachment = {
        "contentType": "application/pdf",
        "url": f"Binary/{binary_id}",
        "size": len(pdf),
        # R4 attachments carry SHA-1 (datatypes, Attachment.hash): a checksum, not a protection.
        "hash": base64.b64encode(hashlib.sha1(pdf, usedforsecurity=False).digest()).decode(),
    }
    entries: list[Json] = []
    for entry in bundle["entry"]:
        resource = entry["resource"]
        if resource["resourceType"] == "DiagnosticReport":
            title = {"title": resource["code"]["text"]} if resource["code"].get("text") else {}
            form = {**attachment, "language": resource.get("language", "en"), **title}
            resource = {**resource, "presentedForm": [form]}
        if resource["id"] != binary_id:
            entries.append({**entry, "resource": resource})
    entries.append({"resource": binary(binary_id, "application/pdf", pdf)})
    return in_context({**bundle, "entry": entries})


def binary(resource_id: str, content_type: str, content: bytes) -> Resource:
    """Return content as a Binary."""
    return {
        "resourceType": "Binary",
        "id": resource_id,
        "contentType": content_type,
        "data": base64.b64encode(content).decode(),
    }


def in_context(bundle: Mapping[str, Json]) -> Resource:
    """Return the Bundle with each Binary under the rights of the resource that names it.

    The PDF is the report's, a key image its Media's, a note's text its DocumentReference's
    (R4 binary, 2.38.3).
    """
    naming = {
        url: f"{resource['resourceType']}/{resource['id']}"
        for resource in (entry["resource"] for entry in bundle["entry"])
        for url in addresses(resource)
    }
    entries: list[Json] = []
    for entry in bundle["entry"]:
        resource = entry["resource"]
        name = naming.get(f"Binary/{resource['id']}")
        if resource["resourceType"] == "Binary" and name:
            resource = {**resource, "securityContext": {"reference": name}}
        entries.append({**entry, "resource": resource})
    return {**bundle, "entry": entries}


def addresses(resource: Mapping[str, Json]) -> list[str]:
    """Return the addresses of what a resource shows as a file."""
    kind = resource["resourceType"]
    if kind == "DiagnosticReport":
        attachments = list(resource.get("presentedForm", []))
    elif kind == "Media":
        attachments = [resource.get("content", {})]
    elif kind == "DocumentReference":
        attachments = [each.get("attachment", {}) for each in resource.get("content", [])]
    else:
        return []
    return [str(each["url"]) for each in attachments if each.get("url")]
