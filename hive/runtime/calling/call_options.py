"""The options of a call that are hive's, and those that are meant to be.

Celery hands what it does not know to routers, signals and the message's properties, where an application may look for it. So
an unknown option is no error by itself; one that is an option of hive's but for its spelling, or that a task declares and a
call cannot change, is.
"""

import difflib
from collections.abc import Iterable
from functools import lru_cache

from hive.errors import InputError

#: What a call may say beside Celery's options.
OURS = frozenset({"affinity", "agent", "deadline_s", "fair_key", "fair_weight", "idempotency_key"})

#: What only a task can say, once for all its calls.
DECLARED = frozenset({"breaker", "durable", "exclusive", "fair_weights", "fallback", "limits", "needs", "unique"})

#: How alike two names are when one is taken for a slip of the other; Celery's are less like any of ours.
ALIKE = 0.8


def require_meant(task: str, options: Iterable[str]) -> None:
    """Check the names of a call's options.

    Raises:
        InputError: one of them would be passed over in silence.
    """
    for name in options:
        problem = _problem(name)
        if problem:
            raise InputError(f"{task}: {problem}")


@lru_cache(maxsize=1_000)
def _problem(name: str) -> str:
    if name in OURS:
        return ""
    if name in DECLARED:
        return f"{name!r} is no option of a call: say @app.task({name}=...)"
    near = difflib.get_close_matches(name, OURS, n=1, cutoff=ALIKE)
    return f"there is no option {name!r}; did you mean {near[0]!r}?" if near else ""
