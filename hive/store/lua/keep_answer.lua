#!lua
-- Keeps the last good answer of a call, with the broker's time, until it is too old to be given.
-- KEYS: 1 the answer HASH
-- ARGV: 1 now ms or '', 2 answer, 3 kept for ms
-- Reply: 1
-- Cost: O(1)
--include now
local now_ms = clock(ARGV[1])
redis.call('HSET', KEYS[1], 'answer', ARGV[2], 'at_ms', now_ms)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
