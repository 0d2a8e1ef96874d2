"""The dxmesh services. A file's path is its import path."""
