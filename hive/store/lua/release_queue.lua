#!lua flags=allow-oom
-- Moves a batch of suspects, dead letters, scheduled messages and those that wait for their key's turn to the ready lists,
-- for a return to stock Celery.
-- KEYS: 1 scheduled ZSET, 2 scheduled:messages HASH, 3 suspects LIST, 4 dead ZSET, 5 dead:records HASH,
--   6 dead:messages HASH, 7 wake LIST, 8 counters HASH, 9 dead:untold ZSET, 10 state HASH, 11 fair ZSET,
--   12 fair:turns ZSET, 13 fair:messages STREAM, 14 fair:waiting HASH, 15 parked ZSET,
--   16.. ready LIST of each priority step
-- ARGV: 1 messages at most, 2.. priority steps
-- Reply: {scheduled, suspects, dead, remaining, behind}
-- Cost: O(messages log all)
--include record
--include wake
--include lists
--include fair
local ready, left = ready_lists(16, 2, #ARGV - 1), tonumber(ARGV[1])
local function make_ready(record)
  local priority, payload = split_waiting(record)
  redis.call('LPUSH', ready[priority], payload)
  left = left - 1
  return #payload
end
local function from_set(set, messages, records)
  local count, bytes = 0, 0
  for _, id in ipairs(redis.call('ZRANGE', set, 0, left - 1)) do
    local record = redis.call('HGET', messages, id)
    if record then
      bytes = bytes + make_ready(record)
      count = count + 1
    end
    redis.call('ZREM', set, id)
    redis.call('HDEL', messages, id)
    if records then
      redis.call('HDEL', records, id)
    else
      redis.call('ZREM', KEYS[15], id)
    end
  end
  if records then
    redis.call('HINCRBY', KEYS[8], 'dead_bytes', -bytes)
  end
  return count
end
local suspects, behind, fair = 0, 0, fair_keys(KEYS[10], 11)
while left > 0 and redis.call('LLEN', KEYS[3]) > 0 do
  make_ready(redis.call('RPOP', KEYS[3]))
  suspects = suspects + 1
end
while left > 0 and redis.call('ZCARD', fair.order) > 0 do
  local payload, priority = fair_next(fair, tonumber(ARGV[#ARGV]))
  redis.call('LPUSH', ready[priority], payload)
  behind, left = behind + 1, left - 1
end
local dead = left > 0 and from_set(KEYS[4], KEYS[6], KEYS[5]) or 0
local scheduled = left > 0 and from_set(KEYS[1], KEYS[2]) or 0
wake(KEYS[7])
if redis.call('ZCARD', KEYS[4]) == 0 then
  redis.call('DEL', KEYS[9])
end
local remaining = redis.call('LLEN', KEYS[3]) + redis.call('ZCARD', KEYS[4]) + redis.call('ZCARD', KEYS[1]) + redis.call('ZCARD', fair.order)
return { scheduled, suspects, dead, remaining, behind }
