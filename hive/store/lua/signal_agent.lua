#!lua
-- Lets the run of an agent that has waited longest for an event go on with a signal; with none, the signal is kept.
-- KEYS: 1 mailbox LIST, 2 waiters ZSET; of the run that waits longest, as far as the caller knows: 3 run HASH,
--   4 scheduled ZSET, 5 parked ZSET, 6 wake LIST
-- ARGV: 1 now ms or '', 2 its task id, or '', 3 where the caller found it parked, or '', 4 payload, 5 how long a signal and a
--   run are kept ms, 6 signals a mailbox may hold
-- Reply: 1 goes on, 2 kept, -2 another waits longest, or elsewhere, -3 the mailbox is full
-- Cost: O(log scheduled)
--include now
--include wake
--include run
local now_ms = clock(ARGV[1])
local first = redis.call('ZRANGE', KEYS[2], 0, 0)[1] or ''
if first ~= ARGV[2] then
  return -2
end
if first == '' then
  if redis.call('LLEN', KEYS[1]) >= tonumber(ARGV[6]) then
    return -3
  end
  redis.call('LPUSH', KEYS[1], ARGV[4])
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
  return 2
end
local found = redis.call('HGET', KEYS[3], 'at')
if (found or '') ~= ARGV[3] then
  return -2
end
redis.call('ZREM', KEYS[2], first)
local at = parked_at(found)
if at and unpark(KEYS[4], KEYS[5], KEYS[6], at.message_id, now_ms) then
  redis.call('HDEL', KEYS[3], 'at')
  redis.call('HSET', KEYS[3], at.field, '+0:' .. ARGV[4])
  keep_run(KEYS[3], now_ms, tonumber(ARGV[5]))
  return 1
end
-- It was revoked, or goes on by itself: the next one is asked.
return -2
