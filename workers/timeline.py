"""The timeline of a review: which slot of which pool ran what, and when."""

from collections.abc import Sequence
from dataclasses import dataclass

from workers.report import Examined, Report

#: Height of a slot's lane and of the room between two pools, in units of the picture.
LANE = 18.0
GAP = 8.0

#: Room for the pools' names on the left and for the axis above.
LEFT = 170.0
TOP = 24.0

#: Room on the right, so that the last tick's label is not cut off.
RIGHT = 24.0

#: Steps between two ticks, in seconds, of which the first that gives at most this many ticks is taken.
TICK_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21600, 86400)
MAX_TICKS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One step that ran.

    Attributes:
        x, y, width: in units of the picture.
        step: what ran.
        after_s: seconds from the first start to its own.
        took_s: seconds it took.
    """

    x: float
    y: float
    width: float
    step: Examined
    after_s: float
    took_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The lanes of one agent type.

    Attributes:
        agent: its name.
        y, height: in units of the picture.
        slots: how many processes took part.
        busy_s: seconds they worked, together.
    """

    agent: str
    y: float
    height: float
    slots: int
    busy_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark on the axis."""

    x: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The picture."""

    width: float
    height: float
    pools: tuple[Pool, ...]
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]


def timeline(report: Report, width: float) -> Timeline:
    """Return the picture of all steps that ran; one without pools if none did."""
    ran = [(step, step.run) for step in report.steps if step.run]
    if not ran:
        return Timeline(width=width, height=0, pools=(), bars=(), ticks=())
    first_ms = min(run.started_at_ms for _, run in ran)
    span_ms = max(max(run.finished_at_ms for _, run in ran) - first_ms, 1)
    scale = (width - LEFT - RIGHT) / span_ms
    pools: list[Pool] = []
    bars: list[Bar] = []
    y = TOP
    for agent in report.agents:
        mine = [step for step, _ in ran if step.agent == agent]
        slots = sorted({(step.run.worker, step.run.pid) for step in mine if step.run})
        for step in mine:
            if step.run:
                took_ms = step.run.finished_at_ms - step.run.started_at_ms
                bars.append(
                    Bar(
                        x=round(LEFT + (step.run.started_at_ms - first_ms) * scale, 1),
                        y=y + slots.index((step.run.worker, step.run.pid)) * LANE,
                        width=round(max(took_ms * scale - 0.5, 1.5), 1),
                        step=step,
                        after_s=(step.run.started_at_ms - first_ms) / 1000,
                        took_s=took_ms / 1000,
                    )
                )
        height = max(len(slots), 1) * LANE
        busy_s = sum(bar.took_s for bar in bars if bar.step.agent == agent)
        pools.append(Pool(agent=agent, y=y, height=height, slots=len(slots), busy_s=busy_s))
        y += height + GAP
    ticks = _ticks(span_ms / 1000, scale * 1000)
    return Timeline(width=width, height=y, pools=tuple(pools), bars=tuple(bars), ticks=ticks)


def _ticks(span_s: float, scale: float) -> tuple[Tick, ...]:
    step_s = next((step for step in TICK_STEPS_S if span_s / step <= MAX_TICKS), TICK_STEPS_S[-1])
    count = int(span_s / step_s + 1e-9)
    marks: Sequence[float] = [number * step_s for number in range(count + 1)]
    return tuple(Tick(x=round(LEFT + mark * scale, 1), label=_seconds(mark)) for mark in marks)


def _seconds(value: float) -> str:
    if value >= 120:
        return f"{value / 60:g} min"
    return f"{value:g} s"
