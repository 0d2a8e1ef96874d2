"""The `dxmesh` command: runs the mesh on one machine, submits cases, shows and operates it.

Talks to the gateway over HTTP; only `up` and `demo` start processes.
"""
