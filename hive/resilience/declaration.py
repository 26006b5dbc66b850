"""Retry strategies as settings write them: a name, or a table with the name and the strategy's fields."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from hive.errors import SettingsError, suggestion
from hive.resilience.budget import RetryBudget
from hive.resilience.strategies import STRATEGIES, RetryStrategy


def strategy_of(declared: RetryStrategy | str | Mapping[str, Any]) -> RetryStrategy:
    """Return the strategy that was declared.

    Args:
        declared: a strategy; the name of one, such as ``"adaptive"``; or a mapping such as
            ``{"strategy": "exponential", "base_s": 2.0, "budget": {"dependency": "openai", "share": 0.1}}``.

    Raises:
        SettingsError: no strategy has that name or field, or a figure is out of range.
    """
    if isinstance(declared, RetryStrategy):
        return declared
    if not isinstance(declared, (str, Mapping)):
        raise SettingsError(f"retry={declared!r}: write a strategy, such as ExponentialRetry(), or the name of one")
    table: dict[str, Any] = {"strategy": declared} if isinstance(declared, str) else dict(declared)
    name = str(table.pop("strategy", ""))
    kind = STRATEGIES.get(name)
    if kind is None:
        raise SettingsError(f"there is no retry strategy {name!r}{suggestion(name, STRATEGIES)}")
    if isinstance(table.get("budget"), Mapping):
        table["budget"] = _built(RetryBudget, table["budget"], f"{name}.budget")
    if "bases_s" in table:
        table["bases_s"] = tuple(table["bases_s"])
    built: RetryStrategy = _built(kind, table, name)
    return built


def _built(kind: Any, table: Mapping[str, Any], where: str) -> Any:
    known = {field.name for field in fields(kind)}
    for name in table:
        if name not in known:
            raise SettingsError(f"retry strategy {where} has no field {name!r}{suggestion(name, known)}")
    try:
        return kind(**table)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"retry strategy {where}: {error}") from error
