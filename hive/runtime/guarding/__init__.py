"""The guards of a task, asked after its message was read and before it takes a slot."""
