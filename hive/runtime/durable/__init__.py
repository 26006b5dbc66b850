"""Durable tasks: steps that are not run twice, and waits that hold no slot."""
