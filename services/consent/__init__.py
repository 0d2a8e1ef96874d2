"""Consent: decides whether a purpose is permitted, and remembers why.

Identity zone. Consumes nothing; answers `ConsentService`; publishes `consent.withdrawn`.
Calls nobody. Pure: `instants`, `provisions`, `policy`. Edges: `store`, `service`.
"""
