"""Agents' checkpoints as an application's processes reach them."""

from hive.checkpoints.opening import open_checkpoints
from hive.checkpoints.store import CheckpointStore
from hive.runtime.access import Access
from hive.runtime.home import Home
from hive.settings.model import Settings


def checkpoints_of(settings: Settings, access: Access) -> CheckpointStore:
    """Return the checkpoints that the settings mean, beside the broker of an application; nothing is connected yet.

    Raises:
        SettingsError: the address or the keys cannot be used, or what they need is not installed.
    """
    return open_checkpoints(settings.checkpoints, Home(settings.home).checkpoints, broker=lambda: access.store)
