"""The dxmesh services. A file's path is its import path."""

import os

# Read when grpc is first imported, which any module below may be the first to do. Its own
# lines would stand among the JSON of a log, and on the terminal of whoever runs `dxmesh`.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
