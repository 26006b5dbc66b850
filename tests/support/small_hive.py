"""A small application of two agent types, for tests that start a whole hive."""

from hive.agents import BUILTIN, FALLBACK, Registry
from tests.support.own_hive import OwnHive

app = OwnHive("small", agent_types=Registry(agent for agent in BUILTIN if agent.name in {"code_reviewer", FALLBACK}))


@app.task(agent_type="code_reviewer", name="small.add")
def add(x: int, y: int) -> int:
    """Return the sum."""
    return x + y
