"""The durable side: what a database has of an agent, checked."""

from dataclasses import dataclass

from hive.checkpoints.checkpoint import Damage, Source
from hive.checkpoints.head import Head, of_stored
from hive.checkpoints.record import DamagedError, Header, check_body, header_of
from hive.database.checkpoints import CheckpointDatabase, StoredCheckpoint, StoredHead

#: A damaged column may hold any number; no agent has that many checkpoints.
_MOST_GENERATIONS = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where an agent's checkpoints stand in the database.

    Attributes:
        stored: the head as it lies there, which the next write replaces; none: there is none.
        head: what it says; if it is damaged, what the checkpoints themselves say.
        damaged: the head, if it is.
    """

    stored: StoredHead | None
    head: Head
    damaged: tuple[Damage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Valid:
    """A checkpoint whose header and body are as they were written.

    Attributes:
        header: what is known of it.
        sealed: the header as it lies there.
        body: the state, compressed, perhaps encrypted.
    """

    header: Header
    sealed: bytes
    body: bytes


def standing(database: CheckpointDatabase, agent: str) -> Standing:
    """Return where an agent's checkpoints stand.

    Raises:
        DatabaseError: the database cannot be read.
    """
    stored = database.head(agent)
    head = of_stored(agent, stored) if stored is not None else None
    if head is not None:
        return Standing(stored=stored, head=head)
    rows = database.headers(agent)
    if stored is None and not rows:
        return Standing(stored=None, head=Head(agent=agent))
    # The first checkpoint of an agent may have come between the two looks.
    again = database.head(agent)
    if again != stored:
        return standing(database, agent)
    reason = (
        "the entry that says which checkpoint is the newest is missing"
        if stored is None
        else ("the entry that says which checkpoint is the newest does not have the digest it was written with")
    )
    damage = Damage(agent=agent, source=Source.DATABASE, generation=None, reason=reason)
    return Standing(stored=stored, head=_rebuilt(agent, rows), damaged=(damage,))


def _rebuilt(agent: str, rows: list[StoredCheckpoint]) -> Head:
    generation = token = 0
    for row in rows:
        if row.generation < _MOST_GENERATIONS:
            generation = max(generation, row.generation)
        try:
            info = header_of(row.header, agent).info
        except DamagedError:
            continue
        generation, token = max(generation, info.generation), max(token, info.fencing_token or 0)
    return Head(agent=agent, generation=generation, fencing_token=token)


def checked(agent: str, row: StoredCheckpoint) -> Valid | Damage:
    """Return a checkpoint of the database if it is valid, else what is wrong with it."""
    try:
        header = header_of(row.header, agent, row.generation)
        check_body(header, row.body)
    except DamagedError as error:
        return Damage(agent=agent, source=Source.DATABASE, generation=row.generation, reason=str(error))
    return Valid(header=header, sealed=row.header, body=row.body)
