#!lua flags=allow-oom
-- Says whether a delivery is current.
-- KEYS: 1 consumers ZSET, 2 counters HASH, 3 inflight:<consumer> HASH
-- ARGV: 1 consumer, 2 token
-- Reply: 1 current, 0 ended, -1 stale
-- Cost: O(1)
--include standing
return standing(KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2])
