"""DICOMweb: STOW-RS streamed on to ingest; QIDO-RS and WADO-RS of what the cases hold."""
