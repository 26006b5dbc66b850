"""The report: merging, order, and a page that needs and executes nothing but its own script."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from workers.exhibit import MAX_ROWS, exhibit
from workers.findings import Finding, Outcome, Run, Severity, Skipped, Unit
from workers.page import render
from workers.project import Project, SourceFile
from workers.report import Report, Timed, assemble, merged, write_json
from workers.steps import Course, Ended, State, Step

HOSTILE = "</script><img src=x onerror=alert(1)>\u2028<!--"


class Task:
    """As much of a task as a report asks."""

    def __init__(self, name: str) -> None:
        self.name = name


def finding(path: str = "a.py", line: int = 1, agent: str = "bug_hunter", message: str = "m") -> Finding:
    return Finding(agent=agent, tool="ruff", rule="F401", severity=Severity.LOW, path=path, line=line, message=message)


def ended(
    agent: str, *findings: Finding, skipped: tuple[Skipped, ...] = (), state: State = State.DONE, **facts: Any
) -> Ended:
    step = Step(agent=agent, task=Task(f"workers.{agent}.review"), unit=Unit(root="/p", files=("a.py",)))
    run = Run(worker=f"{agent}@host", pid=7, started_at_ms=1_000, finished_at_ms=3_500)
    if state is not State.DONE:
        return Ended(step=step, state=state, reason=f"why {HOSTILE}", run=run)
    outcome = Outcome(agent=agent, findings=findings, skipped=skipped, facts=facts, run=run)
    return Ended(step=step, state=state, outcome=outcome, run=run)


def report(*steps: Ended, interrupted: bool = False, skipped: tuple[Skipped, ...] = ()) -> Report:
    project = Project(
        root="/p", python=(SourceFile(path="a.py", size_bytes=9, lines=3),), others=(), skipped=skipped, excluded={}
    )
    course = Course(ended=steps, interrupted=interrupted)
    return assemble(project, Timed(course=course, started_at_ms=0, wall_s=2.5, startup_s=0.5), mode="pools")


def test_findings_are_ordered_by_place_and_repeats_are_kept() -> None:
    last, first, second = finding("b.py", 1), finding("a.py", 2), finding("a.py", 10)
    made = report(ended("bug_hunter", second, last, last), ended("code_reviewer", first))
    assert made.findings == (first, second, last, last)
    assert made.complete


def test_a_file_skipped_by_several_agents_is_one_row() -> None:
    def by(agent: str) -> Skipped:
        return Skipped(path="a.py", reason="broken", agent=agent)

    made = report(
        ended("code_reviewer", skipped=(by("code_reviewer"),)),
        ended("bug_hunter", skipped=(by("bug_hunter"), by("bug_hunter"))),
        skipped=(Skipped(path="b.py", reason="over 5 MB"),),
    )
    assert [(item.path, item.agents) for item in made.skipped] == [
        ("a.py", ("bug_hunter", "code_reviewer")),
        ("b.py", ()),
    ]


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ({"a": 1, "b": [1]}, {"b": [2], "c": 3}, {"a": 1, "b": [1, 2], "c": 3}),
        ({"n": {"x": 2}}, {"n": {"x": 3, "y": 1}}, {"n": {"x": 5, "y": 1}}),
        ({"patch": "--- a\n"}, {"patch": "--- b\n"}, {"patch": "--- a\n--- b\n"}),
        ({"patch": ""}, {"patch": "--- b\n"}, {"patch": "--- b\n"}),
        ({"tool": "x"}, {"tool": "x"}, {"tool": "x"}),
        ({"tool": "x"}, {"tool": "y"}, {"tool": ["x", "y"]}),
        ({"flag": True}, {"flag": True}, {"flag": True}),
    ],
)
def test_facts_of_units_are_merged(first: Any, second: Any, both: Any) -> None:
    assert merged(first, second) == both


def test_json_is_the_whole_report_and_says_its_format(tmp_path: Any) -> None:
    made = report(ended("bug_hunter", finding(), total=3), ended("code_reviewer", state=State.TIMED_OUT))
    content = json.loads(write_json(made, tmp_path).read_text(encoding="utf-8"))
    assert (content["format"], content["version"]) == ("hive-review", 1)
    assert not content["complete"]
    assert [step["state"] for step in content["steps"]] == ["done", "timed out"]
    assert Report.model_validate(content) == made
    assert set(content) == set(Report.model_json_schema()["properties"])


class Elements(HTMLParser):
    """Collects what a page consists of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.scripts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data


def test_the_page_executes_nothing_it_was_told_and_loads_nothing() -> None:
    hostile = finding(message=HOSTILE, path="<b>.py")
    skipped = Skipped(path=HOSTILE, reason=HOSTILE, agent="bug_hunter")
    made = report(
        ended("bug_hunter", hostile, skipped=(skipped,), **{HOSTILE: HOSTILE, "patch": f"+{HOSTILE}\n-x\n"}),
        ended("code_reviewer", state=State.FAILED),
    )
    page = render(made, {"bug_hunter": HOSTILE})
    elements = Elements(page)
    assert elements.tags.count("script") == 2
    assert not {"img", "iframe", "object", "embed", "link"} & set(elements.tags)
    assert not [name for name, _ in elements.attributes if name.startswith("on")]
    assert not [value for name, value in elements.attributes if name in {"src", "href"} and str(value)[0] != "#"]
    assert not re.search(r"url\(|@import|https?://", page)
    assert json.loads(elements.scripts[0])["rows"][0][-1] == HOSTILE
    assert "default-src 'none'" in page


def test_the_page_says_what_is_missing() -> None:
    whole = render(report(ended("bug_hunter", finding())), {})
    assert "This report is partial" not in whole
    assert "Every Python file was examined" in whole
    stopped = report(ended("bug_hunter"), ended("code_reviewer", state=State.REVOKED), interrupted=True)
    assert "This report is partial" in render(stopped, {})
    lacking = render(report(ended("bug_hunter"), ended("code_reviewer", state=State.LOST)), {})
    assert "1 of 2 units were not done" in lacking


@pytest.mark.slow
def test_twenty_thousand_findings_make_one_page_of_a_few_megabytes() -> None:
    many = tuple(finding(f"p/m{number % 700}.py", number, message=f"message {number}") for number in range(20_000))
    page = render(report(ended("bug_hunter", *many)), {})
    assert len(page) < 5_000_000
    assert len(json.loads(Elements(page).scripts[0])["rows"]) == 20_000


@pytest.mark.parametrize(
    ("value", "kind", "size"),
    [
        (3, "value", 1),
        ([], "value", 1),
        ("one\ntwo\n", "text", 2),
        (["a", ["b", "c"]], "list", 2),
        ([{"a": 1}, {"b": 2}], "table", 2),
        ({"a": 1, "b": 2}, "table", 2),
        ({"a": {"x": 1}, "b": {"x": 2}}, "table", 2),
        ({"a": [1], "b": 2}, "parts", 2),
        ({f"p/m_{number}.py": [1] for number in range(MAX_ROWS + 3)}, "parts", MAX_ROWS + 3),
        (list(range(MAX_ROWS + 5)), "list", MAX_ROWS + 5),
    ],
)
def test_facts_are_shown_by_their_shape(value: Any, kind: str, size: int) -> None:
    shown = exhibit("some_fact", value)
    assert (shown.title, shown.kind, shown.size) == ("some fact", kind, size)
    assert len(shown.rows) + len(shown.parts) + shown.more in {size, 0}
