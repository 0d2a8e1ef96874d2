"""Disease risks: rules as data (`data/rules/<topic>.toml`) and the small engine that reads them.

`expression` reads one condition, `schema` a file of rules, `facts` says what is known of a
person, `engine` finds which rules hold. Nothing in a rule is ever executed as Python.
"""
