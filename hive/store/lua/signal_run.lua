#!lua
-- Lets a parked run go on: with a signal if it waits for that event, else the signal is kept until it does; or, without an
-- event, whatever it waits for.
-- KEYS: 1 run HASH, 2 mailbox LIST; of the queue in which it is parked, as far as the caller knows: 3 scheduled ZSET,
--   4 parked ZSET, 5 wake LIST, 6 waiters of its agent ZSET
-- ARGV: 1 now ms or '', 2 where the caller found it parked, or '', 3 event or '', 4 payload, 5 how long it is kept ms,
--   6 signals a mailbox may hold, 7 task id
-- Reply: 1 goes on, 2 kept, 0 it is not parked, -2 it is parked elsewhere by now, -3 the mailbox is full
-- Cost: O(log scheduled)
--include now
--include wake
--include run
local now_ms = clock(ARGV[1])
local found = redis.call('HGET', KEYS[1], 'at')
if (found or '') ~= ARGV[2] then
  return -2
end
local at = parked_at(found)
if at and (ARGV[3] == '' or ARGV[3] == at.event) then
  if unpark(KEYS[3], KEYS[4], KEYS[5], at.message_id, now_ms) then
    redis.call('HDEL', KEYS[1], 'at')
    redis.call('HSET', KEYS[1], at.field, '+0:' .. ARGV[4])
    keep_run(KEYS[1], now_ms, tonumber(ARGV[5]))
    redis.call('ZREM', KEYS[6], ARGV[7])
    return 1
  end
end
if ARGV[3] == '' then
  return 0
end
if redis.call('LLEN', KEYS[2]) >= tonumber(ARGV[6]) then
  return -3
end
redis.call('LPUSH', KEYS[2], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return 2
