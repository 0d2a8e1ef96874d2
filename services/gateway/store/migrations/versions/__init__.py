"""The steps; see `migrations/__init__.py`."""
