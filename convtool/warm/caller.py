"""The process behind a call, as the system describes it, and how a fork of the warm process becomes like it.

What a process passes on to the programs that it starts is read from /proc, where nobody can misstate it: working
folder, umask, limits, priority, processors, and the signals that are ignored or blocked.
"""

from __future__ import annotations

import os
import resource
import signal
from dataclasses import dataclass

_LIMITS = sorted({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")})
_SAME = ("Uid", "Gid", "Groups", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp")
"""Lines of /proc/PID/status in which both processes have to agree: who they are, and what they may do."""

_NAMESPACES = ("mnt", "user", "pid", "net", "ipc", "uts")
_BY_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}
"""Signals that Python itself ignores."""


@dataclass(frozen=True)
class Caller:
    """What one process passes on."""

    process: int
    status: dict[str, str]
    limits: dict[int, tuple[int, int]]
    priority: int
    processors: set[int]
    surroundings: list[str]

    @classmethod
    def of(cls, process: int) -> Caller:
        """The process numbered `process`.

        Raises:
            OSError: it has ended, or can't be looked at.
        """
        with open(f"/proc/{process}/status") as lines:
            status = dict(line.rstrip("\n").split(":", 1) for line in lines)
        root = os.stat(f"/proc/{process}/root")
        return cls(
            process,
            status,
            {limit: resource.prlimit(process, limit) for limit in _LIMITS},
            os.getpriority(os.PRIO_PROCESS, process),
            os.sched_getaffinity(process),
            [os.readlink(f"/proc/{process}/ns/{name}") for name in _NAMESPACES] + [f"{root.st_dev}:{root.st_ino}"],
        )

    def difference(self, own: Caller) -> str | None:
        """What keeps a fork of the process `own` from becoming like this one."""
        for line in _SAME:
            if self.status.get(line) != own.status.get(line):
                return f"this call has other rights than the warm process ({line})"
        if self.surroundings != own.surroundings:
            return "this call is in another container than the warm process"
        if self.priority < own.priority:
            return f"this call has priority {self.priority}, the warm process {own.priority}"
        for limit, (_, hard) in self.limits.items():
            if _above(hard, own.limits[limit][1]):
                return "this call may use more than the warm process (ulimit)"
        return None

    def become(self) -> None:
        """Make this process like it, but for its open files."""
        folder = os.open(f"/proc/{self.process}/cwd", os.O_PATH | os.O_DIRECTORY)
        os.fchdir(folder)
        os.close(folder)
        os.umask(int(self.status["Umask"], 8))
        os.setpriority(os.PRIO_PROCESS, 0, self.priority)
        os.sched_setaffinity(0, self.processors)
        ignored, blocked = (self._signals(line) for line in ("SigIgn", "SigBlk"))
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP} - _BY_PYTHON:
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for limit, values in self.limits.items():
            resource.setrlimit(limit, values)

    def _signals(self, line: str) -> set[int]:
        mask = int(self.status[line], 16)
        return {number for number in signal.valid_signals() if mask >> (number - 1) & 1}


def _above(limit: int, other: int) -> bool:
    return other != resource.RLIM_INFINITY and (limit == resource.RLIM_INFINITY or limit > other)
