"""Moving checkpoints to the first key, one by one, while others write and read."""

from hive.checkpoints.checkpoint import Damage
from hive.checkpoints.durable import checked
from hive.checkpoints.record import built, unpacked
from hive.checkpoints.sides import Sides
from hive.database.checkpoints import StoredCheckpoint


def reencrypted(sides: Sides, agent: str) -> int:
    """Move the checkpoints of an agent to the first key; those that have it stay as they are, damaged ones too.

    Returns:
        How many were moved. Killed anywhere, each was moved or not, and a repeat moves the rest.

    Raises:
        CheckpointKeyError: one is encrypted with a key that is not there.
        DatabaseError: the database cannot be used.
    """
    first = sides.keyring.first if sides.keyring else None
    moved = 0
    for listed in sides.database.headers(agent):
        row = sides.database.one(agent, listed.generation)
        valid = checked(agent, row) if row is not None else None
        if isinstance(valid, Damage):
            sides.report([valid])
            continue
        if row is None or valid is None or valid.header.info.key_id == first:
            continue
        header, body = built(unpacked(valid.header, valid.body, sides.keyring), valid.header.info, sides.keyring)
        replaced = StoredCheckpoint(
            agent=agent,
            generation=row.generation,
            at_ms=row.at_ms,
            label=row.label,
            is_pinned=row.is_pinned,
            header=header.sealed(),
            body=body,
        )
        moved += sides.database.replace(replaced, expected_header=row.header)
    if moved:
        # The broker has it under the old key.
        sides.cache.drop(agent)
    return moved
