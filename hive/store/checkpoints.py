"""Agents' newest checkpoints, kept on the broker beside the database that has them all."""

import hashlib
import secrets
from dataclasses import dataclass

from hive.store.caller import Caller
from hive.store.faults import translated

_FIELDS = ("agent", "generation", "fencing_token", "is_forgotten", "seal")

#: Seconds a record that was sent stays, if its sender dies before it is kept.
STAGED_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptHead:
    """Where an agent's checkpoints stand, as it lies on the broker, so nothing in it is certain.

    Attributes:
        agent: whose.
        generation: of the newest checkpoint, or of the forgetting.
        fencing_token: the newest seen.
        is_forgotten: 1 if the agent was forgotten and nothing was written since, else 0.
        seal: over all the others.
    """

    agent: bytes
    generation: bytes
    fencing_token: bytes
    is_forgotten: bytes
    seal: bytes


class Checkpoints(Caller):
    """Keeps one checkpoint of each agent; all of it may be lost at any time."""

    def keep_checkpoint(self, head: KeptHead, record: bytes, *, head_s: float, record_s: float) -> bool:
        """Keep a checkpoint that the database has; false if a newer one is there. Safe to repeat.

        The record is sent by itself and then put in its place: a script that has it for an argument copies it three times.

        Args:
            head: says which it is.
            record: the checkpoint; empty: only the head is kept.
            head_s: seconds the head is kept.
            record_s: seconds the record is kept.

        Raises:
            BrokerGoneError: no reply; it may have been kept.
            BrokerFullError: no room for it.
        """
        staged = self.layout.shared(_tag(head.agent), "staged", secrets.token_hex(8))
        if record:
            with translated("keep_checkpoint"):
                self.client.execute_command("SET", staged, record, "PX", str(STAGED_S * 1000))
        values = (head.agent, head.generation, head.fencing_token, head.is_forgotten, head.seal)
        times = (round(head_s * 1000), round(record_s * 1000) if record else 0)
        return bool(self.call("keep_checkpoint", [*self._checkpoint_keys(head.agent), staged], *values, *times))

    def checkpoint_head(self, agent: str) -> KeptHead | None:
        """Return the head of an agent.

        Raises:
            BrokerGoneError: no reply.
        """
        with translated("checkpoint_head"):
            return _head(self.client.hmget(self._checkpoint_keys(agent.encode())[0], _FIELDS))

    def checkpoint(self, agent: str) -> tuple[KeptHead | None, bytes | None]:
        """Return head and record of an agent, in one round trip.

        Raises:
            BrokerGoneError: no reply.
        """
        head, record = self._checkpoint_keys(agent.encode())
        with translated("checkpoint"), self.client.pipeline(transaction=False) as pipeline:
            pipeline.hmget(head, _FIELDS)
            pipeline.get(record)
            fields, found = pipeline.execute()
        return _head(fields), found

    def drop_checkpoint(self, agent: str) -> None:
        """Remove what is kept of an agent. Safe to repeat.

        Raises:
            BrokerGoneError: no reply.
        """
        with translated("drop_checkpoint"):
            self.client.unlink(*self._checkpoint_keys(agent.encode()))

    def _checkpoint_keys(self, agent: bytes) -> tuple[str, str]:
        tag = _tag(agent)
        return self.layout.shared(tag, "head"), self.layout.shared(tag, "record")


def _tag(agent: bytes) -> str:
    # An agent may have any name, braces included.
    return f"checkpoint:{hashlib.sha256(agent).hexdigest()[:32]}"


def _head(fields: list[bytes | None]) -> KeptHead | None:
    if all(field is None for field in fields):
        return None
    agent, generation, token, is_forgotten, seal = (field or b"" for field in fields)
    return KeptHead(agent=agent, generation=generation, fencing_token=token, is_forgotten=is_forgotten, seal=seal)
