"""How many slots keep waits short while arrivals come at random.

Erlang's formula for the share of tasks that have to wait (Erlang, "Solution of some problems in the theory of
probabilities of significance in automatic telephone exchanges", 1917), by the usual recursion, and the exponential tail
of their waits.

Warning: arrivals in clumps wait longer than it says. Service times that are not exponential enter only through the
pace at which slots come free, an approximation in the manner of Allen and Cunneen.
"""

import math


def least_slots(demand: float, pace_s: float, target_wait_s: float, late_share: float, most: int) -> int:
    """Return the fewest slots with which few enough tasks wait for longer than the target.

    Args:
        demand: mean busy slots: arrivals a second times mean service time in seconds.
        pace_s: time in which a busy slot comes free, in seconds; see :func:`pace`.
        target_wait_s: the wait that may be exceeded by ``late_share`` of the tasks.
        late_share: that share, above 0.
        most: slots that are tried at most; returned where they do not suffice. Each costs a step.
    """
    if demand <= 0.0:
        return 0
    if demand >= most:
        return most
    blocked = 1.0
    for slots in range(1, int(demand) + 1):
        offered = demand * blocked
        blocked = offered / (slots + offered)
    for slots in range(int(demand) + 1, most + 1):
        offered = demand * blocked
        blocked = offered / (slots + offered)
        waiting = slots * blocked / (slots - demand * (1.0 - blocked))
        if waiting * math.exp(-(slots - demand) * target_wait_s / pace_s) <= late_share:
            return slots
    return most


def pace(mean_s: float, high_s: float | None) -> float:
    """Return the time in which a busy slot comes free, from the mean and the 95 % quantile of service times.

    It is the mean for exponential times, whose quantile is three times that, two thirds of it for times that are all
    alike, and more for heavy tails.
    """
    if high_s is None:
        return mean_s
    return (mean_s + high_s / 3.0) / 2.0
