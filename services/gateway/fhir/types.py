"""The resource types of FHIR R4 (4.0.1), and where R4B differs from them. Pure.

`fhir.resources` has models of R4B alone. R4B dropped the types in `NOT_IN_R4B`, changed those
in `CHANGED`, and brought types that R4 does not know, which are refused.

Source: R4 resourcelist; R4B resource list, "Changes from R4".
"""

from __future__ import annotations

from services.gateway.fhir.search import definitions

TYPES = frozenset(definitions.TYPES)
"""Every type that can be stored; Parameters is R4 too, but has no address of its own."""

NOT_IN_R4B = frozenset(
    {
        "EffectEvidenceSynthesis", "MedicinalProduct", "MedicinalProductAuthorization",
        "MedicinalProductContraindication", "MedicinalProductIndication",
        "MedicinalProductIngredient", "MedicinalProductInteraction",
        "MedicinalProductManufactured", "MedicinalProductPackaged",
        "MedicinalProductPharmaceutical", "MedicinalProductUndesirableEffect",
        "RiskEvidenceSynthesis", "SubstanceNucleicAcid", "SubstancePolymer", "SubstanceProtein",
        "SubstanceReferenceInformation", "SubstanceSourceMaterial", "SubstanceSpecification",
    }
)  # fmt: skip

CHANGED = frozenset({"Evidence", "EvidenceVariable"})
"""Types whose elements R4B replaced, so that its model refuses valid R4."""
