"""Hands a call of the command to the warm process, where there is one, and ends as the call ended there.

What is imported here costs every call: only what the handing over needs. Signals that arrive are passed on; Ctrl-Z
stops the call's processes and then this one.
"""

from __future__ import annotations

import os
import sys

from convtool.warm import place

TYPE_CHECKING = False  # to import it from `typing` takes longer than all that is imported here
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable
    from typing import NoReturn

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
    import _socket

    from convtool.warm import descriptors, messages

    inherited = descriptors.inherited()
    if len(inherited) > _DESCRIPTORS:
        raise NotWarm(f"{len(inherited)} files are open, of which {_DESCRIPTORS} can be handed over")
    if _in_background():
        raise NotWarm("this call is in the background of its terminal")
    request = {
        "kind": ["call"],
        "arguments": sys.argv[1:],
        "environment": [word for variable in os.environ.items() for word in variable],
        "interpreter": interpreter(),
        "descriptors": [str(number) for number in inherited],
    }
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(_PATIENCE)
        connection.connect(place.socket_name())
        if messages.user(connection) != os.geteuid():
            raise NotWarm("it belongs to another user")
        data = messages.framed(request)
        files = b"".join(number.to_bytes(4, sys.byteorder) for number in inherited)
        if rest := data[connection.sendmsg([data], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)]) :]:
            connection.sendall(rest)
        for declined in messages.receive(connection)["declined"]:
            raise NotWarm(declined)
        restore = _pass_signals_on(connection)
        try:
            connection.sendall(messages.GO)
        except OSError:
            restore()
            raise
        connection.settimeout(None)
        try:
            status = int(messages.receive(connection)["status"][0])
        except (EOFError, LookupError, OSError, ValueError):
            sys.stderr.write("Error: the warm process ended before this call did\n")
            os._exit(1)
        _end_like(status)
    finally:
        connection.close()


def _in_background() -> bool:
    """Whether standard input is a terminal that this process must not read: the warm one would not be stopped."""
    try:
        return os.tcgetpgrp(0) != os.getpgrp()
    except OSError:  # it is none
        return False


def _pass_signals_on(connection: _socket.socket) -> Callable[[], None]:
    """Send signals that come to the call instead; what is returned leaves that."""
    import _signal  # type: ignore[import-not-found]  # see `__main__`

    from convtool.warm import messages

    def send(number: int, _: object = None) -> None:
        try:
            connection.send(bytes([number]))
        except OSError:
            return  # the call has ended, and its status is on the way

    def stop(number: int, _: object) -> None:
        send(messages.STOP)
        _signal.signal(number, _signal.SIG_DFL)
        os.kill(os.getpid(), number)
        _signal.signal(number, stop)  # the shell lets it go on
        send(_signal.SIGCONT)

    kept = {}
    for name in _PASSED_ON:
        number = getattr(_signal, name)
        if _signal.getsignal(number) != _signal.SIG_IGN:
            kept[number] = _signal.signal(number, stop if name == "SIGTSTP" else send)

    def restore() -> None:
        for number, handler in kept.items():
            _signal.signal(number, handler)

    return restore


def _end_like(status: int) -> NoReturn:
    """End with the exit code, or by the signal, that `status` of `os.wait` tells."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        import _signal

        _signal.signal(-code, _signal.SIG_DFL)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [-code])
        os.kill(os.getpid(), -code)
    os._exit(code & 0xFF)
