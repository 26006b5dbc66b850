"""Which dead letters are meant."""

from dataclasses import dataclass

from hive.deadletter.letter import Letter


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A filter; every part that is given must hold. Without any, all letters are meant.

    Attributes:
        ids: dead letter ids or task ids.
        reason: the short word.
        cause: text that the cause contains.
        task: name of the task.
        fingerprint: of the kind, or its beginning.
        older_than_s: at least this long ago.
        younger_than_s: at most this long ago.
    """

    ids: frozenset[str] = frozenset()
    reason: str | None = None
    cause: str | None = None
    task: str | None = None
    fingerprint: str | None = None
    older_than_s: float | None = None
    younger_than_s: float | None = None

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return self == Selection()

    def takes(self, letter: Letter) -> bool:
        """Whether a letter is meant, its age aside."""
        stored = letter.stored
        return (
            (not self.ids or stored.id in self.ids or letter.task_id in self.ids)
            and self.reason in {None, stored.reason}
            and self.task in {None, letter.task}
            and (self.cause is None or self.cause in stored.cause)
            and (self.fingerprint is None or letter.fingerprint.startswith(self.fingerprint))
        )

    def since_ms(self, now_ms: int) -> int | None:
        """Return the earliest instant a letter may be of, or ``None``."""
        return None if self.younger_than_s is None else now_ms - round(self.younger_than_s * 1000)

    def until_ms(self, now_ms: int) -> int | None:
        """Return the latest instant a letter may be of, or ``None``."""
        return None if self.older_than_s is None else now_ms - round(self.older_than_s * 1000)
