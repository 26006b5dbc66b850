"""Contexts of agents, the archive of those that left a memory, and runs of consolidation."""

from alembic import op

revision = "memories_1"
down_revision = "checkpoints_1"
branch_labels = None
depends_on = None

#: A text may hold what PostgreSQL's own type cannot, such as a zero byte.
_CONTEXT = """
    agent text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    text bytea NOT NULL,
    author text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    at_ms bigint NOT NULL,
    used_count bigint NOT NULL,
    token_count bigint NOT NULL,
    subject text COLLATE "C" NOT NULL,
    written_by text COLLATE "C" NOT NULL
"""


def upgrade() -> None:
    """Make the tables."""
    op.execute(f"CREATE TABLE hive_contexts (id bigserial PRIMARY KEY, {_CONTEXT}, words tsvector NOT NULL)")
    op.execute("CREATE INDEX hive_contexts_by_words ON hive_contexts USING gin (words)")
    op.execute("CREATE INDEX hive_contexts_by_agent ON hive_contexts (agent, source, at_ms)")
    op.execute("CREATE INDEX hive_contexts_by_age ON hive_contexts (agent, at_ms)")
    op.execute("CREATE INDEX hive_contexts_by_run ON hive_contexts (written_by) WHERE written_by <> ''")
    op.execute(f"""
        CREATE TABLE hive_archived_contexts (
            id bigint PRIMARY KEY, {_CONTEXT}, words tsvector NOT NULL,
            run text COLLATE "C" NOT NULL,
            reason text COLLATE "C" NOT NULL,
            gone_at_ms bigint NOT NULL,
            until_ms bigint NOT NULL
        )
    """)
    op.execute("CREATE INDEX hive_archived_contexts_by_run ON hive_archived_contexts (agent, run)")
    op.execute("CREATE INDEX hive_archived_contexts_by_end ON hive_archived_contexts (until_ms)")
    op.execute(
        "CREATE INDEX hive_archived_contexts_by_writer ON hive_archived_contexts (written_by) WHERE written_by <> ''"
    )
    op.execute("""
        CREATE TABLE hive_consolidations (
            run text COLLATE "C" PRIMARY KEY,
            agent text COLLATE "C" NOT NULL,
            job text NOT NULL,
            started_at_ms bigint NOT NULL,
            state text NOT NULL,
            report text NOT NULL,
            expired_count bigint NOT NULL DEFAULT 0
        )
    """)
    op.execute("CREATE INDEX hive_consolidations_by_agent ON hive_consolidations (agent, started_at_ms)")


def downgrade() -> None:
    """Remove the tables with all that is in them."""
    op.execute("DROP TABLE hive_consolidations")
    op.execute("DROP TABLE hive_archived_contexts")
    op.execute("DROP TABLE hive_contexts")
