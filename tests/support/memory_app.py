"""An application whose agents remember: its worker serves the queues of consolidation."""

import os

from hive import Hive

app = Hive("memories", broker=os.environ["DELIVERY_URL"], backend=os.environ["DELIVERY_URL"])
app.conf.include = ["hive.runtime.consolidation_tasks"]
