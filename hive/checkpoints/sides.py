"""What writing and reading of checkpoints share."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hive.checkpoints.cache import Cache
from hive.checkpoints.checkpoint import Damage
from hive.checkpoints.encryption import Keyring
from hive.checkpoints.schema import StateSchema
from hive.clock import Clock
from hive.database.checkpoints import CheckpointDatabase, FaultPoint
from hive.errors import InputError
from hive.settings.agent_state import CheckpointSettings

logger = logging.getLogger(__name__)

NAME_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """The two sides of a store, and how it uses them.

    Attributes:
        database: what counts.
        cache: the broker beside it.
        settings: retention and compression.
        keyring: of encryption; none: nothing is encrypted.
        schema: of states, where a call names no other.
        clock: of this host.
        on_damage: told of damage, beside the log.
        at: a test's fault points.
    """

    database: CheckpointDatabase
    cache: Cache
    settings: CheckpointSettings
    keyring: Keyring | None
    schema: StateSchema | None
    clock: Clock
    on_damage: Callable[[Damage], None] | None
    at: FaultPoint

    def report(self, damaged: Iterable[Damage]) -> None:
        """Tell of damage: in the log, and whoever asked to be told."""
        for damage in damaged:
            which = "head" if damage.generation is None else f"generation {damage.generation}"
            logger.error(
                "checkpoint of agent %r: %s in the %s: %s", damage.agent, which, damage.source.value, damage.reason
            )
            if self.on_damage is not None:
                self.on_damage(damage)


def check_names(agent: str, label: str | None) -> None:
    """Raise ``InputError`` unless both can be names: text without NUL of 1 to 1,024 bytes."""
    for what, name in (("an agent", agent), ("a label", label)):
        if name is None:
            continue
        try:
            size_bytes = len(name.encode())
        except UnicodeEncodeError as error:
            raise InputError(f"{what} must be named by text that UTF-8 can hold: {name!r}") from error
        if not 0 < size_bytes <= NAME_BYTES or "\0" in name:
            raise InputError(f"{what} must have a name of 1 to {NAME_BYTES} bytes without NUL, not {name[:40]!r}")
