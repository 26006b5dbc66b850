"""The code reviewer: ruff's rules on correctness at sight, simplification and idiom, file by file."""

from hive import shared_task
from workers.findings import Outcome, Severity, Unit, in_order
from workers.lint import check, findings
from workers.source import Reading
from workers.task import AgentTask

AGENT = "code_reviewer"

#: What is reviewed: idiom, simplicity, unused names. What is a bug wherever it stands is the bug hunter's, layout is
#: left to formatters, and taste in names to each project.
RULES = ("C4", "E4", "E5", "E7", "E9", "F4", "F54", "F84", "PIE", "RET", "RSE", "SIM", "TRY2", "UP", "W")

#: Longest line in characters; beyond it, `E501`.
LINE_LENGTH = 120

#: Severity by prefix of the rule, the longest that fits; low where none does.
SEVERITIES = (
    ("invalid-syntax", Severity.HIGH),
    ("E721", Severity.MEDIUM),
    ("E722", Severity.MEDIUM),
    ("E9", Severity.HIGH),
    ("F402", Severity.MEDIUM),
    ("F403", Severity.MEDIUM),
    ("F404", Severity.HIGH),
    ("F405", Severity.MEDIUM),
    ("F406", Severity.HIGH),
    ("F407", Severity.HIGH),
    ("F84", Severity.MEDIUM),
    ("TRY2", Severity.LOW),
    ("W605", Severity.MEDIUM),
)


@shared_task(base=AgentTask, agent_type=AGENT, name="workers.code_reviewer.review", pydantic=True)
def review(unit: Unit) -> Outcome:
    """Review the files of a unit with ruff.

    Args:
        unit: some files of a project; the findings of all units together are those of one run over all files.

    Raises:
        ToolFailedError: ruff failed.
        ToolTimeoutError: ruff ran out of time.
    """
    reading = Reading(unit, AGENT)
    items = check(unit.root, reading.utf8_paths("ruff"), RULES, line_length=LINE_LENGTH)
    return Outcome(
        agent=AGENT,
        findings=in_order(findings(AGENT, items, SEVERITIES)),
        skipped=tuple(reading.skipped),
    )
