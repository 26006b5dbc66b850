"""Celery's own settings for this deployment, built from hive's (``hive config`` shows them); add yours below."""

from hive.agents import load_registry
from hive.runtime.agents.handles import KEEP_TASK
from hive.runtime.defaults import celery_settings, upkeep_entries
from hive.runtime.rest.tasks import EVERY_S, REST_TASK
from hive.settings import load_settings

_settings = load_settings()
globals().update(celery_settings(_settings, load_registry(_settings.agents)))

#: What beat sends: looks at sleep windows and idle agents, and the round of the scheduler (shadow until `hive schedule rest`
#: says otherwise), and upkeep at night. A task that nobody took in time is not run late.
beat_schedule: dict[str, object] = {
    **upkeep_entries(),
    "keep agents": {"task": KEEP_TASK, "schedule": 60.0, "options": {"expires": 60.0}},
    "rest agents": {"task": REST_TASK, "schedule": EVERY_S, "options": {"expires": EVERY_S}},
}
