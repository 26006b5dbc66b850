"""Resources: what a host has, what its agents have booked, what they really used, and what a pool child may use.

* **The host** (:mod:`hive.resources.host`): cores, memory, disk, network, stalls. Limits of its control groups, of either
  version, count before the totals of the machine.
* **Booking** (:mod:`hive.resources.booking`): one script on the broker for each operation, so that all processes of a host
  together never book more than it has. What does not fit is refused with the numbers, and what the holder had before it keeps.
  A booking has a lease of 6 s, renewed every 1.5 s.
* **Advice** (:mod:`hive.resources.advice`): to an agent type, from the peaks of its own tasks, never from averages of a host.

==================================== ================================================================================
what fails                           what happens
==================================== ================================================================================
a process dies with bookings         they are free after six seconds
the reply of a booking is lost       it is booked, and ends with its lease unless it is asked for again
the broker is away                   nothing is booked; what is held is renewed when it is back
a process freezes with bookings      others may have the same after its lease; when it is back, both count, over the total
==================================== ================================================================================

Not guaranteed: a booking is a promise among those who book. What is used without booking is not in it; bounds are what keeps
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
