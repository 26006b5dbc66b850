"""``report.html``: one page that needs nothing else, neither a server nor the network."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from workers.exhibit import exhibit
from workers.report import WORST_FIRST, Report
from workers.timeline import timeline
from workers.treemap import treemap

#: Size of the map, and width of the timeline, in the units of their pictures.
MAP_WIDTH, MAP_HEIGHT = 1200.0, 520.0
TIMELINE_WIDTH = 1200.0

#: Rows of what was not examined that the page shows; `report.json` has all.
MAX_SKIPPED = 500


def write_page(report: Report, labels: Mapping[str, str], directory: Path) -> Path:
    """Write ``report.html`` below ``directory`` and return its path; what was there before is replaced.

    Args:
        report: what it shows.
        labels: what people read, by agent type.
        directory: an existing directory.

    Raises:
        OSError: it cannot be written.
    """
    path = directory / "report.html"
    path.write_text(render(report, labels), encoding="utf-8")
    return path


def render(report: Report, labels: Mapping[str, str]) -> str:
    """Return the page; every text in it is escaped, and a policy in it forbids loading anything."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("workers"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    lines = {file.path: file.lines for file in report.files}
    return environment.get_template("report.html.j2").render(
        report=report,
        labels={agent: labels.get(agent, agent) for agent in report.agents},
        severities=WORST_FIRST,
        totals=report.by_severity(),
        by_agent={agent: report.by_severity(agent) for agent in report.agents},
        steps={agent: [step for step in report.steps if step.agent == agent] for agent in report.agents},
        boxes=treemap(lines, MAP_WIDTH, MAP_HEIGHT),
        map_size=(MAP_WIDTH, MAP_HEIGHT),
        timeline=timeline(report, TIMELINE_WIDTH),
        facts={
            agent: [exhibit(name, value) for name, value in report.facts[agent].items()]
            for agent in report.agents
            if agent in report.facts
        },
        max_skipped=MAX_SKIPPED,
        data=embedded(_data(report, labels)),
    )


def embedded(value: Any) -> Markup:
    """Return JSON that can stand in a ``<script>`` element: nothing in it can end the element or begin another."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character, escape in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\u2028", "\\u2028")):
        text = text.replace(character, escape)
    return Markup(text.replace("\u2029", "\\u2029"))  # noqa: S704 - escaped for where it stands, just above


def _data(report: Report, labels: Mapping[str, str]) -> dict[str, Any]:
    """The findings for the page's script: words once in lists, and a row of numbers for each finding."""
    words = {"agents": list(report.agents), "severities": [str(severity) for severity in WORST_FIRST]}
    words |= {name: _distinct(report, name) for name in ("path", "tool", "rule")}
    number = {name: {word: index for index, word in enumerate(known)} for name, known in words.items()}
    rows = [
        [
            number["severities"][item.severity],
            number["agents"][item.agent],
            number["path"][item.path],
            item.line,
            item.column,
            number["tool"][item.tool],
            number["rule"][item.rule],
            item.message,
        ]
        for item in report.findings
    ]
    return {
        "agents": [{"name": agent, "label": labels.get(agent, agent)} for agent in words["agents"]],
        "severities": words["severities"],
        "paths": words["path"],
        "tools": words["tool"],
        "rules": words["rule"],
        "lines": {file.path: file.lines for file in report.files},
        "rows": rows,
    }


def _distinct(report: Report, name: str) -> list[str]:
    return sorted({getattr(item, name) for item in report.findings})
