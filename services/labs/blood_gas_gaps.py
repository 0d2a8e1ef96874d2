"""What a blood gas is read from, its reading, and the gaps: anion, delta and osmolal.

Source: delta ratio Rastegar A. J Am Soc Nephrol 2007;18:2429,
https://doi.org/10.1681/ASN.2006121408; anion gap and its limits Kraut JA, Nagami GT. Clin J Am
Soc Nephrol 2013;8:2018, https://doi.org/10.2215/CJN.04040413; osmolal gap Kraut JA, Mullins ME.
N Engl J Med 2018;378:270, https://doi.org/10.1056/NEJMra1615295.
"""

from __future__ import annotations

from dataclasses import dataclass, field

GAP_NORMAL, GAP_HIGH = 12.0, 16.0
"""mmol/L: 12 +/- 4; laboratories with other electrodes have lower ones (Kraut 2013)."""
OSMOLAL_GAP_HIGH = 10.0
"""mosm/kg."""


@dataclass(frozen=True, slots=True)
class Gas:
    """What was measured; pCO2 in mmHg, albumin in g/L, the rest mmol/L, osmolality mosm/kg."""

    ph: float
    pco2: float
    hco3: float | None = None
    na: float | None = None
    cl: float | None = None
    albumin: float | None = None
    glucose: float | None = None
    urea: float | None = None
    osmolality: float | None = None


@dataclass(slots=True)
class Reading:
    """The steps in both languages, the findings by name, and which inputs were used."""

    findings: set[str] = field(default_factory=set)
    steps_en: list[str] = field(default_factory=list)
    steps_zh: list[str] = field(default_factory=list)
    used: list[str] = field(default_factory=lambda: ["ph", "pco2"])

    def say(self, english: str, chinese: str, *findings: str) -> None:
        """Add a step and what it found."""
        self.steps_en.append(english)
        self.steps_zh.append(chinese)
        self.findings.update(findings)

    @property
    def text_en(self) -> str:
        """The reading as one line."""
        return "; ".join(self.steps_en)

    @property
    def text_zh(self) -> str:
        """The reading as one line."""
        return "；".join(self.steps_zh)


def read_gaps(found: Reading, gas: Gas, hco3: float) -> None:
    """Add the steps of the anion gap and, when it is high, of delta ratio and osmolal gap."""
    if gas.na is None or gas.cl is None:
        return
    found.used += ["na", "cl"]
    gap = gas.na - gas.cl - hco3
    english, chinese = f"anion gap {gap:.0f}", f"阴离子间隙 {gap:.0f}"
    if gas.albumin is not None:
        found.used.append("albumin")
        gap += 0.25 * (40 - gas.albumin)
        english += f", corrected for albumin {gap:.0f}"
        chinese += f"，白蛋白校正后 {gap:.0f}"
    if gap <= GAP_HIGH:
        names = ("normal-gap-acidosis",) if "metabolic-acidosis" in found.findings else ()
        found.say(f"{english} mmol/L: not high", f"{chinese} mmol/L：不高", *names)
        return
    if "metabolic-acidosis" not in found.findings:
        found.findings.add("hidden")
    found.say(
        f"{english} mmol/L: high, so a high-gap metabolic acidosis is there",
        f"{chinese} mmol/L：升高，存在高AG代谢性酸中毒",
        "metabolic-acidosis",
        "high-gap-acidosis",
    )
    _delta(found, gap, hco3)
    _osmolal(found, gas)


def _delta(found: Reading, gap: float, hco3: float) -> None:
    if hco3 >= 24:
        found.say(
            "bicarbonate is not low in spite of it: metabolic alkalosis in addition",
            "碳酸氢根未降低：合并代谢性碱中毒",
            "metabolic-alkalosis",
        )
        return
    ratio = (gap - GAP_NORMAL) / (24 - hco3)
    if ratio > 2:
        found.say(
            f"delta ratio {ratio:.1f}: metabolic alkalosis in addition, or bicarbonate was high "
            "before",
            f"Δ比值 {ratio:.1f}：合并代谢性碱中毒，或原有碳酸氢根偏高",
            "metabolic-alkalosis",
        )
    elif ratio < 0.8:
        found.say(
            f"delta ratio {ratio:.1f}: a normal-gap acidosis in addition",
            f"Δ比值 {ratio:.1f}：合并正常AG代谢性酸中毒",
            "normal-gap-acidosis",
        )
    else:
        found.say(
            f"delta ratio {ratio:.1f}: high-gap acidosis alone",
            f"Δ比值 {ratio:.1f}：单纯高AG代谢性酸中毒",
        )


def _osmolal(found: Reading, gas: Gas) -> None:
    if gas.osmolality is None or gas.na is None or gas.glucose is None or gas.urea is None:
        return
    found.used += ["osmolality", "glucose", "urea"]
    gap = gas.osmolality - (2 * gas.na + gas.glucose + gas.urea)
    if gap > OSMOLAL_GAP_HIGH:
        found.say(
            f"osmolal gap {gap:.0f} mosm/kg: high, think of toxic alcohols",
            f"渗透压间隙 {gap:.0f} mOsm/kg：升高，警惕有毒醇类中毒",
            "osmolal-gap",
        )
    else:
        found.say(f"osmolal gap {gap:.0f} mosm/kg: not high", f"渗透压间隙 {gap:.0f} mOsm/kg：不高")
