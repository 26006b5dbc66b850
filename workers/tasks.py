"""The tasks of all agents: importing this module defines them (entry point group ``hive.tasks``)."""

from workers import (
    code_reviewer,
    documentation_writer,
    domain_expert,
    refactoring_specialist,
)

__all__ = [
    "code_reviewer",
    "documentation_writer",
    "domain_expert",
    "refactoring_specialist",
]
