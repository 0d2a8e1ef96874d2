"""Real servers for tests: NATS, Triton, PostgreSQL, an OTLP receiver, TLS material.

Fixtures over them are in `tests/conftest.py`, for every folder of tests.
"""
