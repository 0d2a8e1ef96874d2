"""DICOMweb: STOW-RS, streamed on to ingest."""
