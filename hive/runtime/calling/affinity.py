"""The key of a call: calls with the same one go to the same worker while it lives.

``@app.task(affinity="{conversation}")`` takes it from the call's arguments and headers, ``apply_async(affinity="talk-7")``
names it. It is a wish, not a promise: the worker may be gone, be passed over because it has far too much to do, or be
stolen from by one that is idle; and a call with an eta, a retry after a delay, the next step of a chain, a call with an
idempotency key, with a ``fair_key`` or to a bounded queue goes to the shared queue.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hive.errors import InputError
from hive.runtime.calling.arguments import key_of_call
from hive.store.lane import AFFINITY

#: Longest key in characters: it is a header of each message.
LONGEST = 200


def has_affinity(task: Any, options: Mapping[str, Any]) -> bool:
    """Whether a call has a key, by its options or its task."""
    return "affinity" in options or getattr(task, "affinity", None) is not None


def with_affinity(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a call with its key as a header.

    Args:
        task: the task, or None: it is called by name.
        args: positional arguments of its body.
        kwargs: its named arguments.
        options: of the call; ``affinity`` is taken off.

    Raises:
        InputError: the key cannot be made, or is no text of at most 200 characters.
    """
    rest = {name: value for name, value in options.items() if name != "affinity"}
    key = key_of_call("affinity", AFFINITY, task, args, kwargs, options)
    if key is None:
        return rest
    if not isinstance(key, str) or not 0 < len(key) <= LONGEST:
        raise InputError(f"affinity={key!r} is no text of 1 to {LONGEST} characters")
    return {**rest, "headers": {**(options.get("headers") or {}), AFFINITY: key}}
