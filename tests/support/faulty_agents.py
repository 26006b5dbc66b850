"""An application whose agents fail in every way a tool can: an error, a hang, the death of their process."""

import os
import signal
import threading

from hive import load_settings
from tests.support.own_hive import OwnHive
from workers.findings import Finding, Outcome, Severity, Unit
from workers.task import AgentTask

LIMITS = {
    "bug_hunter": {"time_limit_s": 60.0, "soft_time_limit_s": 50.0},
    "code_reviewer": {"time_limit_s": 3.0, "soft_time_limit_s": 1.5},
    "test_engineer": {"time_limit_s": 3.0, "soft_time_limit_s": 2.0},
}

app = OwnHive("faulty", settings=load_settings(agents=LIMITS))


@app.task(base=AgentTask, agent_type="code_reviewer", name="faulty.review", pydantic=True)
def review(unit: Unit) -> Outcome:
    """Report every file; fail at one called ``raises.py``, hang at ``hangs.py``."""
    if "raises.py" in unit.files:
        raise ValueError("a tool said\nno")
    if "hangs.py" in unit.files:
        threading.Event().wait(600)
    return seen("code_reviewer", unit)


@app.task(base=AgentTask, agent_type="bug_hunter", name="faulty.hunt", pydantic=True)
def hunt(unit: Unit) -> Outcome:
    """Report every file; kill the process at ``dies.py``, hang at ``hangs.py``."""
    if "hangs.py" in unit.files:
        threading.Event().wait(600)
    if "dies.py" in unit.files:
        os.kill(os.getpid(), signal.SIGKILL)
    return seen("bug_hunter", unit)


@app.task(base=AgentTask, agent_type="test_engineer", name="faulty.unserved", pydantic=True)
def unserved(unit: Unit) -> Outcome:
    """For a pool that a test does not start."""
    return seen("test_engineer", unit)


def seen(agent: str, unit: Unit) -> Outcome:
    """Return one finding for each file."""
    found = (
        Finding(agent=agent, tool="test", rule="seen", severity=Severity.INFO, path=path, line=1, message="seen")
        for path in unit.files
    )
    return Outcome(agent=agent, findings=tuple(found))
