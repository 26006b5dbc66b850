"""Publishing under a guard: one task for each key, and no more messages than a queue may hold.

A message that has no guard goes the shorter way of :mod:`hive.store.publishing`.
"""

from collections.abc import Sequence

from hive.errors import QueueFull
from hive.store.caller import Caller
from hive.store.dedup import digest_of
from hive.store.guard import Admission, Admittance, Bound, Guard
from hive.store.turn import mark_of
from hive.store.values import Outgoing

_NOTHING = Guard()


class Guarding(Caller):
    """Publishes what is guarded, and takes keys back."""

    def admit(self, messages: Sequence[Outgoing]) -> list[Admission]:
        """Publish guarded messages of one queue, under the bound of the first, in one step; each guard is told.

        May be repeated after an error: what is there by the same publish, or holds its key already, is a repeat.

        Raises:
            BrokerFullError: the broker is at its memory limit; nothing was published.
            BrokerGoneError: no reply; it may have been published.
        """
        names = self.queue_keys(messages[0].queue)
        bound = (messages[0].guard or _NOTHING).bound or Bound(max_length=0)
        steps = self.layout.priority_steps
        keys = [
            *names.keys("published:0", "published:1", "counters", "wake", "scheduled", "scheduled:messages"),
            *names.keys("unique", "unique:expiry", "deaths", "deaths:expiry", "suspects", "state"),
            *names.keys("dead", "dead:records", "dead:messages", "dead:untold", "fair"),
            *names.ready,
        ]
        arguments: list[str | int | bytes] = [self.now_argument(), round(self.settings.publish_dedup_s * 1000)]
        arguments += [names.name, bound.max_length, int(bound.sheds), len(steps), *steps]
        for message in messages:
            arguments += [self.layout.step(message.priority) + 1, message.message_id]
            arguments += ["" if message.due_ms is None else message.due_ms, digest_of(message.dedup_id)]
            arguments += [*_asked(message.guard or _NOTHING), mark_of(message.fair), message.payload]
        admissions = [_admission(reply) for reply in self.call("publish_guarded", keys, *arguments)]
        for message, admission in zip(messages, admissions, strict=True):
            if message.guard is not None and message.guard.tell is not None:
                message.guard.tell(admission)
        return admissions

    def free_key(self, queue: str, digest: str, task_id: str) -> bool:
        """Take a key back from a task that will never run; false if that task does not hold it. Safe to repeat."""
        return bool(
            self.call("free_key", self.queue_keys(queue).keys("unique", "unique:expiry", "deaths"), digest, task_id)
        )


def refusal(message: Outgoing, admission: Admission) -> QueueFull | None:
    """Return the error of a message for which there was no room, or None."""
    bound = message.guard.bound if message.guard is not None else None
    if admission.kind is not Admittance.FULL or bound is None:
        return None
    return QueueFull(message.queue, admission.length, bound.max_length, bound.wait_s)


def _asked(guard: Guard) -> list[str | int]:
    wanted = guard.uniqueness
    if wanted is None:
        return ["", "", 0, 0]
    return [wanted.digest, wanted.task_id, round(wanted.within_s * 1000), int(wanted.until_done)]


def _admission(reply: Sequence[int | bytes]) -> Admission:
    kind, beside = Admittance(reply[0]), reply[1] if len(reply) > 1 else 0
    if isinstance(beside, bytes):
        return Admission(kind=kind, twin=beside.decode())
    return Admission(kind=kind, length=beside)
