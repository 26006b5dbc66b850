"""The arguments of a call by name."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any


def named(signature: inspect.Signature, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments by name, defaults included; a call that does not fit has those it names."""
    try:
        bound = signature.bind_partial(*args, **kwargs)
    except TypeError:
        return dict(kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)
