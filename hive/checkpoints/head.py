"""Where an agent's checkpoints stand: sealed, so that damage to it shows."""

import hashlib
from dataclasses import dataclass

from hive.database.checkpoints import StoredHead
from hive.store.checkpoints import KeptHead

_SEAL_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where an agent's checkpoints stand.

    Attributes:
        agent: whose.
        generation: of the newest checkpoint, or of the forgetting; 0: there was none yet.
        fencing_token: the newest seen; 0: none.
        is_forgotten: whether the agent was forgotten and nothing was written since.
    """

    agent: str
    generation: int = 0
    fencing_token: int = 0
    is_forgotten: bool = False

    def seal(self) -> bytes:
        """Return what shows damage to any of the fields."""
        said = f"{self.generation} {self.fencing_token} {int(self.is_forgotten)} {self.agent}"
        return hashlib.sha256(said.encode(errors="surrogatepass")).digest()[:_SEAL_BYTES]

    def stored(self, at_ms: int) -> StoredHead:
        """Return the head as a database keeps it."""
        return StoredHead(
            agent=self.agent,
            generation=self.generation,
            fencing_token=self.fencing_token,
            is_forgotten=int(self.is_forgotten),
            at_ms=at_ms,
            seal=self.seal(),
        )

    def kept(self) -> KeptHead:
        """Return the head as the broker keeps it."""
        return KeptHead(
            agent=self.agent.encode(),
            generation=str(self.generation).encode(),
            fencing_token=str(self.fencing_token).encode(),
            is_forgotten=str(int(self.is_forgotten)).encode(),
            seal=self.seal().hex().encode(),
        )


def of_stored(agent: str, stored: StoredHead) -> Head | None:
    """Return what a database keeps as the head of an agent; none: it is damaged."""
    head = Head(
        agent=agent,
        generation=stored.generation,
        fencing_token=stored.fencing_token,
        is_forgotten=stored.is_forgotten == 1,
    )
    is_whole = stored.is_forgotten in {0, 1} and head.seal() == stored.seal
    return head if is_whole else None


def of_kept(agent: str, kept: KeptHead) -> Head | None:
    """Return what the broker keeps as the head of an agent; none: it is damaged."""
    try:
        head = Head(
            agent=agent,
            generation=int(kept.generation),
            fencing_token=int(kept.fencing_token),
            is_forgotten=kept.is_forgotten == b"1",
        )
    except ValueError:
        return None
    return head if head.kept() == kept else None
