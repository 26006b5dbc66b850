"""What hive's forecasts of arrivals are worth beside naive ones, and beside a library's.

    python benchmarks/forecast.py [--data DIR] [--apps N] [--jobs N] [--libraries] [--output FILE]

Over every arrival series of the NAB sets (requests, mentions, passengers) and the busiest applications of the Azure
Functions 2019 sets, under ``HIVE_DATA_DIR``. Each step is forecast from its past alone; the first half of a series
chooses a model, the second judges it (``hive/learning/backtest.py`` says how). Printed per horizon: the error over that
of the better naive forecast, geometric mean and quartiles over the series, for the model chosen for each series and
for the ensemble alone. `day` compares with a seasonal naive forecast over a day (an hour where the series is too short
for that), `found` with one whose season was found on the first half, which is far harder to beat.

With --libraries, which needs statsforecast (not among hive's dependencies; install it beside), its AutoETS and dynamic
optimised Theta are fitted on the first half with the found season and forecast from 40 moments of the second, and so does
hive; the ratio is library over hive, above 1 is in hive's favour, with the 90 % interval of a bootstrap over series.
Prints one JSON record; nothing in it is random but the bootstrap, whose seed is fixed.
"""

import argparse
import gzip
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from hive.learning.arrivals import ArrivalForecaster  # noqa: E402
from hive.learning.backtest import FLOOR, HORIZONS, Backtest, backtest, geometric_mean  # noqa: E402
from hive.learning.series import Series, busiest, read_series  # noqa: E402

NAB = ("realTweets/*.csv.gz", "realAWSCloudwatch/elb_request_count_*.csv.gz", "realKnownCause/nyc_taxi.csv.gz")
AZURE = "azure-functions-2019/apps1000_invocations_per_minute.csv.gz"
ORIGINS = 40


def recorded(data: Path, apps: int) -> list[Series]:
    """Read every series that is judged."""
    found = []
    for pattern in NAB:
        for path in sorted((data / "nab").glob(pattern)):
            with gzip.open(path, "rt") as lines:
                found += read_series(lines, path.name.removesuffix(".csv.gz"))
    with gzip.open(data / AZURE, "rt") as lines:
        return found + busiest(read_series(lines, "azure"), apps)


def found_season(series: Series) -> int:
    """Return the season that the forecaster finds on the first half."""
    forecaster = ArrivalForecaster(series.seasons)
    for value in series.values[: len(series.values) // 2]:
        forecaster.update(value)
    return forecaster.season


def tested(series: Series) -> tuple[Backtest, Backtest]:
    """Back-test against the naive season of the calendar, and against the one found on the first half."""
    return backtest(series), backtest(series, naive_season=found_season(series))


def summary(tests: list[Backtest]) -> dict[str, Any]:
    """Return ratios per horizon."""
    found = {}
    for place, horizon in enumerate(HORIZONS):
        scores = [test.scores[place] for test in tests]
        found[str(horizon)] = {
            "chosen": spread([score.ratio for score in scores]),
            "ensemble": spread([score.ensemble_ratio for score in scores]),
            "within_90_percent_interval": round(statistics.fmean(score.coverage for score in scores), 3),
        }
    return found


def spread(ratios: list[float]) -> dict[str, Any]:
    """Return geometric mean and quartiles."""
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "geometric_mean": round(geometric_mean(ratios), 3),
        "quartiles": [round(one, 3) for one in (low, middle, high)],
    }


def library_models(season: int) -> dict[str, Callable[[], Any]]:
    """Return makers of the library's models."""
    from statsforecast.models import AutoETS, DynamicOptimizedTheta  # noqa: PLC0415 - only when it is asked for

    return {
        "AutoETS": lambda: AutoETS(season_length=season),
        "DynamicOptimizedTheta": lambda: DynamicOptimizedTheta(season_length=season),
    }


def beside_library(series: Series) -> dict[str, dict[int, float]]:
    """Return library error over hive's for each model and horizon, from the same moments of the second half."""
    import numpy  # noqa: ICN001, PLC0415 - what the library takes

    values, middle, season = series.values, len(series.values) // 2, found_season(series)
    origins = [middle + (len(values) - 32 - middle) * number // (ORIGINS - 1) for number in range(ORIGINS)]
    ours: dict[int, list[float]] = {horizon: [] for horizon in HORIZONS}
    forecaster = ArrivalForecaster(series.seasons)
    for now, value in enumerate(values):
        forecaster.update(value)
        if now in origins:
            for horizon in HORIZONS:
                ours[horizon].append(abs(forecaster.forecast(horizon).value - values[now + horizon]))
    floor = FLOOR * statistics.fmean(map(abs, values[middle:])) or FLOOR
    kept = max(10 * season, 200)
    found: dict[str, dict[int, float]] = {}
    for name, make in library_models(season).items():
        model = make().fit(numpy.array(values[max(0, middle - kept) : middle]))
        theirs: dict[int, list[float]] = {horizon: [] for horizon in HORIZONS}
        for origin in origins:
            past = numpy.array(values[max(0, origin + 1 - kept) : origin + 1])
            said = model.forward(past, h=max(HORIZONS))["mean"]
            for horizon in HORIZONS:
                theirs[horizon].append(abs(max(0.0, float(said[horizon - 1])) - values[origin + horizon]))
        found[name] = {
            horizon: max(floor, statistics.fmean(theirs[horizon])) / max(floor, statistics.fmean(ours[horizon]))
            for horizon in HORIZONS
        }
    return found


def beside_libraries(chosen: list[Series], jobs: int) -> dict[str, Any]:
    """Compare with every model of the library."""
    with multiprocessing.Pool(jobs) as pool:
        rows = pool.map(beside_library, [one for one in chosen if found_season(one) <= 300], chunksize=1)
    return {
        name: {str(horizon): bootstrapped([row[name][horizon] for row in rows]) for horizon in HORIZONS}
        for name in rows[0]
    }


def bootstrapped(ratios: list[float]) -> dict[str, Any]:
    """Return the geometric mean with the interval of 1,000 draws of as many series."""
    source = random.Random(1)
    means = sorted(geometric_mean(source.choices(ratios, k=len(ratios))) for _ in range(1_000))
    return {
        "series": len(ratios),
        "library_over_hive": round(geometric_mean(ratios), 3),
        "interval": [round(means[50], 3), round(means[949], 3)],
    }


def main() -> None:
    """Back-test, and print the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("HIVE_DATA_DIR", ROOT.parent / "shared/data")))
    parser.add_argument("--apps", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--libraries", action="store_true")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    chosen, began_s = recorded(options.data, options.apps), time.perf_counter()
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    record: dict[str, Any] = {"commit": commit.stdout.strip() or None, "series": len(chosen), "apps": options.apps}
    if options.libraries:
        record["libraries"] = beside_libraries(chosen, options.jobs)
    else:
        with multiprocessing.Pool(options.jobs) as pool:
            tests = pool.map(tested, chosen, chunksize=1)
        record |= {
            "against_day": summary([day for day, _ in tests]),
            "against_found": summary([found for _, found in tests]),
            "exact_or_better": sum(day.scores[0].ensemble_ratio <= 1.0 for day, _ in tests),
        }
    record["seconds"] = round(time.perf_counter() - began_s, 1)
    text = json.dumps(record, indent=2)
    if options.output:
        options.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
