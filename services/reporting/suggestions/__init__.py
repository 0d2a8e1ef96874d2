"""Which conditions a physician should consider, from note, results and images together. Pure.

The conditions are data (`services/reporting/data/suggestions/*.toml`, described in
docs/suggestions.md). Nothing here is a diagnosis: each suggestion shows what supports it, what
opposes it and what to do next, and names the Observations and places that say so.
"""
