"""Calling tasks: what a call's options mean, where it goes, and how its message is built and sent."""
