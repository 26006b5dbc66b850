"""The arguments of a call by name."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from hive.resilience.limiter import fill


def named(signature: inspect.Signature, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments by name, defaults included; a call that does not fit has those it names."""
    try:
        bound = signature.bind_partial(*args, **kwargs)
    except TypeError:
        return dict(kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)


def key_of_call(
    name: str, header: str, task: Any, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
) -> Any:
    """Return the key of a call: its option's, else made by its task's template; None: neither, or a header has it.

    Args:
        name: of the option, and of the task's attribute.
        header: that holds the key of a call that was published before.
        task: the task, or None: it is called by name.
        args: positional arguments of its body.
        kwargs: its named arguments.
        options: of the call.

    Raises:
        InputError: the key cannot be made.
    """
    key, template, headers = options.get(name), getattr(task, name, None), options.get("headers") or {}
    if key is not None or template is None or header in headers:
        return key
    return fill(template, {**headers, **named(inspect.signature(task.run), args, kwargs)})
