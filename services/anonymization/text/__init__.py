"""Removes identity from free text in Chinese and English; `redact` is the way in."""
