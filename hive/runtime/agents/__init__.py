"""Agents at run time: put to sleep, woken, and their checkpoints."""
