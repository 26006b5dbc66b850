"""The command ``hive``: what an operator types.

Every command that shows something takes ``--json``; an error is one sentence on standard error and an exit code that
is not 0 (2 for bad input, 1 for anything else). A package adds commands under the entry point group ``hive.commands``.
"""
