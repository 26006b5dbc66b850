"""Agents' checkpoints as an application's processes reach them."""

import logging
from typing import Any

from kombu.exceptions import OperationalError

from hive.checkpoints.checkpoint import Damage
from hive.checkpoints.opening import open_checkpoints
from hive.checkpoints.store import CheckpointStore
from hive.errors import BrokerError
from hive.runtime.home import Home
from hive.telemetry.events import CheckpointDamaged, fields_of

logger = logging.getLogger(__name__)


def checkpoints_of(app: Any) -> CheckpointStore:
    """Return the checkpoints that an application's settings mean, beside its broker; nothing is connected yet.

    Damage is an event, besides what the log and the reader are told.

    Raises:
        SettingsError: the address or the keys cannot be used, or what they need is not installed.
    """
    return open_checkpoints(
        app.settings.checkpoints,
        Home(app.settings.home).checkpoints,
        broker=lambda: app.access.store,
        on_damage=lambda damage: _send(app, damage),
    )


def _send(app: Any, damage: Damage) -> None:
    event = CheckpointDamaged(
        agent=damage.agent, source=damage.source.value, generation=damage.generation, reason=damage.reason
    )
    try:
        with app.events.default_dispatcher() as dispatcher:
            dispatcher.send(event.name, **fields_of(event))
    except (OperationalError, BrokerError, OSError) as error:
        # The log has it already; a broker that is away must not keep the reader from the state.
        logger.warning("nobody hears of damage to agent %r: %s", damage.agent, error)
