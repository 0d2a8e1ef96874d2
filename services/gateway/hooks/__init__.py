"""CDS Hooks 2.0: what dxmesh already knows, as cards in the EHR's own workflow.

`clients` and `token` say who calls, `request` what was asked, `facts` gathers what is in the
store, `patient_cards` and `order_cards` make cards of it, `feedback` reads what became of them,
`handlers` is the HTTP. Nothing is computed for a card: it shows what the analysis left.

Source: CDS Hooks 2.0.1, https://cds-hooks.hl7.org/2.0/; requests of 1.1 differ in nothing we use.
"""
