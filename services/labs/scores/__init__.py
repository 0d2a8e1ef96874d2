"""Scores: some sixty published formulas, each pure, with what it needs and what it means.

`data/scores/<topic>.toml` says what a score is called, needs and means; the module of that
topic computes it. `engine` computes what facts allow and says what keeps the rest; `listing`
chooses what a report shows. Pure; `__main__` answers `dxmesh scores`.
"""
