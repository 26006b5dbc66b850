"""The ten agents: one module per agent type, each with its tasks."""
