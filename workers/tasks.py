"""The tasks of all agents: importing this module defines them (entry point group ``hive.tasks``)."""

__all__ = [
    "code_reviewerdocumentation_writer",
    "domain_expert",
    "refactoring_specialist",
]
