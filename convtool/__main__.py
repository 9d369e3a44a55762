"""``python -m convtool``."""

from convtool.cli.main import main

main()
