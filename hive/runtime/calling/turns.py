"""Fairness between the keys of a task's calls: whose turn a call waits for.

``@app.task(fair_key="{tenant}")`` takes the key from the call's arguments and headers, ``apply_async(fair_key="tenant-7")``
names it. Calls with a key wait behind the queue's ready list, one line for each key, and come in turn; those without go to
the ready list as ever, and take turns with all the others together.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hive.runtime.calling.arguments import key_of_call
from hive.store.turn import Fair
from hive.transport.envelope import FAIR_KEY, FAIR_WEIGHT


def takes_turns(task: Any, options: Mapping[str, Any]) -> bool:
    """Whether a call waits for its key's turn, by its options or its task."""
    return "fair_key" in options or getattr(task, "fair_key", None) is not None


def with_turn(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a call with its key as headers, which stay with it over retries.

    Args:
        task: the task, or None: it is called by name.
        args: positional arguments of its body.
        kwargs: its named arguments.
        options: of the call; ``fair_key`` and ``fair_weight`` are taken off.

    Raises:
        InputError: the key cannot be made, or the weight is out of bounds.
    """
    rest = {name: value for name, value in options.items() if name not in {"fair_key", "fair_weight"}}
    key = key_of_call("fair_key", FAIR_KEY, task, args, kwargs, options)
    if key is None:
        return rest
    weight = options.get("fair_weight")
    if weight is None:
        weight = (getattr(task, "fair_weights", None) or {}).get(key, 1.0)
    fair = Fair.checked(key, weight)
    return {**rest, "headers": {**(options.get("headers") or {}), FAIR_KEY: fair.key, FAIR_WEIGHT: fair.weight}}
