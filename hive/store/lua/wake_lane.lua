#!lua flags=allow-oom
-- Lets the worker of a lane look for work.
-- KEYS: 1 wake of the lane LIST
-- ARGV: none
-- Reply: 1
-- Cost: O(1)
--include wake
wake(KEYS[1])
return 1
