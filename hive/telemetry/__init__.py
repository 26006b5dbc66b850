"""Telemetry: the types of events that metrics, logs and alerts are made of; all pure."""
