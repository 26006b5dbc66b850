"""A worker process: its consumer, the gate before its pool, its lanes, its size and its bounds."""
