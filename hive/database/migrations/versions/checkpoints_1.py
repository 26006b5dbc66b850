"""Checkpoints of agents, and one head for each agent."""

from alembic import op

revision = "checkpoints_1"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.execute("""
        CREATE TABLE hive_checkpoint_heads (
            agent text COLLATE "C" PRIMARY KEY,
            generation bigint NOT NULL,
            fencing_token bigint NOT NULL,
            is_forgotten bigint NOT NULL,
            at_ms bigint NOT NULL,
            seal bytea NOT NULL
        )
    """)
    op.execute("""
        CREATE TABLE hive_checkpoints (
            agent text COLLATE "C" NOT NULL,
            generation bigint NOT NULL,
            at_ms bigint NOT NULL,
            label text COLLATE "C",
            is_pinned boolean NOT NULL,
            header bytea NOT NULL,
            body bytea NOT NULL,
            PRIMARY KEY (agent, generation)
        )
    """)
    # A body is compressed already.
    op.execute("ALTER TABLE hive_checkpoints ALTER COLUMN body SET STORAGE EXTERNAL")
    op.execute(
        "CREATE INDEX hive_checkpoints_by_label ON hive_checkpoints (agent, label, generation) WHERE label IS NOT NULL"
    )


def downgrade() -> None:
    """Remove the tables with all that is in them."""
    op.execute("DROP TABLE hive_checkpoints")
    op.execute("DROP TABLE hive_checkpoint_heads")
