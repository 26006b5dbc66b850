#!lua flags=allow-oom
-- Pauses an entry of beat, or lets it go on from now: what fell due meanwhile is not made up for. A repeat of a pause
-- changes nothing.
-- KEYS: 1 entries HASH, 2 paused HASH, 3 fired HASH, 4 revision STRING
-- ARGV: 1 now ms or '', 2 name, 3 whether it pauses
-- Reply: 1 so it is | 0 there is no such entry
-- Cost: O(1)
--include now
local now_ms, name = clock(ARGV[1]), ARGV[2]
if redis.call('HEXISTS', KEYS[1], name) == 0 then
  return 0
end
if ARGV[3] == '1' then
  redis.call('HSETNX', KEYS[2], name, now_ms)
elseif redis.call('HDEL', KEYS[2], name) == 1 then
  redis.call('HSET', KEYS[3], name, math.max(now_ms, tonumber(redis.call('HGET', KEYS[3], name)) or 0))
end
redis.call('INCR', KEYS[4])
return 1
