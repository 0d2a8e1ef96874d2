"""Search of R4 as data and pure functions: definitions, index values, queries, matching.

Source: FHIR R4 (4.0.1), search.html; the official SearchParameters and compartments.
"""
