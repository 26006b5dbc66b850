"""The ten agent types that come with hive.

Proficiencies are starting values between 0.7 (does everything) and 0.9 (does little else); routing learns from what
really happens.
"""

from hive.agents.types import AgentType, Capability, Concurrency, Resources

#: Takes what no other type takes.
FALLBACK = "general_developer"


def _agent(name: str, kinds: dict[str, float], *, memory_mb: int = 512, time_limit_s: float = 300.0) -> AgentType:
    return AgentType(
        name=name,
        capabilities=tuple(Capability(kind=kind, proficiency=level) for kind, level in kinds.items()),
        needs=Resources(memory_mb=memory_mb),
        concurrency=Concurrency(minimum=1, maximum=8),
        time_limit_s=time_limit_s,
        soft_time_limit_s=time_limit_s * 0.9,
    )


BUILTIN: tuple[AgentType, ...] = (
    _agent("code_architect", {"design": 0.9, "review": 0.85}, time_limit_s=900),
    _agent("code_reviewer", {"review": 0.9}),
    _agent("bug_hunter", {"bug_hunt": 0.85, "debug": 0.85}),
    _agent("performance_optimizer", {"optimize": 0.8}, memory_mb=1024),
    _agent("security_analyst", {"security": 0.9}),
    _agent("test_engineer", {"test": 0.85}, memory_mb=1024, time_limit_s=900),
    _agent("documentation_writer", {"document": 0.8}),
    _agent("refactoring_specialist", {"refactor": 0.75}, time_limit_s=600),
    _agent("domain_expert", {"ask": 0.85, "feature": 0.85, "review": 0.7}, memory_mb=1024),
    _agent(
        FALLBACK,
        dict.fromkeys(
            (
                "general",
                "design",
                "review",
                "bug_hunt",
                "debug",
                "optimize",
                "security",
                "test",
                "document",
                "refactor",
                "ask",
                "feature",
            ),
            0.7,
        ),
    ),
)

_STARTING_VALUES = {agent.name: agent.needs for agent in BUILTIN}


def declared_needs(agent: AgentType) -> Resources | None:
    """Return what somebody declared that a slot of a type needs; None: nobody did, or it is hive's own starting value."""
    if "needs" not in agent.model_fields_set or agent.needs == _STARTING_VALUES.get(agent.name):
        return None
    return agent.needs
