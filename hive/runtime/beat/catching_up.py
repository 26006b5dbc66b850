"""What becomes of due times that were not sent in time: each entry's own policy, as a pure function.

A due time that is not over for longer than ``missed_after_s`` is late, and is sent: so is what fell due while a leader was
replaced. An older one is missed, because no beat ran or the broker was away:

``none``  missed ones are left out.
``one``   the last that is due is sent, for all of them. What Celery's beat does, and the default.
``all``   each is sent, the oldest first.

Of no entry more than ``most`` are sent at once; the oldest above that are left out. What is left out is counted.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from hive.errors import InputError
from hive.runtime.beat.timing import Timing

Policy = Literal["none", "one", "all"]
POLICIES: Final = get_args(Policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchUp:
    """How an entry makes up for what it missed.

    Attributes:
        policy: see the module.
        most: due times that are sent at once, at most.

    Raises:
        InputError: there is no such policy, or ``most`` is less than 1.
    """

    policy: Policy = "one"
    most: int = 100

    def __post_init__(self) -> None:
        """Check both."""
        if self.policy not in POLICIES:
            raise InputError(f"catch_up={self.policy!r}: 'none', 'one' or 'all' is meant")
        if self.most < 1:
            raise InputError(f"catch_up_most={self.most!r}: at least 1 is meant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do about an entry now.

    Attributes:
        send: due times to send, in order.
        left_out: how many due times are not sent.
        over_ms: the last due time that is over once this is done; ``None``: nothing is due.
    """

    send: tuple[int, ...] = ()
    left_out: int = 0
    over_ms: int | None = None


def decide(timing: Timing, catch_up: CatchUp, *, fired_ms: int, now_ms: int, missed_after_ms: int) -> Decision:
    """Return what to do about an entry.

    Args:
        timing: when it is due.
        catch_up: its policy.
        fired_ms: the last due time that is over.
        now_ms: the broker's time.
        missed_after_ms: from when on a due time is missed rather than late.
    """
    dues = timing.between(fired_ms, now_ms, catch_up.most)
    if dues.first_ms is None:
        return Decision()
    missed_before_ms = now_ms - missed_after_ms
    send = dues.newest
    if dues.first_ms < missed_before_ms:
        if catch_up.policy == "one":
            send = send[-1:]
        elif catch_up.policy == "none":
            send = tuple(due_ms for due_ms in send if due_ms >= missed_before_ms)
    return Decision(send=send, left_out=dues.count - len(send), over_ms=dues.newest[-1])
