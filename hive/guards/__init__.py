"""Guards: what must agree before a task takes a slot, and what it gets where one says no.

A guard answers run, wait or refuse (:class:`~hive.guards.guard.Guard`). The worker asks a task's guards after its message
was read and before it takes a slot (:mod:`hive.runtime.admission`): one that must wait goes back to the scheduled set of
the broker, uses no attempt and holds no slot meanwhile.
"""

from hive.guards.fallback import Default, Fallback, LastGood, OtherAgent
from hive.guards.guard import RUN, Answer, Guard, GuardedCall, Verdict

__all__ = ["RUN", "Answer", "Default", "Fallback", "Guard", "GuardedCall", "LastGood", "OtherAgent", "Verdict"]
