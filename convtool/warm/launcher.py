"""Hands a call of the command to the warm process, where there is one, and ends as the call ended there.

What is imported here costs every call: only what the handing over needs. Signals that arrive are passed on; Ctrl-Z
stops the call's processes and then this one.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from convtool.warm import place

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

WISH = "CONVTOOL_WARM"
"""The environment variable: `1` starts a warm process where there is none, `0` leaves one alone that is there."""

_PATIENCE = 5.0
"""Seconds in which a warm process accepts a call."""

_PASSED_ON = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGWINCH", "SIGTSTP"]
"""The signals that reach the call, but for those that this process was told to ignore."""

_DESCRIPTORS = 250
"""As many open files as can be sent at once."""

reason = ""
"""Why this call runs without the warm process although one is there or was wished for."""


class NotWarm(Exception):
    """The warm process can't do this call; the text says why."""


def hand_over() -> None:
    """Let the warm process do this call, and end as it ended there; return where the call has to run here."""
    global reason
    wish = os.environ.get(WISH, "")
    first = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
    if wish == "0" or first == "warm" or not sys.platform.startswith("linux"):
        return
    try:
        place.check(place.folder())
        if os.path.exists(place.socket_name()):
            _call()
    except FileNotFoundError:
        pass
    except (NotWarm, place.Unsafe) as error:
        reason = str(error)
        return
    except (EOFError, LookupError, OSError, ValueError) as error:
        reason = f"it does not answer: {str(error) or type(error).__name__}"
    if wish == "1":
        from convtool.warm.starting import start

        reason = reason or "it is started now, for the calls that follow"
        start()


def interpreter() -> list[str]:
    """What tells one Python with its settings from another: its program, its flags, where it imports from."""
    return [sys.executable, sys.version, str(sys.flags), *sys.warnoptions, *sys.path[1:]]


def _call() -> NoReturn:
    """Send the call, wait for its end, and end likewise.

    Raises:
        NotWarm: the warm process declines.
        EOFError, LookupError, OSError, ValueError: it does not answer; nothing has been done yet.
    """
    import socket

    from convtool.warm import descriptors, messages

    inherited = descriptors.inherited()
    if len(inherited) > _DESCRIPTORS:
        raise NotWarm(f"{len(inherited)} files are open, of which {_DESCRIPTORS} can be handed over")
    if _in_background():
        raise NotWarm("this call is in the background of its terminal")
    request = {
        "kind": "call",
        "arguments": sys.argv[1:],
        "environment": dict(os.environ),
        "interpreter": interpreter(),
        "descriptors": inherited,
    }
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE)
        connection.connect(place.socket_name())
        if messages.user(connection) != os.geteuid():
            raise NotWarm("it belongs to another user")
        data = messages.framed(request)
        if rest := data[socket.send_fds(connection, [data], inherited) :]:
            connection.sendall(rest)
        declined = messages.receive(connection)["declined"]
        if declined:
            raise NotWarm(declined)
        restore = _pass_signals_on(connection)
        try:
            connection.sendall(messages.GO)
        except OSError:
            restore()
            raise
        connection.settimeout(None)
        try:
            status = int(messages.receive(connection)["status"])
        except (EOFError, OSError):
            sys.stderr.write("Error: the warm process ended before this call did\n")
            os._exit(1)
        _end_like(status)


def _in_background() -> bool:
    """Whether standard input is a terminal that this process must not read: the warm one would not be stopped."""
    try:
        return os.tcgetpgrp(0) != os.getpgrp()
    except OSError:  # it is none
        return False


def _pass_signals_on(connection: socket.socket) -> Callable[[], None]:
    """Send signals that come to the call instead; what is returned leaves that."""
    import signal

    from convtool.warm import messages

    def send(number: int, _: object = None) -> None:
        with suppress(OSError):  # the call has ended, and its status is on the way
            connection.send(bytes([number]))

    def stop(number: int, _: object) -> None:
        send(messages.STOP)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, stop)  # the shell lets it go on
        send(signal.SIGCONT)

    kept = {}
    for name in _PASSED_ON:
        number = signal.Signals[name]
        if signal.getsignal(number) != signal.SIG_IGN:
            kept[number] = signal.signal(number, stop if name == "SIGTSTP" else send)

    def restore() -> None:
        for number, handler in kept.items():
            signal.signal(number, handler)

    return restore


def _end_like(status: int) -> NoReturn:
    """End with the exit code, or by the signal, that `status` of `os.wait` tells."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        import signal

        signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [-code])
        os.kill(os.getpid(), -code)
    os._exit(code & 0xFF)
