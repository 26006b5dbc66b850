"""The ten agents: one module per agent type, each with its tasks.

Every task of a review takes a :class:`~workers.findings.Unit` and returns an :class:`~workers.findings.Outcome`. A task
called ``review`` works on some files at a time: what it finds in all units together is what it finds in one unit with
every file. Any other task, and the architect's, needs the whole project once:

* all Python files: ``code_architect``'s tasks, ``bug_hunter.dead_code``, ``refactoring_specialist.duplicates``,
  ``test_engineer.survey``;
* all files, documents and data too: ``domain_expert.survey`` and ``ask``, ``general_developer.survey``.

No task imports, executes or writes to the project it works on, except ``test_engineer.survey(run_tests=True)``, which
runs the project's tests in a copy. What cannot be read is listed as skipped, and the work goes on.
"""
