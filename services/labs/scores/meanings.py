"""What a value means where limits alone cannot say it, in English and Chinese."""

from __future__ import annotations

from collections.abc import Sequence

from services.labs.scores.model import Value

PCO2_MARGIN_MMHG = 2.0
ROOM_AIR_PERCENT = 21.0
GAP_HIGH_MMOL_L = 16.0
"""12 +/- 4 (Kraut 2007): up to here the band of the anion gap is not raised."""
DELTA_MIXED = 0.8
"""As in the stepwise reading of a blood gas (`blood_gas_gaps`)."""


def gfr_category(egfr: float, values: Sequence[Value] = ()) -> tuple[str, str]:
    """Return the KDIGO GFR category, from the whole number.

    Source: KDIGO 2024 CKD guideline, table 2.
    """
    rounded = round(egfr)
    for low, name, english, chinese in (
        (90, "G1", "normal or high", "正常或增高"),
        (60, "G2", "mildly decreased", "轻度下降"),
        (45, "G3a", "mildly to moderately decreased", "轻到中度下降"),
        (30, "G3b", "moderately to severely decreased", "中到重度下降"),
        (15, "G4", "severely decreased", "重度下降"),
    ):
        if rounded >= low:
            return f"{name}, {english}", f"{name}，{chinese}"
    return "G5, kidney failure", "G5，肾衰竭"


def fib4_category(value: float, values: Sequence[Value]) -> tuple[str, str]:
    """Return how likely advanced fibrosis is; the first of `values` is the age.

    Cut-offs 1.3 and 2.67 (Shah 2009); from 65 years 2.0 in place of 1.3; none up to 35 years,
    where the index performs poorly (McPherson 2017).
    """
    age = values[0] or 0.0
    if age <= 35:
        return "not categorised: unreliable up to 35 years", "不分级：35岁及以下不可靠"
    elderly = age >= 65
    english = " (cut-off 2.0 from 65 years)" if elderly else ""
    chinese = "（65岁及以上下限为2.0）" if elderly else ""
    if value < (2.0 if elderly else 1.3):
        return f"advanced fibrosis unlikely{english}", f"进展期纤维化可能性低{chinese}"
    if value < 2.67:
        return f"indeterminate{english}", f"不确定{chinese}"
    return (
        "advanced fibrosis likely enough to examine further",
        "进展期纤维化可能性较高，建议进一步检查",
    )


def nafld_category(value: float, values: Sequence[Value]) -> tuple[str, str]:
    """Return how likely advanced fibrosis is; the first of `values` is the age.

    Cut-offs -1.455 and 0.676 (Angulo 2007); from 65 years 0.12 in place of -1.455; none up to
    35 years (McPherson 2017).
    """
    age = values[0] or 0.0
    if age <= 35:
        return "not categorised: unreliable up to 35 years", "不分级：35岁及以下不可靠"
    if value < (0.12 if age >= 65 else -1.455):
        return "advanced fibrosis unlikely", "进展期纤维化可能性低"
    if value <= 0.676:
        return "indeterminate", "不确定"
    return "advanced fibrosis likely", "进展期纤维化可能性较高"


def winters_category(value: float, values: Sequence[Value]) -> tuple[str, str]:
    """Compare the measured pCO2, the second of `values`, with the expected one."""
    pco2 = values[1]
    if pco2 is None:
        return "", ""
    if pco2 < value - PCO2_MARGIN_MMHG:
        return (
            "pCO2 below the expected: respiratory alkalosis, as well or (with a high pH) alone",
            "pCO2低于预计值：合并呼吸性碱中毒，pH升高时可为单纯呼吸性碱中毒",
        )
    if pco2 > value + PCO2_MARGIN_MMHG:
        return (
            "pCO2 above the expected: respiratory acidosis as well",
            "pCO2高于预计值：合并呼吸性酸中毒",
        )
    return "compensation as expected", "代偿适当"


def a_a_gradient_category(value: float, values: Sequence[Value]) -> tuple[str, str]:
    """Compare the gradient with (age + 10) / 4; the fourth of `values` is the age."""
    oxygen, age = values[2], values[3]
    if age is None or oxygen is None:
        return "", ""
    if oxygen > ROOM_AIR_PERCENT:
        return "the expected value holds on room air only", "预计值仅适用于吸空气时"
    if value > (age + 10.0) / 4.0:
        return "above the value expected for the age", "高于该年龄预计值"
    return "not above the value expected for the age", "未超过该年龄预计值"


def delta_category(value: float, values: Sequence[Value]) -> tuple[str, str]:
    """Return what the delta ratio means; `values` are sodium, chloride and bicarbonate.

    It divides two small differences, so it means something only when the gap is raised.

    Source: Rastegar A 2007.
    """
    gap = _gap(values)
    if not gap_raised(values):
        return (
            f"does not apply: the anion gap is not raised ({gap:.0f} mmol/L)",
            f"不适用：阴离子间隙未升高（{gap:.0f} mmol/L）",
        )
    if value < 0.4:
        return "below 0.4: hyperchloraemic acidosis", "低于0.4：高氯性代谢性酸中毒"
    if value < DELTA_MIXED:
        return "0.4 to below 0.8: mixed with hyperchloraemic acidosis", "0.4-0.8：合并高氯性酸中毒"
    if value <= 2.0:
        return "0.8 to 2: high anion gap acidosis", "0.8-2：高阴离子间隙代谢性酸中毒"
    return (
        "above 2: metabolic alkalosis or chronic hypercapnia as well",
        "高于2：合并代谢性碱中毒或慢性高碳酸血症",
    )


def gap_raised(values: Sequence[Value]) -> bool:
    """Tell whether sodium less chloride less bicarbonate is a raised anion gap."""
    return _gap(values) > GAP_HIGH_MMOL_L


def _gap(values: Sequence[Value]) -> float:
    sodium, chloride, bicarbonate = (each or 0.0 for each in values[:3])
    return sodium - chloride - bicarbonate
