"""The tasks of all agents: importing this module defines them (entry point group ``hive.tasks``)."""

from workers import (
    bug_hunter,
    code_architect,
    code_reviewer,
    documentation_writer,
    domain_expert,
    performance_optimizer,
    refactoring_specialist,
    security_analyst,
)

__all__ = [
    "bug_hunter",
    "code_architect",
    "code_reviewer",
    "documentation_writer",
    "domain_expert",
    "performance_optimizer",
    "refactoring_specialist",
    "security_analyst",
]
