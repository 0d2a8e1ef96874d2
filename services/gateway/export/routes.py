"""The addresses of exports; they stand before those of every type."""

from __future__ import annotations

from services.gateway.access.gate import Entry
from services.gateway.access.principal import Action
from services.gateway.export import handlers

ENTRIES = (
    *(
        Entry(path, method, Action.READ, handler, ((kind, "$export"),))
        for path, handler, kind in (
            ("/fhir/$export", handlers.of_system, ""),
            ("/fhir/Patient/$export", handlers.of_patients, "Patient"),
            ("/fhir/Group/{id}/$export", handlers.of_group, "Group"),
        )
        for method in ("GET", "POST")
    ),
    Entry("/fhir/$export-status/{job}", "GET", Action.READ, handlers.status),
    Entry("/fhir/$export-status/{job}", "DELETE", Action.READ, handlers.cancel),
    Entry("/fhir/$export-file/{job}/{name}", "GET", Action.READ, handlers.file),
)
