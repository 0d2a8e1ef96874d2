"""CSV files of results with a declared header as submissions, one for each patient. Pure.

`columns` which header means what, `rows` the file's rows, `convert` their FHIR Bundles.
"""
