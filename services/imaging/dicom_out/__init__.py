"""Findings as the DICOM objects that radiologists' systems read: SEG, SR, KO, PR, ANN.

`write.objects` is what the worker calls. Which object a source gets:

| source | SEG | SR (TID 1500) | KO | PR | ANN |
|---|---|---|---|---|---|
| stack of slices | BINARY, one segment per lesion | volumetric groups, by segment | yes | | |
| radiograph | when a lesion has a mask | planar groups, by box (SCOORD) | yes | boxes | |
| DICOM slide | FRACTIONAL heat map and BINARY region, tiled | one group | yes | | nuclei |

All UIDs are made from what the objects say, so a part that is read again makes the same
objects; see docs/report.md and docs/adr/0025.
"""
