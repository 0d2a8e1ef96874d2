"""What the reading says: measures, qualities and sentences, each from a measured fact."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.imaging.pathology import cellularity, lung
from services.imaging.pathology.cellularity import Share
from services.imaging.pathology.fields import CELL, MPP
from services.imaging.pathology.results import Batch, Found
from services.imaging.reading import measure, quality, statement

LOOKED_FOR = ("108369006",)
"""SNOMED CT: neoplasm (pydicom CID 7151); claimed for lung alone."""

CELL_MM2 = (CELL * MPP / 1000.0) ** 2

Mask = npt.NDArray[np.bool_]


def answer(
    found: Found,
    nuclei: Batch,
    tissue_mm2: float,
    share: Share | None,
    *,
    operating_point: float,
    marked: bool,
    why_not: str,
) -> pb.Answer:
    """Return the answer of a slide as a whole."""
    made = pb.Answer(function=pb.FUNCTION_PATHOLOGY, operating_point=operating_point)
    made.measures.extend(_measures(nuclei, tissue_mm2))
    made.statements.append(
        statement(
            "pathology-nuclei",
            nuclei=str(len(nuclei.areas)),
            area=f"{tissue_mm2:.1f}",
            density=f"{_density(nuclei, tissue_mm2):.0f}",
        )
    )
    if why_not:
        made.statements.append(statement(why_not))
    else:
        made.looked_for.extend(LOOKED_FOR)
        _add_tumour(made, found, share, operating_point, marked=marked)
    made.statements.append(statement("pathology-limits"))
    return made


def _add_tumour(
    made: pb.Answer, found: Found, share: Share | None, point: float, *, marked: bool
) -> None:
    tumour = np.nan_to_num(cellularity.tumour_of(found), nan=0.0)
    high = tumour >= point
    area = float(found.tissue[high].sum()) * CELL_MM2
    made.measures.append(measure("tumour-area", area, "mm2"))
    judged = int(np.isfinite(found.kinds[..., 0]).sum())
    regions = cellularity.regions(high)
    key = "pathology-tumour" if regions.any() else "pathology-no-tumour"
    if high.any() and not regions.any():
        key = "pathology-specks"  # no region, so no finding, type or leaning: look at the map
    made.statements.append(
        statement(key, cells=str(int(high.sum())), judged=str(judged), area=f"{area:.2f}")
    )
    if regions.any():
        made.qualities.extend(kind_qualities(found, regions))
        kind = made.qualities[0]
        made.statements.append(
            statement(f"pathology-kind-{kind.value}", share=f"{100 * kind.probability:.0f}")
        )
    if share is not None:
        made.measures.append(_cellularity(share))
        made.statements.append(
            statement(
                "pathology-cellularity-marked" if marked else "pathology-cellularity",
                value=f"{100 * share.value:.0f}",
                low=f"{100 * share.low:.0f}",
                high=f"{100 * share.high:.0f}",
                nuclei=str(share.nuclei),
            )
        )


def region_measures(found: Found, region: Mask, share: Share | None) -> list[pb.Measure]:
    """Return the measures of one suspect region."""
    area = float(found.tissue[region].sum()) * CELL_MM2
    count = int(found.counts[region].sum())
    made = [
        measure("area", area, "mm2"),
        measure("nuclei", count, "1"),
        measure("density", count / max(area, CELL_MM2), "/mm2"),
    ]
    return [*made, _cellularity(share)] if share else made


def kind_qualities(found: Found, region: Mask) -> list[pb.Quality]:
    """Return which carcinoma the cells of a region look like, and how like malignancy."""
    kinds = np.nanmean(found.kinds[region], axis=0)
    malignant = float(kinds[1] + kinds[2])
    which = 1 if kinds[1] >= kinds[2] else 2
    return [
        quality("type", lung.KINDS[which], float(kinds[which]) / max(malignant, 1e-6)),
        quality("malignancy", "likely-malignant", malignant),
    ]


def _measures(nuclei: Batch, tissue_mm2: float) -> list[pb.Measure]:
    made = [
        measure("tissue-area", tissue_mm2, "mm2"),
        measure("nuclei", len(nuclei.areas), "1"),
        measure("density", _density(nuclei, tissue_mm2), "/mm2"),
    ]
    if len(nuclei.areas):
        low, middle, high = np.quantile(nuclei.areas, [0.1, 0.5, 0.9])
        made.append(measure("nuclear-area", middle, "um2", low=float(low), high=float(high)))
    return made


def _density(nuclei: Batch, tissue_mm2: float) -> float:
    return len(nuclei.areas) / max(tissue_mm2, CELL_MM2)


def _cellularity(share: Share) -> pb.Measure:
    low, high = 100 * share.low, 100 * share.high
    return measure("cellularity", 100 * share.value, "%", low=low, high=high)
