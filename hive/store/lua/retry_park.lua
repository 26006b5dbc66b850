#!lua flags=allow-oom
-- Says when the retry of a task is due whose dependency does not answer: soon, if it is the one that probes, else far off,
-- where it waits to be released. Those that nobody releases are due one after the other, at the release's pace; one of them
-- stands in for the probe, and is due when that has had its time: a probe may be lost.
-- KEYS: 1 gate HASH, 2 held ZSET
-- ARGV: 1 now ms or '', 2 message id of the failed attempt, 3 message id of the next, 4 its queue, 5 wait of a probe ms,
--   6 hold ms, 7 microseconds between two attempts, 8 grace ms a probe has to answer after its time
-- Reply: {1 probe | 0 held, due ms}
-- Cost: O(log held)
--include now
local now_ms = clock(ARGV[1])
local gate = redis.call('HMGET', KEYS[1], 'probe', 'probe_until_ms', 'next_hold_us', 'stand_in_ms')
local kept_ms = 2 * (tonumber(ARGV[6]) + tonumber(ARGV[8]) + tonumber(ARGV[5]))
if gate[1] == ARGV[2] or now_ms >= (tonumber(gate[2]) or 0) then
  local due_ms = now_ms + ARGV[5]
  redis.call('HSET', KEYS[1], 'probe', ARGV[3], 'probe_until_ms', due_ms + ARGV[8])
  redis.call('PEXPIRE', KEYS[1], kept_ms, 'GT')
  if redis.call('PTTL', KEYS[1]) < 0 then
    redis.call('PEXPIRE', KEYS[1], kept_ms)
  end
  return { 1, due_ms }
end
local due_ms = tonumber(gate[2])
if (tonumber(gate[4]) or 0) <= now_ms and due_ms < now_ms + ARGV[6] then
  redis.call('HSET', KEYS[1], 'stand_in_ms', due_ms)
else
  local due_us = math.max((now_ms + ARGV[6]) * 1000, tonumber(gate[3]) or 0)
  redis.call('HSET', KEYS[1], 'next_hold_us', string.format('%.0f', due_us + ARGV[7]))
  due_ms = math.floor(due_us / 1000)
end
redis.call('ZADD', KEYS[2], due_ms, ARGV[3] .. ' ' .. ARGV[4])
for _, key in ipairs(KEYS) do
  if redis.call('PTTL', key) < due_ms + kept_ms - now_ms then
    redis.call('PEXPIRE', key, due_ms + kept_ms - now_ms)
  end
end
return { 0, due_ms }
