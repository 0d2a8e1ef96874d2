"""What dxmesh emits, as FHIR profiles: definitions built from tables, and a check against them.

`rules.tsv` says what each profile adds to R4, `codes.tsv` holds our code systems and value sets;
`definitions` makes StructureDefinitions, CodeSystems and ValueSets of them, `conform` checks a
resource, `serving` answers for them under /fhir. docs/profiles.md is generated.
"""
