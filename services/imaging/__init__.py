"""Reads CT for lung nodules.

Consumes `part.imaging`, publishes `finding.imaging` and `finding.critical`; calls the inference
server.
Answers `ImagingService.ListModels`.
"""
