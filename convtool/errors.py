"""The errors that convtool raises on purpose: each is one line for the person who typed the command.

ConvtoolError
├── UsageError    the request can't be carried out as asked (exit 2)
├── InputError    an input is missing, unreadable, or does not fit (exit 1)
├── OutputError   a result could not be written (exit 1)
└── CheckFailed   a check that was asked for does not hold (exit 3)
"""


class ConvtoolError(Exception):
    """What is wrong, what was expected and what to do, in one line."""

    exit_code = 1


class UsageError(ConvtoolError):
    """The options contradict each other or the inputs; told before any work."""

    exit_code = 2


class InputError(ConvtoolError):
    """One input failed; the others go on."""


class OutputError(ConvtoolError):
    """One output could not be written; nothing is left under its name."""


class Terminated(BaseException):
    """SIGTERM arrived; as with KeyboardInterrupt, what is under way is undone on the way out."""


class CheckFailed(ConvtoolError):
    """A check that the caller asked for does not hold."""

    exit_code = 3
