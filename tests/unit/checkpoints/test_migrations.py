from alembic.config import Config
from alembic.script import ScriptDirectory

from hive.database import postgres_connections
from hive.database.postgres_connections import NEWEST_STEP


def test_the_newest_step_is_the_one_that_is_named() -> None:
    config = Config()
    config.set_main_option(
        "script_location", str(postgres_connections.__file__).replace("postgres_connections.py", "migrations")
    )
    assert ScriptDirectory.from_config(config).get_heads() == [NEWEST_STEP]
