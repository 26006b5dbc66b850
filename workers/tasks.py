"""The tasks of all agents: importing this module defines them (entry point group ``hive.tasks``)."""

from workers import (
    bug_hunter,
    code_architect,
    code_reviewer,
    documentation_writer,
    domain_expert,
    general_developer,
    performance_optimizer,
    refactoring_specialist,
    security_analyst,
    test_engineer,
)

__all__ = [
    "bug_hunter",
    "code_architect",
    "code_reviewer",
    "documentation_writer",
    "domain_expert",
    "general_developer",
    "performance_optimizer",
    "refactoring_specialist",
    "security_analyst",
    "test_engineer",
]
