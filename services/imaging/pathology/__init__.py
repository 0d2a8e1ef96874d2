"""Tumour cells in pathology: whole slides stained with haematoxylin and eosin.

slide -> tissue (`tissue.py`) -> fields of about 0.45 mm (`fields.py`) -> nuclei (`nuclei.py`) and
tissue kind (`lung.py`) -> figures (`figures.py`, `cellularity.py`) -> `reader.py`.
"""
