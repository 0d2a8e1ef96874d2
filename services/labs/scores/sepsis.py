"""Points of sepsis and acute illness."""

from __future__ import annotations

from collections.abc import Sequence

from services.labs.scores.lung import horowitz


def sofa(
    po2_mmhg: float,
    fio2_pct: float,
    ventilated: bool,
    platelets_10_9_l: float,
    bilirubin_mg_dl: float,
    map_mmhg: float,
    vasopressor: int,
    gcs: float,
    creatinine_mg_dl: float,
    urine_ml_24h: float | None,
) -> int:
    """Return the SOFA points, 0 to 24.

    `vasopressor` 0 none; 1 dobutamine or dopamine up to 5; 2 dopamine above 5 or
    (nor)adrenaline up to 0.1; 3 dopamine above 15 or (nor)adrenaline above 0.1 ug/kg/min.

    Source: Vincent JL et al. 1996.
    """
    ratio = horowitz(po2_mmhg, fio2_pct)
    lung = _below(ratio, (400, 300, 200, 100))
    lung = lung if ventilated else min(lung, 2)
    circulation = vasopressor + 1 if vasopressor else int(map_mmhg < 70)
    kidney = _from(creatinine_mg_dl, (1.2, 2.0, 3.5, 5.0))
    if urine_ml_24h is not None:
        kidney = max(kidney, 4 if urine_ml_24h < 200 else 3 if urine_ml_24h < 500 else 0)
    points = lung + _below(platelets_10_9_l, (150, 100, 50, 20)) + circulation + kidney
    return points + _from(bilirubin_mg_dl, (1.2, 2.0, 6.0, 12.0)) + _below(gcs, (15, 13, 10, 6))


def qsofa(respiratory_rate: float, sbp_mmhg: float, gcs: float) -> int:
    """Return the quick SOFA points, 0 to 3."""
    return (respiratory_rate >= 22) + (sbp_mmhg <= 100) + (gcs < 15)


def sirs(
    temperature_c: float,
    heart_rate: float,
    respiratory_rate: float,
    leukocytes_10_9_l: float,
    pco2_mmhg: float | None,
) -> int:
    """Return how many SIRS criteria are met, 0 to 4; immature forms are not counted."""
    breathing = respiratory_rate > 20 or (pco2_mmhg is not None and pco2_mmhg < 32)
    points = (temperature_c > 38 or temperature_c < 36) + (heart_rate > 90) + breathing
    return points + (leukocytes_10_9_l > 12 or leukocytes_10_9_l < 4)


def news2(
    respiratory_rate: float,
    saturation_pct: float,
    hypercapnic_scale: bool,
    oxygen: bool,
    sbp_mmhg: float,
    heart_rate: float,
    not_alert: bool,
    temperature_c: float,
) -> int:
    """Return the National Early Warning Score 2, 0 to 20.

    `hypercapnic_scale`: saturation is aimed at 88-92 %. `not_alert`: new confusion, or answers
    to voice or pain only, or not at all.

    Source: Royal College of Physicians 2017, chart 1.
    """
    points = _banded(respiratory_rate, ((9, 3), (12, 1), (21, 0), (25, 2)), 3)
    points += _saturation(saturation_pct, hypercapnic_scale, oxygen) + 2 * oxygen
    points += _banded(sbp_mmhg, ((91, 3), (101, 2), (111, 1), (220, 0)), 3)
    points += _banded(heart_rate, ((41, 3), (51, 1), (91, 0), (111, 1), (131, 2)), 3)
    points += _banded(round(temperature_c, 1), ((35.1, 3), (36.1, 1), (38.1, 0), (39.1, 1)), 2)
    return points + 3 * not_alert


def _saturation(saturation_pct: float, hypercapnic_scale: bool, oxygen: bool) -> int:
    if not hypercapnic_scale:
        return _banded(saturation_pct, ((92, 3), (94, 2), (96, 1)), 0)
    if saturation_pct >= 93 and oxygen:
        return _banded(saturation_pct, ((95, 1), (97, 2)), 3)
    return _banded(saturation_pct, ((84, 3), (86, 2), (88, 1)), 0)


def _banded(value: float, bands: Sequence[tuple[float, int]], beyond: int) -> int:
    """Return the points of the first band that the value lies below, or `beyond`."""
    return next((points for limit, points in bands if value < limit), beyond)


def _below(value: float, limits: Sequence[float]) -> int:
    return sum(value < limit for limit in limits)


def _from(value: float, limits: Sequence[float]) -> int:
    return sum(value >= limit for limit in limits)
