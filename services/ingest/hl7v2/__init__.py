"""HL7 v2 results (ORU^R01) as submissions: read, converted by the official tables, answered. Pure.

`header` what a message says of itself, `charset` and `reader` its text and segments, `convert`
its FHIR Bundle, `batch` the messages of a file, `acknowledgement` the answer. What is not
converted is listed by place, never dropped in silence: `asides`.

Source: HL7 v2.9 chapters 2, 3, 4, 7; HL7 Version 2 to FHIR (R4), message ORU_R01.
"""
