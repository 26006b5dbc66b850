"""The supervisor without a terminal: ``python -m hive.runtime.supervision.headless PLAN``, as other commands start it.

Its log is its standard error: a line for each part that changes, and one sentence if it cannot start.
"""

import sys

from hive.errors import HiveError
from hive.runtime.loading import load_app
from hive.runtime.supervision.journal import Journal
from hive.runtime.supervision.plan import decode
from hive.runtime.supervision.supervisor import Supervisor


def main() -> None:
    """Run the plan given as the only argument until it is told to stop."""
    app_path, plan = decode(sys.argv[1])
    journal = Journal(lambda line: print(line, file=sys.stderr, flush=True))
    try:
        Supervisor(load_app(app_path), app_path, plan, journal.watch).run()
    except HiveError as exc:
        print(f"hive: {exc}", file=sys.stderr, flush=True)
        sys.exit(exc.exit_code)


if __name__ == "__main__":
    main()
