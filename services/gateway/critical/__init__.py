"""Critical results ahead of the report: told as Communications, read, told again, withdrawn.

Source: docs/adr/0032-critical-results.md.
"""
