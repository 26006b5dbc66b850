#!lua flags=allow-oom
-- Takes retries that wait for a dependency, those that would wait longest last, and gives each its time: one after the
-- other at the stated pace, over all callers. The caller moves them there; one it does not move is due by itself later.
-- KEYS: 1 gate HASH, 2 held ZSET
-- ARGV: 1 now ms or '', 2 how many at most, 3 microseconds between two attempts
-- Reply: `<message id> <queue>`, new due ms and old due ms in turn
-- Cost: O(taken log held), O(log held + past) for those whose time has come by itself
--include now
local now_ms, now_us = clock(ARGV[1])
redis.call('HDEL', KEYS[1], 'probe', 'probe_until_ms')
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now_ms)
local taken = redis.call('ZPOPMIN', KEYS[2], ARGV[2])
if #taken == 0 then
  redis.call('HDEL', KEYS[1], 'next_hold_us')
  return {}
end
local next_us = math.max(now_us, tonumber(redis.call('HGET', KEYS[1], 'next_us')) or 0)
local reply = {}
for place = 1, #taken, 2 do
  reply[#reply + 1] = taken[place]
  reply[#reply + 1] = math.floor(next_us / 1000)
  reply[#reply + 1] = taken[place + 1]
  next_us = next_us + ARGV[3]
end
redis.call('HSET', KEYS[1], 'next_us', string.format('%.0f', next_us))
redis.call('PEXPIREAT', KEYS[1], math.ceil(next_us / 1000) + 600000)
return reply
