"""All agent types of an application by name."""

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any

from pydantic import ValidationError

from hive.agents.builtin import BUILTIN, FALLBACK
from hive.agents.types import AgentType
from hive.errors import SettingsError, UnknownAgentTypeError, suggestion

#: Entry point group under which an installed package names an AgentType, or a tuple of them.
ENTRY_POINTS = "hive.agent_types"


class Registry(Mapping[str, AgentType]):
    """Agent types by name, in the order they were declared.

    Args:
        types: the types; the fallback must be among them.

    Raises:
        SettingsError: two types share a name, or the fallback is missing.
    """

    def __init__(self, types: Iterable[AgentType]) -> None:
        self._types: dict[str, AgentType] = {}
        for agent_type in types:
            if agent_type.name in self._types:
                raise SettingsError(f"the agent type {agent_type.name!r} is declared twice")
            self._types[agent_type.name] = agent_type
        if FALLBACK not in self._types:
            raise SettingsError(f"the fallback agent type {FALLBACK!r} is missing")

    def __getitem__(self, name: str) -> AgentType:
        return self._types[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    @property
    def fallback(self) -> AgentType:
        """The type that takes what no other takes."""
        return self._types[FALLBACK]

    def require(self, name: str, task: str | None = None) -> AgentType:
        """Return the type called ``name``.

        Raises:
            UnknownAgentTypeError: nobody declared it; the sentence names the nearest one, and ``task`` if given.
        """
        if name not in self._types:
            raise UnknownAgentTypeError(name, self._types, task)
        return self._types[name]


def load_registry(changes: Mapping[str, Mapping[str, Any]] | None = None) -> Registry:
    """Collect the agent types of hive, of installed packages and of the settings.

    Args:
        changes: the ``agents`` table of the settings: a new type, or changed fields of a known one.

    Raises:
        SettingsError: a declaration is malformed, or two packages declare the same name.
    """
    known = {agent_type.name: agent_type for agent_type in BUILTIN}
    for entry in entry_points(group=ENTRY_POINTS):
        for agent_type in _declared(entry.name, entry.load()):
            if agent_type.name in known:
                raise SettingsError(f"entry point {entry.name!r} declares {agent_type.name!r} a second time")
            known[agent_type.name] = agent_type
    for name, fields in (changes or {}).items():
        known[name] = _changed(name, known.get(name), fields)
    return Registry(known.values())


def _declared(source: str, found: Any) -> tuple[AgentType, ...]:
    types = (found,) if isinstance(found, AgentType) else found
    if not isinstance(types, (tuple, list)) or not all(isinstance(item, AgentType) for item in types):
        raise SettingsError(f"entry point {source!r} of group {ENTRY_POINTS} must be an AgentType or a tuple of them")
    return tuple(types)


def _changed(name: str, known: AgentType | None, fields: Mapping[str, Any]) -> AgentType:
    for field in fields:
        if field not in AgentType.model_fields or field == "name":
            raise SettingsError(
                f"agents.{name}.{field} is no field of an agent type{suggestion(field, AgentType.model_fields)}"
            )
    base = known.model_dump() if known else {}
    try:
        return AgentType.model_validate({**base, **fields, "name": name})
    except ValidationError as exc:
        problems = "; ".join(
            f"{'.'.join(map(str, error['loc'])) or name}: {error['msg'].removeprefix('Value error, ')}"
            for error in exc.errors(include_url=False)
        )
        raise SettingsError(f"agents.{name}: {problems}") from exc
