#!lua flags=allow-oom
-- Extends the leases of places of concurrency limits by one term from now; one that ended meanwhile is taken again.
-- KEYS: holders ZSET of each place
-- ARGV: 1 now ms or '', 2 lease ms, then for each place: who
-- Reply: places whose lease had ended
-- Cost: O(places log holders)
--include now
local now_ms, ended = clock(ARGV[1]), 0
for place = 1, #KEYS do
  ended = ended + redis.call('ZADD', KEYS[place], now_ms + ARGV[2], ARGV[2 + place])
  redis.call('PEXPIRE', KEYS[place], 2 * ARGV[2])
end
return ended
