"""Celery's own settings for this deployment, built from hive's (``hive config`` shows them); add yours below."""

from hive.agents import load_registry
from hive.runtime.defaults import celery_settings
from hive.settings import load_settings

_settings = load_settings()
globals().update(celery_settings(_settings, load_registry(_settings.agents)))

beat_schedule: dict[str, object] = {}
