"""Tool calls and their results as records: what a call was about, what came back, written once."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hive.consolidation.encoding import encoded, flattened, leaf, parsed
from hive.database.contexts import Context, ContextKind

#: Words from which an argument is prose, such as a thought, rather than a value.
PROSE_WORDS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A call and what came back, if anything did.

    Attributes:
        call: what was asked; a result without a call is an exchange as well.
        result: what came back.
    """

    call: Context | None
    result: Context | None

    @property
    def contexts(self) -> tuple[Context, ...]:
        """Those of the two that are there."""
        return tuple(one for one in (self.call, self.result) if one is not None)

    @property
    def tool(self) -> str:
        """The tool's name."""
        return self.contexts[0].author

    @property
    def arguments(self) -> Any:
        """What it was called with, ``None`` if that is unknown or no JSON."""
        return parsed(self.call.text) if self.call is not None else None

    def subjects(self) -> Iterator[str]:
        """Yield what it is about: the call itself, and the record that came back by its id.

        An exchange replaces an earlier one that shares a subject. A call that came to nothing new (an error, a plain
        word) is about itself only.
        """
        if self.call is not None:
            yield f"{self.tool} {_digest(self.call.text)}"
        found = parsed(self.result.text) if self.result is not None else None
        if isinstance(found, Mapping):
            name = next((key for key, value in found.items() if key.endswith("id") and isinstance(value, str)), None)
            if name is not None:
                # Of the same form, so that a list of an order's parts does not replace the order.
                yield f"{name} {_digest(found[name], *sorted(map(str, found)))}"


def exchanges(contexts: Sequence[Context]) -> list[Exchange]:
    """Pair the calls and results of one source: a result belongs to the latest open call of its tool."""
    found: list[Exchange] = []
    open_calls: dict[str, int] = {}
    for one in contexts:
        if one.kind is ContextKind.CALL:
            open_calls[one.author] = len(found)
            found.append(Exchange(call=one, result=None))
        elif one.kind is ContextKind.RESULT:
            at = open_calls.pop(one.author, None)
            if at is None:
                found.append(Exchange(call=None, result=one))
            else:
                found[at] = Exchange(call=found[at].call, result=one)
    return found


def prose(exchange: Exchange) -> list[str]:
    """Return what the arguments say in whole sentences: they are read as messages are."""
    arguments = exchange.arguments
    return [value for _, value in flattened(arguments) if _is_prose(value)] if isinstance(arguments, Mapping) else []


def lines(exchange: Exchange) -> list[str]:
    """Return the lines of an exchange: the tool, those arguments that the result does not say again, the result."""
    result = exchange.result.text if exchange.result is not None else ""
    found = parsed(result)
    body = encoded(found) if found else [result] if result else []
    asked = _arguments(exchange, set(_leaves(found)))
    head = f"{exchange.tool} {asked}".rstrip()
    if not body:
        return [head] if asked else []
    return [f"{head}: {body[0]}", *body[1:]]


def _arguments(exchange: Exchange, said: set[str]) -> str:
    arguments = exchange.arguments
    if not isinstance(arguments, Mapping):
        return exchange.call.text if exchange.call is not None and arguments is None else ""
    left = {
        key: value
        for key, value in arguments.items()
        if not _is_prose(value) and not all(one in said for one in _leaves(value))
    }
    return " ".join(encoded(left)) if left else ""


def _leaves(value: Any) -> Iterator[str]:
    for _, one in flattened(value):
        if isinstance(one, list):
            yield from map(leaf, one)
        elif one is not None:
            yield leaf(one)


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(errors="replace"), digest_size=12).hexdigest()


def _is_prose(value: Any) -> bool:
    return isinstance(value, str) and len(value.split()) >= PROSE_WORDS
