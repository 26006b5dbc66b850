"""The bug hunter: what is wrong wherever it stands (ruff's bug families), and code that nothing uses (vulture)."""

import re
from typing import Any

from vulture.core import ERROR_CODES, Vulture
from vulture.utils import ExitCode

from hive import shared_task
from workers.findings import Finding, Outcome, Severity, Unit, in_order
from workers.lint import check, findings
from workers.source import Reading, Source
from workers.task import AgentTask

AGENT = "bug_hunter"

#: Rules whose finding is wrong behaviour, now or on the next change; none of them is the code reviewer's too.
RULES = (
    "ASYNC",
    "B",
    "F50",
    "F52",
    "F6",
    "F7",
    "F81",
    "F82",
    "F9",
    "LOG",
    "PLE",
    "PLR0124",
    "PLR1704",
    "PLW01",
    "PLW0211",
    "PLW0406",
    "PLW0711",
    "PLW15",
    "PLW2101",
    "RUF006",
    "RUF008",
    "RUF009",
    "RUF013",
    "RUF016",
    "RUF018",
    "RUF024",
    "RUF026",
    "RUF032",
    "RUF033",
    "RUF034",
    "RUF040",
    "RUF048",
    "RUF049",
)

#: Severity by prefix of the rule, the longest that fits; low where none does.
SEVERITIES = (
    ("invalid-syntax", Severity.HIGH),
    ("ASYNC", Severity.MEDIUM),
    ("B0", Severity.MEDIUM),
    ("B006", Severity.HIGH),
    ("B012", Severity.HIGH),
    ("B023", Severity.HIGH),
    ("B904", Severity.LOW),
    ("B905", Severity.LOW),
    ("F", Severity.HIGH),
    ("F81", Severity.MEDIUM),
    ("LOG", Severity.MEDIUM),
    ("PLE", Severity.HIGH),
    ("PLW", Severity.MEDIUM),
    ("PLW1510", Severity.LOW),
    ("RUF", Severity.MEDIUM),
)

#: How sure vulture must be, in percent: 60 is a name that nothing in the project mentions, 100 what cannot be reached.
MIN_CONFIDENCE_PERCENT = 60

#: What vulture finds but we leave: unused imports are ruff's F401, and attributes and variables that nothing mentions
#: are mostly fields that a framework reads by name.
_LEFT_OUT = frozenset({"attribute", "import", "variable"})

#: The confidence at which vulture is certain, in percent: unreachable code, unused arguments.
_CERTAIN_PERCENT = 100

_TYPE_COMMENT = re.compile(r"#\s*type\s*:")


@shared_task(base=AgentTask, agent_type=AGENT, name="workers.bug_hunter.review", pydantic=True)
def review(unit: Unit) -> Outcome:
    """Look for bugs in the files of a unit with ruff.

    Args:
        unit: some files of a project; the findings of all units together are those of one run over all files.

    Raises:
        ToolFailedError: ruff failed.
        ToolTimeoutError: ruff ran out of time.
    """
    reading = Reading(unit, AGENT)
    items = check(unit.root, reading.utf8_paths("ruff"), RULES)
    return Outcome(agent=AGENT, findings=in_order(findings(AGENT, items, SEVERITIES)), skipped=tuple(reading.skipped))


@shared_task(base=AgentTask, agent_type=AGENT, name="workers.bug_hunter.dead_code", pydantic=True)
def dead_code(unit: Unit) -> Outcome:
    """Look for code that nothing in the project uses, with vulture.

    A library's public names are used by others: what is not in an ``__all__`` and not mentioned in the project's own
    tests is found all the same, as information.

    Args:
        unit: the whole project; a part of it would make used code look unused.
    """
    # Stubs define all over again what they describe, and use nothing.
    modules = tuple(path for path in unit.files if path.endswith(".py"))
    reading = Reading(Unit(root=unit.root, files=modules), AGENT)
    hunter = Vulture()
    for source in reading:
        try:
            _scan(hunter, source)
        except RecursionError:
            reading.skip(source.path, "is nested too deeply for vulture")
    # Without paths this adds only vulture's own lists of names that well-known libraries call.
    hunter.scavenge([])
    found = [_finding(item) for item in hunter.get_unused_code(MIN_CONFIDENCE_PERCENT) if _is_ours(item)]
    return Outcome(agent=AGENT, findings=in_order(found), skipped=tuple(reading.skipped))


def _scan(hunter: Vulture, source: Source) -> None:
    # As if the project stood at the top of the disk: vulture treats files below any `test` directory differently, and
    # must not take the directories above the project for its own.
    path = f"/{source.path}"
    hunter.scan(source.text, path)
    if hunter.exit_code == ExitCode.InvalidInput:
        # What parses here fails there only for a comment that looks like a type and is none.
        hunter.exit_code = ExitCode.NoDeadCode
        hunter.scan(_TYPE_COMMENT.sub("# type -", source.text), path)


def _is_ours(item: Any) -> bool:
    return item.filename.is_absolute() and (item.confidence == _CERTAIN_PERCENT or item.typ not in _LEFT_OUT)


def _finding(item: Any) -> Finding:
    return Finding(
        agent=AGENT,
        tool="vulture",
        rule=ERROR_CODES[item.typ],
        severity=_severity(item),
        path=item.filename.relative_to("/").as_posix(),
        line=item.first_lineno,
        message=f"{item.message} ({item.confidence} % sure)",
    )


def _severity(item: Any) -> Severity:
    if item.typ == "unreachable_code":
        return Severity.MEDIUM
    if item.confidence == _CERTAIN_PERCENT or item.name.startswith("_"):
        return Severity.LOW
    return Severity.INFO
