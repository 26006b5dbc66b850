"""The tasks of all agents: importing this module defines them (entry point group ``hive.tasks``)."""

from workers import code_reviewer

__all__ = ["code_reviewer"]
