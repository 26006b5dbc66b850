"""Settings of the baselines: as they come, and those worth trying when one is tuned."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

from hive.simulation.scalers import CeleryAutoscaler, FixedSize, ListLength, Scaler

CELERY, KEDA, FIXED = "Celery", "KEDA", "fixed"

#: Celery: seconds of keepalive.
KEEPALIVES_S = (5.0, 10.0, 30.0, 120.0)
#: KEDA: messages for each slot, polling interval, window of the pod autoscaler, whether running tasks are counted.
TARGETS, POLLS_S, WINDOWS_S, COUNTS_RUNNING = (0.5, 1.0, 2.0, 5.0, 20.0), (5.0,), (30.0, 300.0), (False, True)
#: Fixed size: multiples of the mean demand, and of its square root.
TIMES, ROOTS = (1.0, 1.5, 2.0, 3.0, 5.0, 10.0), (0, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """One setting of one kind of scaler.

    Attributes:
        kind: of scaler.
        setting: in words.
        make: returns a fresh scaler for one run.
    """

    kind: str
    setting: str
    make: Callable[[], Scaler]


def stock(minimum: int, maximum: int, demand: float) -> list[Baseline]:
    """Return each kind once, as it comes: Celery's and KEDA's defaults, and a size with some slots to spare.

    Args:
        minimum: fewest slots of what scales.
        maximum: most slots.
        demand: mean busy slots of the recording; the fixed size is told it.
    """
    return [
        _celery(minimum, maximum, 30.0),
        _keda(minimum, maximum, 5.0, 30.0, 300.0, counts_running=False),
        _fixed(maximum, demand, 1.0, 2),
    ]


def candidates(minimum: int, maximum: int, demand: float) -> list[Baseline]:
    """Return every setting that is tried when the baselines are tuned; arguments as of :func:`stock`."""
    return [
        *(_celery(minimum, maximum, keepalive_s) for keepalive_s in KEEPALIVES_S),
        *(
            _keda(minimum, maximum, target, every_s, window_s, counts_running=counts)
            for target, every_s, window_s, counts in product(TARGETS, POLLS_S, WINDOWS_S, COUNTS_RUNNING)
        ),
        *(_fixed(maximum, demand, times, roots) for times, roots in product(TIMES, ROOTS)),
    ]


def _celery(minimum: int, maximum: int, keepalive_s: float) -> Baseline:
    setting = f"autoscale={maximum},{minimum} keepalive {keepalive_s:g} s"
    return Baseline(kind=CELERY, setting=setting, make=lambda: CeleryAutoscaler(minimum, maximum, keepalive_s))


def _keda(
    minimum: int, maximum: int, target: float, every_s: float, window_s: float, *, counts_running: bool
) -> Baseline:
    of_what = "listed and running" if counts_running else "listed"
    setting = f"{target:g} {of_what} a slot, every {every_s:g} s, window {window_s:g} s"

    def make() -> Scaler:
        return ListLength(minimum, maximum, target, every_s, window_s, counts_running=counts_running)

    return Baseline(kind=KEDA, setting=setting, make=make)


def _fixed(maximum: int, demand: float, times: float, roots: int) -> Baseline:
    slots = min(maximum, max(1, math.ceil(times * demand + roots * math.sqrt(demand))))
    setting = f"{times:g} x demand + {roots} x its root"
    return Baseline(kind=FIXED, setting=setting, make=lambda: FixedSize(slots=slots))
