"""The addresses of DICOMweb (PS3.18 10.3.2)."""

from __future__ import annotations

from services.gateway.access.gate import Entry, Handler
from services.gateway.access.principal import Action
from services.gateway.dicomweb import qido, rendered, stow, wado

STUDIES = "/dicom-web/studies"
STUDY = f"{STUDIES}/{{study}}"
SERIES = f"{STUDY}/series/{{series}}"
INSTANCE = f"{SERIES}/instances/{{instance}}"
FRAMES = f"{INSTANCE}/frames/{{frames}}"

SEARCHES: tuple[tuple[str, Handler], ...] = (
    (STUDIES, qido.studies),
    ("/dicom-web/series", qido.series),
    ("/dicom-web/instances", qido.instances),
    (f"{STUDY}/series", qido.series),
    (f"{STUDY}/instances", qido.instances),
    (f"{SERIES}/instances", qido.instances),
)
RETRIEVALS: tuple[tuple[str, Handler], ...] = (
    *((path, wado.retrieve) for path in (STUDY, SERIES, INSTANCE)),
    *((f"{path}/metadata", wado.metadata) for path in (STUDY, SERIES, INSTANCE)),
    *((f"{path}/rendered", rendered.rendered) for path in (STUDY, SERIES, INSTANCE, FRAMES)),
    *((f"{path}/thumbnail", rendered.thumbnail) for path in (STUDY, SERIES, INSTANCE, FRAMES)),
    (FRAMES, wado.retrieve_frames),
    (f"{INSTANCE}/bulkdata/{{tag}}", wado.bulk_data),
)

DICOMWEB = (
    Entry(STUDIES, "POST", Action.UPLOAD, stow.store),
    Entry(STUDY, "POST", Action.UPLOAD, stow.store),
    *(Entry(path, "GET", Action.READ, handler) for path, handler in (*SEARCHES, *RETRIEVALS)),
)
