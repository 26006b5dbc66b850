"""hive: Celery for fleets of AI agents."""
