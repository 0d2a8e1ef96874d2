"""Starts processes, waits until each is healthy, starts a dead one again, stops them all.

A child dies with this process (PR_SET_PDEATHSIG), so nothing is left behind even when
this process is killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1
RESTART_S = 0.5
RESTART_S_MAX = 10.0


class NotHealthy(Exception):
    """A process did not become healthy in time; the message names its log."""


@dataclass(slots=True)
class Child:
    """One process to keep running."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    log: Path
    healthy: Callable[[], bool]
    stop_s: float = 30.0
    folder: Path | None = None
    """Working directory; none: this process's."""
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    wanted: bool = field(default=False)


class Supervisor:
    """Keeps children running until `stop`."""

    def __init__(self) -> None:
        self.children: list[Child] = []
        self._spawning = threading.Lock()
        self._watch = threading.Thread(target=self._keep_running, daemon=True)
        self._stopping = threading.Event()
        self._stopped = threading.Event()

    def start(self, child: Child) -> None:
        """Start a child without waiting for it."""
        self.children.append(child)
        child.wanted = True
        _spawn(child)
        if not self._watch.is_alive() and not self._stopping.is_set():
            self._watch.start()

    def wait(self, child: Child, timeout_s: float) -> None:
        """Wait until a child is healthy.

        Raises
        ------
        NotHealthy
        """
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            if child.healthy():
                return
            time.sleep(0.1)
        raise NotHealthy(f"{child.name} is not healthy after {timeout_s:.0f} s; read {child.log}")

    def kill(self, name: str) -> None:
        """Kill a child with SIGKILL; it is started again."""
        child = self.find(name)
        if child.process:
            child.process.kill()

    def pause(self, name: str) -> None:
        """Kill a child and leave it down until `resume`."""
        child = self.find(name)
        child.wanted = False
        if child.process:
            child.process.kill()
            child.process.wait()

    def resume(self, name: str) -> None:
        """Start a paused child again."""
        child = self.find(name)
        with self._spawning:  # the watch must not start it as well
            child.wanted = True
            _spawn(child)

    def find(self, name: str) -> Child:
        """Return a child by name."""
        return next(child for child in self.children if child.name == name)

    def stop(self) -> None:
        """Stop every child: SIGTERM in reverse order of starting, SIGKILL after its time."""
        self._stopping.set()
        groups: dict[bool, list[Child]] = {True: [], False: []}
        for child in self.children:
            groups[child.command[-1].startswith("services.")].append(child)
        for group in (groups[True], groups[False]):  # services drain while the bus still runs
            for child in group:
                _signal(child, signal.SIGTERM)
            for child in group:
                _reap(child)
        self._stopped.set()

    def _keep_running(self) -> None:
        while not self._stopping.wait(0.2):
            for child in list(self.children):
                self._revive(child)
        # A child is tied to the thread that started it: stay until all are down.
        self._stopped.wait()

    def _revive(self, child: Child) -> None:
        if not (child.wanted and child.process and child.process.poll() is not None):
            return
        pause = min(RESTART_S * child.restarts, RESTART_S_MAX)
        if self._stopping.wait(pause):
            return
        with self._spawning:
            if child.wanted and child.process.poll() is not None:
                child.restarts += 1
                _spawn(child)


def free_ports(count: int) -> list[int]:
    """Return loopback ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def answers(port: int) -> bool:
    """Tell whether something accepts connections on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _spawn(child: Child) -> None:
    parent = os.getpid()
    libc = ctypes.CDLL(None, use_errno=True)

    def tie() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    child.log.parent.mkdir(parents=True, exist_ok=True)
    with child.log.open("ab") as log:
        child.process = subprocess.Popen(
            child.command,
            env=dict(child.environment),
            cwd=child.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=tie,
        )


def _signal(child: Child, number: signal.Signals) -> None:
    child.wanted = False
    if child.process and child.process.poll() is None:
        child.process.send_signal(number)


def _reap(child: Child) -> None:
    if child.process is None:
        return
    try:
        child.process.wait(child.stop_s)
    except subprocess.TimeoutExpired:
        child.process.kill()
        child.process.wait()
