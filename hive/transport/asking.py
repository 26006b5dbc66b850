"""The claims of a consumer whose replies have not arrived."""

from collections.abc import Sequence
from dataclasses import dataclass

from hive.store.pipelining import Call
from hive.transport.held import Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """A claim that is sent along with a wait for a token: the broker carries it out as soon as the wait ends.

    Attributes:
        asked: the claim.
        call: how it is sent and read.
    """

    asked: Asked
    call: Call


class Asking:
    """Numbers the claims of one life of a consumer, and knows which are open.

    One whose reply was lost is repeated before any other. One that was sent ahead is not: what it took, or will yet, goes
    back, because nobody can tell when its wait ends.
    """

    def __init__(self) -> None:
        #: The claim that is asked, or to be repeated because its reply was lost.
        self.asked: Asked | None = None
        #: The claim that stands behind a wait.
        self.ahead: Asked | None = None
        #: Queues of claims behind waits whose replies will not be read.
        self.forgone: frozenset[str] = frozenset()
        self._sequence = 0

    @property
    def completed(self) -> int:
        """The last claim up to which no reply is still to come."""
        return min((asked.sequence for asked in (self.asked, self.ahead) if asked), default=self._sequence + 1) - 1

    @property
    def queues(self) -> set[str]:
        """The queues of open claims."""
        return {queue for asked in (self.asked, self.ahead) if asked for queue in asked.queues}

    def ask(self, queues: Sequence[str], credit: int, *, idle: bool) -> Asked:
        """Return the claim to be made: a new one, or the last one word for word if its reply was lost."""
        if self.asked is None:
            self.asked = self._next(queues, credit, idle=idle)
            self._sequence = self.asked.sequence
        return self.asked

    def ask_ahead(self, queues: Sequence[str], credit: int, *, idle: bool) -> Asked | None:
        """Return a claim to be sent along with a wait; None while another is open, or not yet given up."""
        if self.asked is not None or self.ahead is not None or self.forgone:
            return None
        self.ahead = self._next(queues, credit, idle=idle)
        self._sequence = self.ahead.sequence
        return self.ahead

    def answered(self, asked: Asked) -> bool:
        """Note that the reply to a claim has arrived; false if it is not open."""
        if asked is self.asked:
            self.asked = None
        elif asked is self.ahead:
            self.ahead = None
        else:
            return False
        return True

    def forgo(self, asked: Asked) -> None:
        """Note that the reply to a claim behind a wait will not be read. A repeat does nothing."""
        if asked is self.ahead:
            self.ahead, self.forgone = None, self.forgone | set(asked.queues)

    def _next(self, queues: Sequence[str], credit: int, *, idle: bool) -> Asked:
        return Asked(queues=tuple(queues), sequence=self._sequence + 1, credit=credit, idle=idle)
