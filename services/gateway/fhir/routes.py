"""Every address of the FHIR server. /metadata is made of this table: what it names is served.

A more exact path stands before one that fits more.
"""

from __future__ import annotations

from services.gateway.access.gate import Entry
from services.gateway.access.principal import Action
from services.gateway.fhir import (
    acknowledge,
    batch,
    create,
    delete,
    document,
    everything,
    history,
    metadata,
    patch,
    read,
    results,
    searching,
    update,
    validate,
)

_READ, _WRITE = Action.READ, Action.WRITE
_SYSTEM = (("", "batch"), ("", "transaction"))

FHIR = (
    Entry("/fhir", "POST", _READ, batch.root, _SYSTEM),
    Entry("/fhir/", "POST", _READ, batch.root),
    Entry("/fhir/$submit", "POST", Action.SUBMIT, results.operation, (("", "$submit"),)),
    Entry("/fhir/Task/{id}/$original", "GET", Action.SUBMIT, results.original),
    Entry("/fhir/metadata", "GET", Action.METADATA, metadata.metadata, open=True),
    Entry("/fhir/_history", "GET", _READ, history.of_system, (("", "history-system"),)),
    Entry(
        "/fhir/Patient/{id}/$everything",
        "GET",
        _READ,
        everything.everything,
        (("Patient", "$everything"),),
    ),
    Entry("/fhir/Patient/{id}/$everything", "POST", _READ, everything.everything),
    Entry(
        "/fhir/Composition/{id}/$document",
        "GET",
        _READ,
        document.document,
        (("Composition", "$document"),),
    ),
    Entry("/fhir/Composition/{id}/$document", "POST", _READ, document.document),
    Entry(
        "/fhir/Communication/{id}/$acknowledge",
        "POST",
        _WRITE,
        acknowledge.acknowledge,
        (("Communication", "$acknowledge"),),
    ),
    Entry("/fhir/{type}/$validate", "POST", _READ, validate.of_type, (("*", "$validate"),)),
    Entry("/fhir/{type}/{id}/$validate", "GET", _READ, validate.of_instance),
    Entry("/fhir/{type}/{id}/$validate", "POST", _READ, validate.of_instance),
    Entry("/fhir/{type}/_search", "POST", _READ, searching.search),
    Entry("/fhir/{compartment}/{id}/{type}/_search", "POST", _READ, searching.in_compartment),
    Entry("/fhir/{type}/_history", "GET", _READ, history.of_type, (("*", "history-type"),)),
    Entry("/fhir/{type}", "GET", _READ, searching.search, (("*", "search-type"),)),
    Entry(
        "/fhir/{type}",
        "POST",
        _WRITE,
        create.create,
        (("*", "create"), ("*", "conditional-create")),
    ),
    Entry("/fhir/{type}", "PUT", _WRITE, update.conditional_update, (("*", "conditional-update"),)),
    Entry("/fhir/{type}", "PATCH", _WRITE, patch.conditional_patch, (("*", "conditional-patch"),)),
    Entry(
        "/fhir/{type}", "DELETE", _WRITE, delete.conditional_delete, (("*", "conditional-delete"),)
    ),
    Entry("/fhir/{type}/{id}/_history/{version}", "GET", _READ, read.vread, (("*", "vread"),)),
    Entry(
        "/fhir/{type}/{id}/_history",
        "GET",
        _READ,
        history.of_instance,
        (("*", "history-instance"),),
    ),
    Entry(
        "/fhir/{type}/{id}",
        "GET",
        _READ,
        read.read,
        (("*", "read"), ("*", "conditional-read")),
    ),
    Entry("/fhir/{compartment}/{id}/{type}", "GET", _READ, searching.in_compartment),
    Entry("/fhir/{type}/{id}", "PUT", _WRITE, update.update, (("*", "update"),)),
    Entry("/fhir/{type}/{id}", "PATCH", _WRITE, patch.patch, (("*", "patch"),)),
    Entry("/fhir/{type}/{id}", "DELETE", _WRITE, delete.delete, (("*", "delete"),)),
)
