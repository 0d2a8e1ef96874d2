"""Which reader takes which series, as data: `default.toml`, and a file per tenant over it. Pure.

`rules` reads the table, `decide` asks it about a series, `quality` looks at the pixels before
a model speaks, `explain` writes what was decided for people. See docs/adr/0019.
"""
