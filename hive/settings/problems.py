"""What pydantic finds wrong with settings: the key as it is written, and a sentence."""

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, SecretStr, ValidationError

from hive.errors import suggestion


def problems(exc: ValidationError, kind: type[BaseModel], table: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted key and the sentence of each problem; the key is empty where relations between values are meant.

    Args:
        exc: raised by ``kind``.
        kind: the model that was built.
        table: dotted name of the table it was built from; empty for all settings.
    """
    for error in exc.errors(include_url=False, include_context=False):
        place = error["loc"]
        key = ".".join(str(part) for part in (*filter(None, (table,)), *place))
        types = list(_types_along(kind, place))
        message = error["msg"].removeprefix("Value error, ")
        if error["type"] == "extra_forbidden":
            yield key, f"{key} is no setting{suggestion(str(place[-1]), types[-2].model_fields)}"
        elif error["type"] == "missing":
            yield key, f"{key} must be set"
        elif key:
            given = "..." if any(map(_is_secret, types)) else repr(error["input"])
            yield key, f"{key} = {given}: {message}"
        else:
            yield key, message


def _types_along(kind: type[BaseModel], place: Sequence[int | str]) -> Iterator[Any]:
    """Yield the types on the way to a place, from ``kind`` to its own; ``None`` where there is no such field."""
    inside: Any = kind
    yield inside
    for part in place:
        if _is_model(inside):
            field = inside.model_fields.get(str(part))
            inside = field.annotation if field is not None else None
        else:
            # A table with keys of the user's own: the type of its values.
            inside = next(reversed(get_args(inside)), None)
        yield inside


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _is_secret(annotation: Any) -> bool:
    """Whether a setting holds what must not be printed, such as an address with its password."""
    return SecretStr in (annotation, *get_args(annotation))
