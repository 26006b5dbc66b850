#!lua flags=allow-oom
-- Removes all messages of a queue that wait, and the memory of what was published and of who holds which key.
-- KEYS: 1 scheduled ZSET, 2 scheduled:messages HASH, 3 suspects LIST, 4 wake LIST, 5 published:0 SET, 6 published:1 SET,
--   7 unique HASH, 8 unique:expiry ZSET, 9 fair ZSET, 10 fair:turns ZSET, 11 fair:messages STREAM, 12 fair:waiting HASH,
--   13 parked ZSET, 14.. ready LIST of each priority step, of the queue and of its lanes
-- ARGV: none
-- Reply: {ready, scheduled, suspects, behind} removed
-- Cost: O(steps), memory is freed in the background
local ready = 0
for place = 14, #KEYS do
  ready = ready + redis.call('LLEN', KEYS[place])
end
local scheduled, suspects, behind = redis.call('ZCARD', KEYS[1]), redis.call('LLEN', KEYS[3]), redis.call('ZCARD', KEYS[9])
redis.call('UNLINK', unpack(KEYS))
return { ready, scheduled, suspects, behind }
