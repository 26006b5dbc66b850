#!lua flags=allow-oom
-- Notes of which dead letters everybody who waits has been told; a repeat changes nothing.
-- KEYS: 1 dead:untold ZSET
-- ARGV: 1.. ids
-- Reply: how many were untold
-- Cost: O(ids log untold)
return redis.call('ZREM', KEYS[1], unpack(ARGV))
