"""The supervisor without a terminal: ``python -m hive.runtime.headless PLAN``, as other commands start it.

Its log is its standard error: a line for each part that changes, and one sentence if it cannot start.
"""

import json
import sys
from dataclasses import asdict

from hive.errors import HiveError
from hive.runtime.journal import Journal
from hive.runtime.loading import load_app
from hive.runtime.plan import HivePlan
from hive.runtime.supervisor import Supervisor


def encode(app_path: str, plan: HivePlan) -> str:
    """Return application and plan as one argument of the command line."""
    return json.dumps({"app": app_path, **asdict(plan)})


def main() -> None:
    """Run the plan given as the only argument until it is told to stop."""
    fields = json.loads(sys.argv[1])
    app_path = fields.pop("app")
    types = fields.pop("agent_types")
    plan = HivePlan(agent_types=None if types is None else tuple(types), **fields)
    journal = Journal(lambda line: print(line, file=sys.stderr, flush=True))
    try:
        Supervisor(load_app(app_path), app_path, plan, journal.watch).run()
    except HiveError as exc:
        print(f"hive: {exc}", file=sys.stderr, flush=True)
        sys.exit(exc.exit_code)


if __name__ == "__main__":
    main()
