"""The settings of what agents keep: checkpoints and memories."""

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr

from hive.settings.parts import Part


class CheckpointSettings(Part):
    """State of agents: where it is kept, for how long, and under which key."""

    database_url: SecretStr | None = Field(
        None,
        description="Where checkpoints are kept: postgresql://user:password@host/database (extra `postgres`) for agents that "
        "move between hosts, sqlite:///path for those of one host. Unset: a SQLite file under `home`.",
    )
    keep_count: int = Field(
        10, ge=3, description="Checkpoints kept of each agent; a write removes older ones. At least three."
    )
    keep_s: PositiveFloat = Field(
        2_592_000.0,
        description="Seconds after which consolidation's database maintenance, or `hive checkpoints prune`, removes one, unless it is "
        "among the newest three of its agent.",
    )
    cache_s: float = Field(
        3_600.0,
        ge=0,
        description="Seconds the newest checkpoint of an agent stays on the broker beside the database; 0: never there. "
        "Longer takes broker memory, shorter reads from the database more often.",
    )
    cache_max_bytes: PositiveInt = Field(
        4_194_304, description="Stored bytes above which a checkpoint is not kept on the broker."
    )
    zstd_level: int = Field(
        3, ge=-7, le=19, description="How hard states are compressed; higher is smaller and slower, past 10 by far."
    )
    keys: SecretStr | None = Field(
        None,
        description="Keys that encrypt checkpoints at rest (extra `encryption`): ID:BASE64 of 32 bytes each, divided by "
        "commas. The first one encrypts, all of them decrypt; `hive checkpoints reencrypt` moves old checkpoints to it. "
        "Best given as HIVE_CHECKPOINTS_KEYS. Unset: checkpoints are not encrypted.",
    )


class MemorySettings(Part):
    """What agents remember: where it is kept, how much, and what consolidation may do."""

    database_url: SecretStr | None = Field(
        None,
        description="Where memories are kept: postgresql://user:password@host/database (extra `postgres`) for agents that "
        "move between hosts, sqlite:///path for those of one host. Unset: a SQLite file under `home`.",
    )
    max_count: PositiveInt = Field(
        20_000, description="Contexts in the memory of an agent; past that the oldest are archived, for good."
    )
    max_bytes: PositiveInt = Field(
        67_108_864, description="Bytes of text in the memory of an agent; past that the oldest are archived."
    )
    max_age_s: PositiveFloat = Field(
        31_536_000.0, description="Seconds a context stays in the memory before it is archived."
    )
    retention_s: PositiveFloat = Field(
        2_592_000.0,
        description="Seconds in which a run of consolidation can be undone and what was forgotten restored; then `hive "
        "consolidate` may delete the originals.",
    )
    compact_after_s: float = Field(
        7_200.0,
        ge=0,
        description="Age in seconds from which contexts are compacted: what an agent works with now stays as it is.",
    )
    tokenizer_model: str | None = Field(
        None,
        description="Model whose tokens are counted (needs tiktoken and its vocabulary on this machine). Unset: estimated.",
    )
