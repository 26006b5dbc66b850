#!lua flags=allow-oom
-- Keeps the record of a run that has ended for a last time only: a repeat of its end may still ask for it.
-- KEYS: 1 run HASH
-- ARGV: 1 how long ms
-- Reply: 1 it was there, 0 not
-- Cost: O(1)
redis.call('HDEL', KEYS[1], 'at')
return redis.call('PEXPIRE', KEYS[1], ARGV[1])
