"""Where the program begins: the command `convtool`, and ``python -m convtool``."""

import _signal  # type: ignore[import-not-found]  # `signal` takes milliseconds to import, which this is to come before

if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # until `main` handles it, Ctrl-C ends the program without a word

from convtool.warm.launcher import hand_over


def main() -> None:
    """Do this call: in the warm process where there is one, else here."""
    hand_over()
    from convtool.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
