"""Processor time of process groups, from /proc: where a mesh spends what one process does not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

TICKS_S = os.sysconf("SC_CLK_TCK")


def by_session(sessions: Mapping[str, int]) -> dict[str, float]:
    """Return the seconds of user and system time of each session, its children's included.

    `sessions` are session ids by name; see proc_pid_stat(5).
    """
    names = {session: name for name, session in sessions.items()}
    seconds = dict.fromkeys(sessions, 0.0)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended
        if name := names.get(int(fields[3])):
            seconds[name] += (int(fields[11]) + int(fields[12])) / TICKS_S
    return seconds


def between(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return what was spent from one reading to the next."""
    return {name: after[name] - seconds for name, seconds in before.items()}
