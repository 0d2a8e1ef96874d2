"""What the notes say against what results and images show, and against themselves. Pure.

`results`, `images`, `medicines` and `record` each yield what agrees or does not; `observations`
makes it the report's. A statement is compared with what is near it in time only: of each analyte
with the results of the week before the newest one.
"""
