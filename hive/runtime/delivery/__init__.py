"""What the runtime knows of one delivery: the call its message holds, and the fence of who may end it."""
