"""Settings of the imaging service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.kernel.settings import MeshSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(MeshSettings):
    """Imaging settings, read from `DX_IMAGING_*`."""

    model_repository: Path
    """Folder with one folder per model: config.pbtxt, <version>/model.onnx, card.json."""

    triton_url: str | None = None
    """Triton's gRPC address, host:port; none: ONNX Runtime runs in this process."""

    triton_shared_memory: bool = False
    """Pass tensors to Triton through shared memory; only when both are on one host."""

    timeout_s: float = 20.0
    """Deadline of one batch; Triton too drops what it could not begin by then."""

    routing_dir: Path | None = None
    """Folder with `<tenant>.toml`, laid over the routing table; none: the default for all."""

    scratch_dir: Path | None = None
    """Where series lie while they are read, de-identified; none: the system's temporary folder.
    A whole slide takes its own size twice."""

    concurrency: int = 1
    """Parts read at once. A CT of 133 slices takes 0.7 to 1 GB at its height, libraries too."""

    stat_lane: int = 1
    """Parts read at once beside those when they are stat: a head CT does not wait for a slide.
    0: stat parts are first in the queue, but wait for a free hand."""

    stall_s: float = 900.0
    """Seconds without a sign of life after which a reading is given up and the others go on."""
