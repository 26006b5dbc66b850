"""What hive learns about load: how many will arrive, and how long they will take. Pure and online.

:class:`ArrivalForecaster` is fed the number of arrivals of each interval and says what the coming ones will bring, with
an interval around it. It is an ensemble: last value, medians, exponential smoothing, seasonal naive and Holt-Winters,
over seasons known (day, week, hour) and one it finds itself, weighted by their late errors for each horizon apart.
:class:`IdlenessForecaster` says how likely nobody needs an agent in the coming half hour (``benchmarks/idleness.py``).
:class:`QuantileSketch` holds service times in bounded memory with a bounded relative error.

Guaranteed: one update costs the same however long the series is, memory is bounded, nothing here reads a clock, a
file or the network, and the same values give the same forecasts. Not promised: to foresee what has no precedent; an
interval around a forecast holds on average, not after a sudden change. ``hive forecast`` shows what it is worth on a
series; ``benchmarks/forecast.py`` on many, beside libraries.
"""

from hive.learning.arrivals import ArrivalForecaster
from hive.learning.backtest import Backtest, HorizonScore, backtest
from hive.learning.ensemble import Ensemble, Forecast, Weighing
from hive.learning.idleness import IdleChance, IdlenessForecaster
from hive.learning.quantiles import QuantileSketch
from hive.learning.series import Series, busiest, read_series

__all__ = [
    "ArrivalForecaster",
    "Backtest",
    "Ensemble",
    "Forecast",
    "HorizonScore",
    "IdleChance",
    "IdlenessForecaster",
    "QuantileSketch",
    "Series",
    "Weighing",
    "backtest",
    "busiest",
    "read_series",
]
