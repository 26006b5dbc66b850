#!lua flags=allow-oom
-- Takes retries that wait for a dependency, those that would wait longest last, and gives each its time: one after the
-- other at the stated pace, over all callers. Only a few are ahead: whoever begins one says so, and the next is taken; so
-- workers that were held up do not begin all at once what fell due meanwhile. While a failure has a probe out, none is.
-- The caller moves them there; one it does not move is due by itself later.
-- KEYS: 1 gate HASH, 2 held ZSET
-- ARGV: 1 now ms or '', 2 how many at most, 3 microseconds between two attempts, 4 how many may be out and not begun, 5 how
--   many have begun since the caller's last call, 6 the dependency has answered 1|0
-- Reply: `<message id> <queue>`, new due ms and old due ms in turn
-- Cost: O(taken log held), O(log held + past) for those whose time has come by itself
--include now
-- What was due so long ago and has not begun was revoked, or waits for a slot: it holds up the others no longer.
local LOST_US, KEPT_MS = 5000000, 600000
local now_ms, now_us = clock(ARGV[1])
local gate = redis.call('HMGET', KEYS[1], 'probe', 'next_us', 'out')
local next_us, out = tonumber(gate[2]) or 0, math.max((tonumber(gate[3]) or 0) - ARGV[5], 0)
if next_us + LOST_US < now_us then
  out = 0
end
if ARGV[6] == '1' then
  redis.call('HDEL', KEYS[1], 'probe', 'probe_until_ms', 'stand_in_ms')
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now_ms)
local count = (ARGV[6] == '1' or not gate[1]) and math.min(ARGV[2], ARGV[4] - out) or 0
local taken = count > 0 and redis.call('ZPOPMIN', KEYS[2], count) or {}
local reply = {}
next_us = math.max(now_us, next_us)
for place = 1, #taken, 2 do
  reply[#reply + 1] = taken[place]
  reply[#reply + 1] = math.floor(next_us / 1000)
  reply[#reply + 1] = taken[place + 1]
  next_us = next_us + ARGV[3]
end
if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('HDEL', KEYS[1], 'next_hold_us')
end
if #taken > 0 then
  redis.call('HSET', KEYS[1], 'next_us', string.format('%.0f', next_us))
end
out = out + #taken / 2
if out == 0 then
  redis.call('HDEL', KEYS[1], 'out')
else
  redis.call('HSET', KEYS[1], 'out', out)
  local left_ms = math.ceil((next_us - now_us) / 1000) + KEPT_MS
  if redis.call('PTTL', KEYS[1]) < left_ms then
    redis.call('PEXPIRE', KEYS[1], left_ms)
  end
end
return reply
