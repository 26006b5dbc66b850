"""Checkpoints: the state of agents, which outlives their tasks, their workers and the broker.

To be written.
"""

from hive.checkpoints.checkpoint import Checkpoint, CheckpointInfo, Damage, Kind, Listing, Source
from hive.checkpoints.opening import open_checkpoints
from hive.checkpoints.schema import StateSchema
from hive.checkpoints.store import CheckpointStore

__all__ = [
    "Checkpoint",
    "CheckpointInfo",
    "CheckpointStore",
    "Damage",
    "Kind",
    "Listing",
    "Source",
    "StateSchema",
    "open_checkpoints",
]
