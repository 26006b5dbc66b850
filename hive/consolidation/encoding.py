"""What a tool took or returned, written shorter: each key once, each value kept.

A list of records becomes a table: what all rows agree on once, the other keys once, then a row a record. Everything else
is ``key=value``. Nothing is lost but the type of a value (``"5"`` and ``5`` are both ``5``).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def parsed(text: str) -> Any | None:
    """Return the object or list that a text is as JSON, ``None`` if it is neither."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def flattened(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield key path and value of every leaf; a list of plain values is a leaf."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flattened(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(one, Mapping | list) for one in value):
        for number, inner in enumerate(value):
            yield from flattened(inner, f"{path}.{number}" if path else str(number))
    else:
        yield path, value


def encoded(value: Any, rows_chars: int = 300) -> list[str]:
    """Return the lines of an object or list; a long table goes on in further lines, each under its keys again.

    Args:
        value: as JSON is read.
        rows_chars: characters of rows after which a table begins a new line.
    """
    if isinstance(value, list):
        return _table("", value, rows_chars) or [leaf(value)]
    plain: list[str] = []
    lines: list[str] = []
    for key, inner in value.items():
        rows = inner
        if isinstance(inner, Mapping) and inner and all(isinstance(one, Mapping) for one in inner.values()):
            rows = [_keyed(str(name), one) for name, one in inner.items()]
        table = _table(str(key), rows, rows_chars) if isinstance(rows, list) else []
        lines.extend(table)
        if not table:
            plain.extend(f"{path}={leaf(one)}" for path, one in flattened(inner, str(key)))
    return ["; ".join(plain), *lines] if plain else lines


def leaf(value: Any) -> str:
    """Return a plain value, a list of them, or an object of them as one cell."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "/".join(map(leaf, value.values()))
    if isinstance(value, list) and not any(isinstance(one, Mapping | list) for one in value):
        return f"[{', '.join(map(leaf, value))}]"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _keyed(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record that stood under a name, the name first unless it says it itself."""
    return dict(record) if name in record.values() else {"key": name, **record}


def _table(name: str, value: Sequence[Any], rows_chars: int) -> list[str]:
    records = _records(value)
    if not records:
        return []
    columns = list(dict.fromkeys(key for record in records for key in record))
    common = [key for key in columns if all(key in one and one[key] == records[0][key] for one in records)]
    varying = [key for key in columns if key not in common]
    same = "; ".join(f"{key}={leaf(records[0][key])}" for key in common)
    head = " ".join(part for part in (name, same) if part)
    if not varying:
        return [head]
    head += f" ({', '.join(varying)}): "
    lines: list[str] = []
    rows: list[str] = []
    for record in records:
        if sum(map(len, rows)) > rows_chars:
            lines.append(head + " | ".join(rows))
            rows = []
        rows.append(",".join(leaf(record[key]) if key in record else "" for key in varying))
    return [*lines, head + " | ".join(rows)]


def _records(value: Sequence[Any]) -> list[Mapping[str, Any]]:
    """Return the records of a list; of a list of lists too, each with the number of the list it stood in."""
    found: list[Mapping[str, Any]] = []
    for number, one in enumerate(value, 1):
        if isinstance(one, Mapping):
            found.append(_cells(one))
        elif isinstance(one, list) and one and all(isinstance(inner, Mapping) for inner in one):
            found.extend({"#": number, **_cells(inner)} for inner in one)
        else:
            return []
    return found


def _cells(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a record whose values are cells: an object of plain values stays one, a deeper one is taken apart."""
    found: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping) and value and not any(isinstance(one, Mapping | list) for one in value.values()):
            found[f"{key}({'/'.join(map(str, value))})"] = value
        else:
            found.update(flattened(value, str(key)))
    return found
