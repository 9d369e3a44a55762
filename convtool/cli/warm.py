"""`convtool warm`."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass

from convtool.cli import messages
from convtool.cli.options import command, flag
from convtool.errors import ConvtoolError, UsageError
from convtool.files.names import counted

PATIENCE = 60.0
"""Seconds in which a warm process is ready, on a slow disk too."""


@dataclass(frozen=True)
class Options:
    """The options of `warm`."""

    stop: bool = flag("End the warm process; calls under way are finished.")
    status: bool = flag("Say whether there is one, with its memory, calls and age.")


@command("warm", Options)
def warm(options: Options) -> int:
    """Keep a process with torch loaded, so that the calls that follow begin at once.

    It serves this user alone, through a socket in a folder that is closed to others, and gives the same
    results, messages and exit codes as without it. It ends by --stop, after ten minutes without a call,
    or when convtool or a library is installed anew. CONVTOOL_WARM=1 in the environment lets the first call
    start it, CONVTOOL_WARM=0 runs a call without it; -v tells why a call ran without it.

    \b
    Examples:
      convtool warm
      convtool warm --status
      convtool warm --stop
    """
    if options.stop and options.status:
        raise UsageError("--stop and --status: give one of them")
    if not sys.platform.startswith("linux"):
        raise UsageError("a warm process needs Linux, whose sockets tell who is at the other end")
    from convtool.warm.asking import ask
    from convtool.warm.place import Unsafe

    try:
        found = ask("stop" if options.stop else "status")
        if options.stop:
            return _tell_stop(found)
        if options.status or found:
            return _tell_status(found)
        return _start()
    except Unsafe as error:
        raise ConvtoolError(str(error)) from error


def _tell_stop(found: dict[str, int] | None) -> int:
    left = found["running"] if found else 0
    under_way = f"; {counted(left, 'call')} under way will be finished" if left else ""
    messages.note(f"The warm process ends{under_way}" if found else "There is no warm process")
    return 0


def _tell_status(found: dict[str, int] | None) -> int:
    if found is None:
        messages.say("There is no warm process")
        return 1
    print(
        f"Process {found['process']}: {found['memory'] / 1e6:.0f} MB, {counted(found['calls'], 'call')}, "
        f"{found['running']} under way, {found['seconds'] / 60:.0f} min old"
    )
    return 0


def _start() -> int:
    from convtool.warm.asking import ask
    from convtool.warm.starting import start

    listening, ready = os.pipe()
    os.set_inheritable(ready, True)
    start(ready)
    os.close(ready)
    os.read(listening, 1)  # until it closes its end
    os.close(listening)
    deadline = time.monotonic() + PATIENCE
    while (found := ask("status")) is None:  # another one may be at it
        if time.monotonic() > deadline:
            raise ConvtoolError("no warm process came to life; calls run without it as before")
        time.sleep(0.1)
    return _tell_status(found)


def serve_calls(ready: int) -> None:
    """Be the warm process; `ready` is a descriptor to close once it listens."""
    from convtool.cli.main import main
    from convtool.warm.server import Server
    from convtool.warm.starting import NOBODY

    server = Server(main)
    if not server.begin():
        return
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as `main` does; and no thread may live where calls are forked
    _load_everything()
    server.listen()
    if ready != NOBODY:
        os.close(ready)
    server.serve()


def _load_everything() -> None:
    """Import all that calls would import, but for optional libraries."""
    from importlib import import_module
    from pkgutil import walk_packages

    for name in ("jobs.preload", "runs.local", "runs.run"):
        import_module(f"convtool.{name}")
    for room in ("cli", "jobs", "ops"):
        package = import_module(f"convtool.{room}")
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            import_module(module.name)
