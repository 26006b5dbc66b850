"""What follows a task's failure: the next attempt and its time, or the failure with its cause."""
