"""Versions of a state's schema, and how an older state becomes a newer one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hive.errors import CheckpointSchemaError, InputError

#: Takes a state of one version and returns it in the next.
Upgrade = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSchema:
    """What a program knows of the states it writes and reads.

    Attributes:
        version: it writes.
        upgrades: by version, what makes a state of that version one of the next.

    Raises:
        InputError: a step is missing between two versions that have one.

    Example:
        >>> StateSchema(version=2, upgrades={1: lambda state: {"messages": state}}).upgraded("a", 1, [])
        {'messages': []}
    """

    version: int = 1
    upgrades: Mapping[int, Upgrade] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first = min(self.upgrades, default=self.version)
        if sorted(self.upgrades) != list(range(first, self.version)):
            raise InputError(
                f"a schema of version {self.version} needs upgrades from {first} to {self.version - 1} without gaps; "
                f"there are {sorted(self.upgrades)}"
            )

    def upgraded(self, agent: str, version: int, state: Any) -> Any:
        """Return a state in this version.

        Raises:
            CheckpointSchemaError: it is newer, there is no way from its version, or an upgrade fails.
        """
        if version > self.version:
            raise CheckpointSchemaError(
                agent, f"its state has schema version {version}, and this program knows {self.version}: upgrade it"
            )
        for step in range(version, self.version):
            if step not in self.upgrades:
                raise CheckpointSchemaError(agent, f"there is no upgrade of its state from schema version {step}")
            try:
                state = self.upgrades[step](state)
            except Exception as error:  # the user's function may raise anything
                raise CheckpointSchemaError(
                    agent, f"the upgrade from schema version {step} failed: {error!r}"
                ) from error
        return state
