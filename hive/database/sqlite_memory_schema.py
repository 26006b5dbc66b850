"""Tables of memories in a file of SQLite."""

#: Steps of the schema; never changed, only added to.
STEPS = (
    """
CREATE TABLE contexts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    agent TEXT NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    author TEXT NOT NULL,
    source TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    used_count INTEGER NOT NULL,
    token_count INTEGER NOT NULL,
    subject TEXT NOT NULL,
    written_by TEXT NOT NULL DEFAULT ''
);
CREATE INDEX contexts_by_agent ON contexts (agent, source, at_ms);
CREATE INDEX contexts_by_age ON contexts (agent, at_ms);
CREATE INDEX contexts_by_run ON contexts (written_by) WHERE written_by <> '';

CREATE TABLE archived_contexts (
    id INTEGER PRIMARY KEY,
    agent TEXT NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    author TEXT NOT NULL,
    source TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    used_count INTEGER NOT NULL,
    token_count INTEGER NOT NULL,
    subject TEXT NOT NULL,
    written_by TEXT NOT NULL,
    run TEXT NOT NULL,
    reason TEXT NOT NULL,
    gone_at_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL
);
CREATE INDEX archived_contexts_by_run ON archived_contexts (agent, run);
CREATE INDEX archived_contexts_by_writer ON archived_contexts (written_by) WHERE written_by <> '';
CREATE INDEX archived_contexts_by_end ON archived_contexts (until_ms);

CREATE TABLE consolidations (
    run TEXT PRIMARY KEY,
    agent TEXT NOT NULL,
    job TEXT NOT NULL,
    started_at_ms INTEGER NOT NULL,
    state TEXT NOT NULL,
    report TEXT NOT NULL,
    expired_count INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX consolidations_by_agent ON consolidations (agent, started_at_ms);

CREATE VIRTUAL TABLE context_words USING fts5 (
    text, content = 'contexts', content_rowid = 'id', tokenize = 'porter unicode61'
);
""",
)
