"""Resources: what a host has, what its agents have booked, what they really used, and what a pool child may use.

* **The host** (:mod:`hive.resources.host`): cores, memory, disk, network, stalls. Limits of its control groups, of either
  version, count before the totals of the machine.
* **Booking** (:mod:`hive.resources.booking`): one script on the broker for each operation, so that all processes of a host
  together never book more than it has. What does not fit is refused with the numbers, and what the holder had before it keeps.
  A booking has a lease of 6 s, renewed every 1.5 s.
* **Bounds** (:mod:`hive.resources.bounds`): what one child of a prefork pool, with all processes its task has started, may
  use. The kernel refuses it more private memory (a limit that binds root too); a look at its family five times a second
  kills what is above its bound in memory or in number of processes, whole. The log, an event and the dead letter name it.
* **Use** (:mod:`hive.resources.use`): what each task and each pool child used, made of the same looks.
* **Advice** (:mod:`hive.resources.advice`): to an agent type, from the peaks of its own tasks, never from averages of a host.

==================================== ================================================================================
what fails                           what happens
==================================== ================================================================================
a process dies with bookings         they are free after six seconds
the reply of a booking is lost       it is booked, and ends with its lease unless it is asked for again
the broker is away                   nothing is booked; what is held is renewed when it is back
a process freezes with bookings      others may have the same after its lease; when it is back, both count, over the total
a task grows within one attempt      it gets a ``MemoryError`` and fails; its child goes on
its processes grow, or are many       child and family are killed: one death, and after three the task is a dead letter
a task's process leaves its parent   it bears the mark of its pool child, and is found by it
==================================== ================================================================================

Not guaranteed: memory that several processes share and no limit counts can grow for up to one look past the bound. A process
that lifts its own limits, with the privilege to, and then leaves its parent within one look is not found. Pools of threads
and coroutines have no bounds: their tasks share one process.

Not guaranteed either: a booking is a promise among those who book. What is used without booking is not in it; bounds are what keeps
a task within what it may use.
"""

from hive.resources.advice import Advice, Change, TaskUse, advise
from hive.resources.booking import BookingRefused, Bookings
from hive.resources.host import Host, Pressure, host_name, read_host

__all__ = [
    "Advice",
    "BookingRefused",
    "Bookings",
    "Change",
    "Host",
    "Pressure",
    "TaskUse",
    "advise",
    "host_name",
    "read_host",
]
