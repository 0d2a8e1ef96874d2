"""A blood gas read step by step: consistency, pH, primary disorder, compensation, gaps.

Source: Berend K, de Vries APJ, Gans ROB. Physiological approach to assessment of acid-base
disturbances. N Engl J Med 2014;371:1434, https://doi.org/10.1056/NEJMra1003327. The gaps are
in `blood_gas_gaps`.
"""

from __future__ import annotations

from math import log10

from services.labs.blood_gas_gaps import Gas, Reading, read_gaps

PH = (7.35, 7.45)
PCO2 = (35.0, 45.0)
"""mmHg."""
HCO3 = (22.0, 26.0)
"""mmol/L."""
PH_APART_MAX = 0.08
"""How far the stated pH may lie from that of pCO2 and bicarbonate: the project's choice."""
WINDOW_PCO2, WINDOW_HCO3 = 2.0, 2.0
"""By how much a compensation may miss what is expected (Berend 2014, table 1)."""
PH_POSSIBLE, PCO2_POSSIBLE = (6.5, 8.0), (5.0, 250.0)
"""Outside these nobody was alive: a mistake, which is not interpreted."""


def bicarbonate(ph: float, pco2: float) -> float:
    """Return the actual bicarbonate, mmol/L, by Henderson-Hasselbalch (pK 6.1, 0.0307)."""
    return float(0.0307 * pco2 * 10 ** (ph - 6.1))


def read(gas: Gas) -> Reading:
    """Return the stepwise reading of an arterial blood gas of an adult."""
    found = Reading()
    if not (
        PH_POSSIBLE[0] <= gas.ph <= PH_POSSIBLE[1]
        and PCO2_POSSIBLE[0] <= gas.pco2 <= PCO2_POSSIBLE[1]
    ):
        return found
    hco3 = bicarbonate(gas.ph, gas.pco2) if gas.hco3 is None else gas.hco3
    if gas.hco3 is not None:
        found.used.append("hco3")
        apart = abs(6.1 + log10(max(hco3, 0.1) / (0.0307 * max(gas.pco2, 0.1))) - gas.ph)
        if apart > PH_APART_MAX:
            found.say(
                f"pH {gas.ph:g}, pCO2 {gas.pco2:g} mmHg and bicarbonate {hco3:g} mmol/L do not fit "
                "together (Henderson-Hasselbalch): repeat before interpreting",
                f"pH {gas.ph:g}、pCO2 {gas.pco2:g} mmHg 与碳酸氢根 {hco3:g} mmol/L 不符合"
                "Henderson-Hasselbalch 方程：请复查后再判读",
                "inconsistent",
            )
            return found
    _ph(found, gas)
    _primary(found, gas, hco3)
    read_gaps(found, gas, hco3)
    disorders = found.findings & {
        "metabolic-acidosis",
        "metabolic-alkalosis",
        "respiratory-acidosis",
        "respiratory-alkalosis",
    }
    if len(disorders) > 1:
        found.findings.add("mixed")
    if not disorders:
        found.say("no acid-base disorder seen", "未见酸碱失衡", "normal")
    return found


def _ph(found: Reading, gas: Gas) -> None:
    if gas.ph < PH[0]:
        found.say(f"pH {gas.ph:g}: acidaemia", f"pH {gas.ph:g}：酸血症", "acidaemia")
    elif gas.ph > PH[1]:
        found.say(f"pH {gas.ph:g}: alkalaemia", f"pH {gas.ph:g}：碱血症", "alkalaemia")
    else:
        found.say(f"pH {gas.ph:g}: normal", f"pH {gas.ph:g}：正常")


def _primary(found: Reading, gas: Gas, hco3: float) -> None:
    low_b, high_b = hco3 < HCO3[0], hco3 > HCO3[1]
    low_c, high_c = gas.pco2 < PCO2[0], gas.pco2 > PCO2[1]
    if gas.ph < PH[0]:
        if low_b and high_c:
            _both(found, hco3, gas.pco2, "acidosis")
        elif low_b:
            _metabolic_acidosis(found, hco3, gas.pco2)
        elif high_c:
            _respiratory(found, hco3, gas.pco2, "acidosis")
        else:
            _neither(found, hco3, gas.pco2)
    elif gas.ph > PH[1]:
        if high_b and low_c:
            _both(found, hco3, gas.pco2, "alkalosis")
        elif high_b:
            _metabolic_alkalosis(found, hco3, gas.pco2)
        elif low_c:
            _respiratory(found, hco3, gas.pco2, "alkalosis")
        else:
            _neither(found, hco3, gas.pco2)
    elif high_b and high_c:
        found.say(
            f"bicarbonate {hco3:.1f} and pCO2 {gas.pco2:g} mmHg both high with a normal pH: "
            "respiratory acidosis and metabolic alkalosis together (chronic respiratory acidosis "
            "alone can look so)",
            f"碳酸氢根 {hco3:.1f} 与 pCO2 {gas.pco2:g} mmHg 均升高而pH正常："
            "呼吸性酸中毒合并代谢性碱中毒（单纯慢性呼吸性酸中毒亦可如此）",
            "respiratory-acidosis",
            "metabolic-alkalosis",
        )
    elif low_b and low_c:
        found.say(
            f"bicarbonate {hco3:.1f} and pCO2 {gas.pco2:g} mmHg both low with a normal pH: "
            "metabolic acidosis and respiratory alkalosis together (chronic respiratory alkalosis "
            "alone can look so)",
            f"碳酸氢根 {hco3:.1f} 与 pCO2 {gas.pco2:g} mmHg 均降低而pH正常："
            "代谢性酸中毒合并呼吸性碱中毒（单纯慢性呼吸性碱中毒亦可如此）",
            "metabolic-acidosis",
            "respiratory-alkalosis",
        )


def _neither(found: Reading, hco3: float, pco2: float) -> None:
    """Say that the pH alone is outside: what is normal is called no disorder."""
    found.say(
        f"bicarbonate {hco3:.1f} mmol/L and pCO2 {pco2:g} mmHg both in their ranges: no primary "
        "disorder can be named; a small one, or an error of one value",
        f"碳酸氢根 {hco3:.1f} mmol/L、pCO2 {pco2:g} mmHg 均在参考范围内：不能判定原发失衡；"
        "可能为轻度失衡或某项检测误差",
        "undetermined",
    )


def _both(found: Reading, hco3: float, pco2: float, kind: str) -> None:
    chinese = "酸中毒" if kind == "acidosis" else "碱中毒"
    found.say(
        f"bicarbonate {hco3:.1f} mmol/L and pCO2 {pco2:g} mmHg: metabolic and respiratory {kind}",
        f"碳酸氢根 {hco3:.1f} mmol/L、pCO2 {pco2:g} mmHg：代谢性合并呼吸性{chinese}",
        f"metabolic-{kind}",
        f"respiratory-{kind}",
    )


def _metabolic_acidosis(found: Reading, hco3: float, pco2: float) -> None:
    found.say(
        f"bicarbonate {hco3:.1f} mmol/L: metabolic acidosis",
        f"碳酸氢根 {hco3:.1f} mmol/L：代谢性酸中毒",
        "metabolic-acidosis",
    )
    _respiratory_answer(found, 1.5 * hco3 + 8, pco2, "1.5 x HCO3 + 8")


def _metabolic_alkalosis(found: Reading, hco3: float, pco2: float) -> None:
    found.say(
        f"bicarbonate {hco3:.1f} mmol/L: metabolic alkalosis",
        f"碳酸氢根 {hco3:.1f} mmol/L：代谢性碱中毒",
        "metabolic-alkalosis",
    )
    _respiratory_answer(found, 0.7 * (hco3 - 24) + 40, pco2, "0.7 x (HCO3 - 24) + 40")


def _respiratory_answer(found: Reading, expected: float, pco2: float, formula: str) -> None:
    window = f"{expected - WINDOW_PCO2:.0f}-{expected + WINDOW_PCO2:.0f}"
    head_en = f"pCO2 {pco2:g} mmHg, expected {window} ({formula})"
    head_zh = f"pCO2 {pco2:g} mmHg，代偿预计 {window}（{formula}）"
    if pco2 > expected + WINDOW_PCO2:
        found.say(
            f"{head_en}: respiratory acidosis in addition",
            f"{head_zh}：合并呼吸性酸中毒",
            "respiratory-acidosis",
        )
    elif pco2 < expected - WINDOW_PCO2:
        found.say(
            f"{head_en}: respiratory alkalosis in addition",
            f"{head_zh}：合并呼吸性碱中毒",
            "respiratory-alkalosis",
        )
    else:
        found.say(f"{head_en}: compensated as expected", f"{head_zh}：代偿适当")


def _respiratory(found: Reading, hco3: float, pco2: float, kind: str) -> None:
    acid = kind == "acidosis"
    chinese = "酸中毒" if acid else "碱中毒"
    found.say(
        f"pCO2 {pco2:g} mmHg: respiratory {kind}",
        f"pCO2 {pco2:g} mmHg：呼吸性{chinese}",
        f"respiratory-{kind}",
    )
    tens = (pco2 - 40) / 10
    acute = 24 + (1.0 if acid else 2.0) * tens
    chronic = sorted((24 + 4 * tens, 24 + 5 * tens))
    low, high = min(acute, chronic[0]) - WINDOW_HCO3, max(acute, chronic[1]) + WINDOW_HCO3
    head_en = f"bicarbonate {hco3:.1f}, expected acute {acute:.0f}, chronic "
    head_en += f"{chronic[0]:.0f}-{chronic[1]:.0f} mmol/L"
    head_zh = (
        f"碳酸氢根 {hco3:.1f}，预计急性 {acute:.0f}、慢性 {chronic[0]:.0f}-{chronic[1]:.0f} mmol/L"
    )
    if hco3 < low:
        found.say(
            f"{head_en}: metabolic acidosis in addition",
            f"{head_zh}：合并代谢性酸中毒",
            "metabolic-acidosis",
        )
    elif hco3 > high:
        found.say(
            f"{head_en}: metabolic alkalosis in addition",
            f"{head_zh}：合并代谢性碱中毒",
            "metabolic-alkalosis",
        )
    else:
        _duration(found, hco3, acute, chronic, (head_en, head_zh, kind))


def _duration(
    found: Reading, hco3: float, acute: float, chronic: list[float], head: tuple[str, str, str]
) -> None:
    """Say whether a respiratory disorder is acute or chronic; near 40 mmHg nobody can tell."""
    head_en, head_zh, kind = head
    is_acute = abs(hco3 - acute) <= WINDOW_HCO3
    is_chronic = chronic[0] - WINDOW_HCO3 <= hco3 <= chronic[1] + WINDOW_HCO3
    if is_acute and is_chronic:
        found.say(f"{head_en}: acute or chronic", f"{head_zh}：急性或慢性")
    elif is_acute:
        found.say(f"{head_en}: acute", f"{head_zh}：急性", f"respiratory-{kind}-acute")
    elif is_chronic:
        found.say(f"{head_en}: chronic", f"{head_zh}：慢性", f"respiratory-{kind}-chronic")
    else:
        found.say(
            f"{head_en}: between, acute on chronic or a metabolic disorder in addition",
            f"{head_zh}：介于两者之间，慢性基础上急性加重或合并代谢性失衡",
        )
