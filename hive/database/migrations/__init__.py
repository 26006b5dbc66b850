"""The tables of PostgreSQL, by version: each file of ``versions`` is one step of alembic and is never changed again.

Whoever connects first takes the steps that are missing (:mod:`hive.database.postgres_connections`). The tables' names
begin with ``hive_``, and ``hive_schema_version`` says which step was taken last. Who adds a step names it in
:data:`hive.database.postgres_connections.NEWEST_STEP`, too, because a process that finds it there need not load alembic.
"""
