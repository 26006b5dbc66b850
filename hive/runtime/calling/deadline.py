"""Deadlines: until when a task must have begun for its result to be of use."""

from collections.abc import Mapping
from typing import Any

from hive.clock import Clock
from hive.deadletter.history import DEADLINE

#: What refuses a task whose deadline has passed.
DEADLINE_GUARD = "deadline"


def with_deadline(options: Mapping[str, Any], clock: Clock) -> dict[str, Any]:
    """Return the options of a call with ``deadline_s`` (seconds from now) turned into a header."""
    others = dict(options)
    deadline_ms = clock.wall_ms() + round(others.pop("deadline_s") * 1000)
    return {**others, "headers": {**(others.get("headers") or {}), DEADLINE: deadline_ms}}
