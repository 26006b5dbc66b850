"""What would have happened: recorded arrivals, served by pools whose size a scaler decides.

The scaler may be hive's own, the very function that sizes live pools, or one of the stated baselines. A
:class:`~hive.simulation.station.Station` (a queue and its slots, with a speed) is the part that all scalers share;
time moves in the steps in which a scaler decides, and within a step every task starts exactly when a slot is free.
Strategies that choose between workers are compared event by event (:func:`~hive.simulation.routes.route`).

Guaranteed: the same arguments give the same outcome; a slot is paid for from its order until it has drained; no task
is stopped; a scaler is shown only what has happened. Not modelled: the broker's own time (well under the waits that
matter here), failures, memory. Within an interval of a recording arrivals are drawn uniformly, which is kinder than
timers that fire together.

This stands above ``hive.scaling`` and ``hive.routing`` because it runs what both of them decide.
"""

from hive.simulation.routes import Crew, RouteOutcome, route
from hive.simulation.run import Conditions, Outcome, simulate
from hive.simulation.scalers import CeleryAutoscaler, FixedSize, HiveScaler, ListLength, Scaler, View
from hive.simulation.station import Station
from hive.simulation.workload import ServiceTimes, Tasks, Workload

__all__ = [
    "CeleryAutoscaler",
    "Conditions",
    "Crew",
    "FixedSize",
    "HiveScaler",
    "ListLength",
    "Outcome",
    "RouteOutcome",
    "Scaler",
    "ServiceTimes",
    "Station",
    "Tasks",
    "View",
    "Workload",
    "route",
    "simulate",
]
