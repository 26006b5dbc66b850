"""How a fact of an agent is shown to people: as text, a list, a table, or parts of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

#: Rows of a list or table, and lines of a text, that the page shows; `report.json` has all.
MAX_ROWS = 200
MAX_LINES = 1500

#: Depth down to which tables in tables become parts of their own.
MAX_DEPTH = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """One fact, ready to be shown.

    Attributes:
        title: its name in words.
        kind: ``value``: one line; ``text``: many lines in ``rows``, as they are; ``list``: a line in each of ``rows``;
            ``table``: ``columns``, and cells in each of ``rows``; ``parts``: further exhibits.
        value: the line of a ``value``.
        columns: headings of a table.
        rows: lines or cells.
        parts: the exhibits of which it consists.
        more: rows that are not shown.
        size: rows, lines or parts in all.
    """

    title: str
    kind: Literal["value", "text", "list", "table", "parts"]
    value: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[Any, ...] = ()
    parts: tuple["Exhibit", ...] = ()
    more: int = 0
    size: int = 0


def exhibit(name: str, value: Any, depth: int = 0) -> Exhibit:
    """Return a fact as people are shown it.

    Args:
        name: of the fact.
        value: what JSON can carry.
        depth: how deep it stands in another fact.
    """
    title = name if "." in name or "/" in name else name.replace("_", " ")
    if isinstance(value, str) and "\n" in value:
        lines = value.splitlines()
        return _cut(title, "text", lines, MAX_LINES)
    if isinstance(value, Mapping) and value:
        return _mapping(title, value, depth)
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        if all(isinstance(item, Mapping) for item in value):
            columns = tuple(dict.fromkeys(key for item in value[:MAX_ROWS] for key in item))
            return _cut(
                title, "table", [tuple(_cell(item.get(key)) for key in columns) for item in value], columns=columns
            )
        between = " → " if "cycle" in name else ", "
        return _cut(title, "list", [_cell(item, between) for item in value])
    return Exhibit(title=title, kind="value", value=_cell(value), size=1)


def _mapping(title: str, value: Mapping[str, Any], depth: int) -> Exhibit:
    items = value.items()
    if all(isinstance(item, Mapping) and item for item in value.values()) and len(value) > 1:
        columns = tuple(dict.fromkeys(key for item in list(value.values())[:MAX_ROWS] for key in item))
        if len(columns) <= 8:
            rows = [(name, *(_cell(item.get(key)) for key in columns)) for name, item in items]
            return _cut(title, "table", rows, columns=("", *columns))
    nested = any(isinstance(item, (Mapping, list)) and item for item in value.values())
    long = any(isinstance(item, str) and "\n" in item for item in value.values())
    if (nested or long) and depth < MAX_DEPTH:
        parts = tuple(exhibit(str(name), item, depth + 1) for name, item in list(items)[:MAX_ROWS])
        return Exhibit(title=title, kind="parts", parts=parts, more=len(value) - len(parts), size=len(value))
    return _cut(title, "table", [(str(name), _cell(item)) for name, item in items], columns=("", ""))


def _cut(
    title: str,
    kind: Literal["text", "list", "table"],
    rows: Sequence[Any],
    limit: int = MAX_ROWS,
    columns: tuple[str, ...] = (),
) -> Exhibit:
    return Exhibit(
        title=title,
        kind=kind,
        columns=tuple(column.replace("_", " ") for column in columns),
        rows=tuple(rows[:limit]),
        more=max(len(rows) - limit, 0),
        size=len(rows),
    )


def _cell(value: Any, between: str = ", ") -> str:
    """Return a value as one line."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_cell(item)}" for key, item in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return between.join(_cell(item) for item in value) or "none"
    return str(value)
