"""Reads CT for lung nodules.

Consumes `part.imaging`, publishes `finding.imaging`; calls the inference server.
Answers `ImagingService.ListModels`.
"""
