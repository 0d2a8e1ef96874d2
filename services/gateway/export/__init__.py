"""Bulk Data 2: $export jobs that survive a restart, and the NDJSON files they write."""
