"""An application with entries of short intervals, for beats that are killed; BEAT_URL is its broker."""

import os

from hive import Hive

QUEUE = "beats"

#: Milliseconds between two due times, by entry.
EVERY_MS = {"fast": 100, "middle": 250, "slow": 700}

app = Hive("beats", broker=os.environ.get("BEAT_URL", "redis://"))
app.conf.update(
    task_default_queue=QUEUE,
    task_ignore_result=True,
    beat_schedule={
        name: {"task": "beats.note", "schedule": every_ms / 1000, "catch_up": "all", "catch_up_most": 10_000}
        for name, every_ms in EVERY_MS.items()
    },
)
