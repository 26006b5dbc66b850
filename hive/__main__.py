"""``python -m hive``: the command ``hive``."""

from hive.cli.main import main

main()
