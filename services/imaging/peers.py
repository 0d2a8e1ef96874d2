"""The process that decodes compressed pixels: a native decoder that crashes takes only it along.

`DecoderProcess` is called with one frame at a time; the process is started when first needed,
killed when a frame takes too long, and started anew after either. Why: docs/adr/0024.

On its pipes, both ways: 4 bytes, the length of a JSON object; the object, whose `bytes` is the
length of what follows; that.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import resource
import select
import struct
import subprocess
import sys
import threading
import time
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from services.imaging.series.decoding import Encoded, decode_here
from services.imaging.series.refusals import DamagedSeries, SeriesRefused, UnsupportedCompression
from services.kernel.errors import Unavailable

TIMEOUT_S = 20.0
PIXELS_PER_S = 1_000_000
"""The slowest decoding that is waited for, beyond `TIMEOUT_S`; JPEG 2000 makes 4 million."""

START_S = 120.0
"""A process says when it is ready; on a busy machine its libraries take seconds to load."""

MEMORY_BYTES = 3 << 30
"""Address space of the process, its libraries included."""

HEAD_BYTES_MAX = 1 << 16
LENGTH = struct.Struct(">I")
PIECE = 1 << 20
KINDS = {kind.__name__: kind for kind in (DamagedSeries, UnsupportedCompression)}


class DecoderProcess:
    """Decodes frames in processes of their own: as many as threads ask at once.

    Parameters
    ----------
    timeout_s : a frame may take this long, and a second for each million pixels
    memory_bytes : address space of one process
    """

    def __init__(self, timeout_s: float = TIMEOUT_S, memory_bytes: int = MEMORY_BYTES) -> None:
        self._timeout_s = timeout_s
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._idle: list[subprocess.Popen[bytes]] = []
        self.deaths = 0
        """Processes that crashed or were killed."""

    def __call__(self, frame: Encoded) -> npt.NDArray[Any]:
        """Return the stored values of a frame; see `series.decoding.Decode`.

        Raises
        ------
        Unavailable
            No process can be started: that says nothing of the frame.
        """
        process = self._take()
        deadline = time.monotonic() + self._timeout_s + frame.rows * frame.columns / PIXELS_PER_S
        try:
            answer, content = _ask(process, frame, deadline)
        except (OSError, ValueError, struct.error) as error:
            self.deaths += 1
            ended = _ended(process)
            raise DamagedSeries(
                "the decoder of an image failed on it",
                **({"timeout_s": self._timeout_s} if isinstance(error, TimeoutError) else ended),
            ) from error
        except BaseException:
            _ended(process)  # it would answer the next question with this one's answer
            raise
        self._give_back(process)
        if kind := KINDS.get(str(answer.get("error", ""))):
            raise kind(str(answer["message"]), **answer.get("facts", {}))
        if len(content) != int(np.prod(frame.shape)) * frame.dtype.itemsize:
            raise DamagedSeries("an image has other pixels than its header says")
        return np.frombuffer(content, frame.dtype).reshape(frame.shape)

    def close(self) -> None:
        """End the processes."""
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            _ended(process)

    def _take(self) -> subprocess.Popen[bytes]:
        with self._lock:
            while self._idle:
                process = self._idle.pop()
                if process.poll() is None:
                    return process
        return self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        """Return a new process that has said that it is ready."""
        process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
            [sys.executable, "-m", __name__, str(self._memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            _hear(process, 0, time.monotonic() + START_S)
        except (OSError, ValueError, struct.error) as error:
            _ended(process)
            raise Unavailable("the decoding process does not start") from error
        return process

    def _give_back(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._idle.append(process)


def _ask(
    process: subprocess.Popen[bytes], frame: Encoded, deadline: float
) -> tuple[dict[str, Any], bytes]:
    """Return what the process answers.

    Raises
    ------
    TimeoutError, OSError, ValueError
        It did not in time, is gone, or answered nonsense.
    """
    if process.stdin is None:
        raise ValueError("the decoding process has no pipes")
    head = dataclasses.asdict(dataclasses.replace(frame, content=b""))
    del head["content"]
    _write(process.stdin, head, frame.content)
    most = int(np.prod(frame.shape)) * frame.dtype.itemsize
    return _hear(process, most, deadline)


def _hear(
    process: subprocess.Popen[bytes], most: int, deadline: float
) -> tuple[dict[str, Any], bytes]:
    """Return the next thing that the process says, with at most so many bytes."""
    if process.stdout is None:
        raise ValueError("the decoding process has no pipes")
    (length,) = LENGTH.unpack(_read(process.stdout, LENGTH.size, deadline))
    if length > HEAD_BYTES_MAX:
        raise ValueError("no answer of the decoding process")
    answer = json.loads(_read(process.stdout, length, deadline))
    if not 0 <= int(answer["bytes"]) <= most:
        raise ValueError("no answer of the decoding process")
    return answer, _read(process.stdout, int(answer["bytes"]), deadline)


def _read(stream: IO[bytes], count: int, deadline: float) -> bytes:
    """Return so many bytes of a pipe, read without a buffer of its own."""
    parts: list[bytes] = []
    while count:
        ready, _, _ = select.select([stream], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            raise TimeoutError
        part = os.read(stream.fileno(), min(count, PIECE))
        if not part:
            raise BrokenPipeError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _write(stream: IO[bytes], head: dict[str, Any], content: bytes | memoryview) -> None:
    said = json.dumps({**head, "bytes": len(content)}).encode()
    stream.write(LENGTH.pack(len(said)) + said)
    stream.write(content)
    stream.flush()


def _ended(process: subprocess.Popen[bytes]) -> dict[str, int]:
    """Kill a process where it still runs, and return how it ended."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.05)
    process.kill()
    code = process.wait()
    for stream in (process.stdin, process.stdout):
        if stream:
            with contextlib.suppress(OSError):
                stream.close()
    return {"signal": -code} if code < 0 else {"exit": code}


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Say that the process is ready, then decode until the pipe closes."""
    _write(answers, {}, b"")
    while head := requests.read(LENGTH.size):
        said = json.loads(requests.read(LENGTH.unpack(head)[0]))
        content = requests.read(said.pop("bytes"))
        try:
            values = np.ascontiguousarray(decode_here(Encoded(content=content, **said)))
            _write(answers, {}, values.tobytes())
        except SeriesRefused as error:
            said = {"error": type(error).__name__, "message": error.message, "facts": error.facts}
            _write(answers, said, b"")
        except BaseException as error:  # a decoder in Rust panics with a type of its own
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            said = {"error": "DamagedSeries", "message": "the pixels of an image do not decode"}
            _write(answers, said, b"")


def main() -> None:
    """Run as the decoding process: answers leave by the first standard output alone."""
    memory = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # some decoders print
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
