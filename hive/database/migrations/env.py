"""How alembic runs the steps: on the connection that it is handed, in that one's transaction."""

from alembic import context

VERSION_TABLE = "hive_schema_version"

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
