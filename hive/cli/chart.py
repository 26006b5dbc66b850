"""Line charts as a self-contained HTML page: SVG inside, nothing loaded from anywhere, readable in light and dark."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

WIDTH, HEIGHT = 960, 240
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 28, 30
#: Told apart by most kinds of colour vision: Okabe and Ito, "Color universal design" (2008).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }
svg { width: 100%; height: auto; display: block; margin: 1rem 0; }
svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
svg .grid { stroke: currentColor; stroke-opacity: .15; }
table { border-collapse: collapse; } th, td { padding: .2rem .8rem .2rem 0; text-align: right; }
th:first-child, td:first-child { text-align: left; } th { border-bottom: 1px solid currentColor; }
p.note { opacity: .75; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One curve.

    Attributes:
        name: shown in the legend.
        points: x and y, by rising x.
        colour: number of one of :data:`COLOURS`.
        band: for each point the bounds of a shaded area around it; empty: none.
        faint: drawn thin and pale, to lie behind another.
        stepped: the value holds until the next point.
    """

    name: str
    points: Sequence[tuple[float, float]]
    colour: int = 0
    band: Sequence[tuple[float, float]] = ()
    faint: bool = False
    stepped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One diagram.

    Attributes:
        title: what is drawn, with its unit.
        lines: the curves.
        across: what the x axis counts.
        logarithmic: the y axis is; only positive values are drawn then.
    """

    title: str
    lines: Sequence[Line] = field(default_factory=tuple)
    across: str = "minutes"
    logarithmic: bool = False


def page(title: str, notes: Sequence[str], panels: Sequence[Panel], table: Sequence[Sequence[str]] = ()) -> str:
    """Return an HTML page with a table (its first row is the heading) and the panels one under another."""
    lines = [f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>"]
    lines += [f"<style>{_STYLE}</style>", f"<h1>{html.escape(title)}</h1>"]
    lines += [f"<p class=note>{html.escape(note)}</p>" for note in notes]
    if table:
        rows = ["".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row) for tag, row in _tagged(table)]
        lines.append("<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>")
    return "\n".join([*lines, *map(drawn, panels), "</html>\n"])


def drawn(panel: Panel) -> str:
    """Return one panel as an SVG element."""
    lines = [_thinned(line) for line in panel.lines]
    scale = _Scale(lines, logarithmic=panel.logarithmic)
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(panel.title)}">']
    parts.append(f'<text x="{LEFT}" y="16" font-weight="600">{html.escape(panel.title)}</text>')
    parts += [*_grid(scale, panel.across), *_legend(lines)]
    for line in lines:
        parts += _curve(line, scale)
    return "".join([*parts, "</svg>"])


def _tagged(table: Sequence[Sequence[str]]) -> list[tuple[str, Sequence[str]]]:
    return [("th" if number == 0 else "td", row) for number, row in enumerate(table)]


def _thinned(line: Line) -> Line:
    """Keep the least and the greatest value of each pixel column, so that no peak is lost."""
    each = math.ceil(len(line.points) / WIDTH)
    if each <= 2 or line.band:
        return line
    kept: list[tuple[float, float]] = []
    for start in range(0, len(line.points), 2 * each):
        part = line.points[start : start + 2 * each]
        kept += sorted({min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])})
    return Line(name=line.name, points=kept, colour=line.colour, faint=line.faint, stepped=line.stepped)


class _Scale:
    """From values to places on the drawing."""

    def __init__(self, lines: Sequence[Line], *, logarithmic: bool) -> None:
        across = [x for line in lines for x, _ in line.points] or [0.0, 1.0]
        up = [y for line in lines for _, y in line.points] + [
            bound for line in lines for pair in line.band for bound in pair
        ]
        self.logarithmic = logarithmic
        self.left, self.right = min(across), max(*across, min(across) + 1e-9)
        if logarithmic:
            positive = [value for value in up if value > 0] or [1.0]
            self.low = 10.0 ** math.floor(math.log10(min(positive)))
            self.high = max(10.0 ** math.ceil(math.log10(max(positive))), self.low * 10)
        else:
            self.low, self.high = min(0.0, *up, 0.0), _rounded(max([*up, 1e-9]))

    def x(self, value: float) -> float:
        return LEFT + (value - self.left) / (self.right - self.left) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        if self.logarithmic:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def marks(self) -> list[float]:
        if not self.logarithmic:
            return [self.low + (self.high - self.low) * part / 4 for part in range(5)]
        powers = round(math.log10(self.high / self.low))
        return [self.low * 10.0**power for power in range(0, powers + 1, max(1, powers // 5))]


def _rounded(value: float) -> float:
    unit = 10.0 ** math.floor(math.log10(value))
    return next(unit * step for step in (1, 2, 4, 5, 8, 10) if unit * step >= value * 0.999999)


def _grid(scale: _Scale, across: str) -> list[str]:
    parts, digits = [], 0 if scale.right - scale.left >= 100 else 1
    for mark in scale.marks():
        y = scale.y(mark)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{mark:,.6g}</text>')
    for part in range(6):
        value = scale.left + (scale.right - scale.left) * part / 5
        # Five parts of 48 hours are none of whole hours.
        label = f"{round(value, digits):,.12g}" + (f" {across}" if part == 5 else "")
        anchor = "end" if part == 5 else "middle"
        parts.append(f'<text x="{scale.x(value):.1f}" y="{HEIGHT - 10}" text-anchor="{anchor}">{label}</text>')
    return parts


def _legend(lines: Sequence[Line]) -> list[str]:
    parts, x = [], float(WIDTH - RIGHT)
    for line in reversed(lines):
        x -= 7.5 * len(line.name) + 28
        parts.append(f'<rect x="{x:.0f}" y="9" width="12" height="4" fill="{COLOURS[line.colour]}"/>')
        parts.append(f'<text x="{x + 16:.0f}" y="16">{html.escape(line.name)}</text>')
    return parts


def _curve(line: Line, scale: _Scale) -> list[str]:
    colour, parts = COLOURS[line.colour], []
    if line.band:
        pairs = list(zip(line.points, line.band, strict=True))
        upper = [f"{scale.x(x):.1f},{scale.y(high):.1f}" for (x, _), (_, high) in pairs]
        lower = [f"{scale.x(x):.1f},{scale.y(low):.1f}" for (x, _), (low, _) in reversed(pairs)]
        parts.append(f'<polygon points="{" ".join(upper + lower)}" fill="{colour}" fill-opacity=".2"/>')
    places, before = [], None
    for x, y in line.points:
        if line.stepped and before is not None:
            places.append(f"{scale.x(x):.1f},{scale.y(before):.1f}")
        places.append(f"{scale.x(x):.1f},{scale.y(y):.1f}")
        before = y
    look = 'stroke-width="1" stroke-opacity=".55"' if line.faint else 'stroke-width="1.6"'
    parts.append(f'<polyline points="{" ".join(places)}" fill="none" stroke="{colour}" {look}/>')
    return parts
