#!lua flags=allow-oom
-- Returns a batch of what a consumer held whose lease has ended: started counts a death, only claimed counts nothing.
-- KEYS: 1 state HASH, 2 consumers ZSET, 3 consumers:info HASH, 4 counters HASH, 5 wake LIST, 6 suspects LIST, 7 deaths HASH,
--   8 deaths:expiry ZSET, 9 dead ZSET, 10 dead:records HASH, 11 dead:messages HASH, 12 inflight:<consumer> HASH,
--   13 started:<consumer> HASH, 14 claimed:<consumer> HASH, 15 dead:untold ZSET, 16.. ready LIST of each priority step
-- ARGV: 1 now ms or '', 2 run id or '', 3 consumer, 4 lease ms, 5 max deliveries, 6 how long a count is kept ms,
--   7 queue name, 8 messages at most, 9 bytes after which to stop, 10.. priority steps
-- Reply: {1 reaped | 0 alive or the last look is too old, ready, suspects, dead, remaining}
-- Cost: O(in flight log in flight), messages moved bounded by count and bytes
--include record
--include now
--include epoch
--include wake
--include lists
--include put_back
--include youngest
--include worker
--include expire
--include death
--include bury
--include after_death
local now_ms = clock(ARGV[1])
local lease_end_ms = redis.call('ZSCORE', KEYS[2], ARGV[3])
local tick = redis.call('HMGET', KEYS[1], 'ticked_ms', 'tick_run_id')
local age_ms = now_ms - (tonumber(tick[1]) or 0)
if not lease_end_ms or tonumber(lease_end_ms) > now_ms or age_ms < 0 or age_ms >= ARGV[4] / 2
    or tick[2] ~= server_run_id(ARGV[2]) then
  return { 0, 0, 0, 0, 0 }
end
-- From here on it is refused everything, also between two batches.
redis.call('ZADD', KEYS[2], 0, ARGV[3])
local keys = { counters = KEYS[4], suspects = KEYS[6], deaths = KEYS[7], expiry = KEYS[8], dead = KEYS[9],
  records = KEYS[10], messages = KEYS[11], untold = KEYS[15] }
local limits = { max_deliveries = tonumber(ARGV[5]), kept_ms = tonumber(ARGV[6]) }
local death = { now_ms = now_ms, consumer = ARGV[3], worker = worker_of(KEYS[3], ARGV[3]), how = 'its worker lost its lease', queue = ARGV[7] }
local ready, moved, bytes = ready_lists(16, 10, #ARGV - 9), { 0, 0, 0 }, 0
-- The youngest first, so that the oldest ends up at the head of its list.
for _, token in ipairs(youngest(redis.call('HKEYS', KEYS[12]), tonumber(ARGV[8]))) do
  if bytes >= tonumber(ARGV[9]) then
    break
  end
  local fate = 1
  local record, id = redis.call('HGET', KEYS[12], token), redis.call('HGET', KEYS[13], token)
  if id then
    fate = after_death(keys, ready, limits, death, token, id, record)
  else
    put_back(record, ready, KEYS[6])
    redis.call('HINCRBY', KEYS[4], 'redelivered', 1)
  end
  redis.call('HDEL', KEYS[12], token)
  redis.call('HDEL', KEYS[13], token)
  moved[fate], bytes = moved[fate] + 1, bytes + #record
end
if moved[1] + moved[2] > 0 then
  wake(KEYS[5])
end
local remaining = redis.call('HLEN', KEYS[12])
if remaining == 0 then
  redis.call('ZREM', KEYS[2], ARGV[3])
  redis.call('HDEL', KEYS[3], ARGV[3])
  redis.call('DEL', KEYS[13], KEYS[14])
  redis.call('HINCRBY', KEYS[4], 'reaped', 1)
end
return { 1, moved[1], moved[2], moved[3], remaining }
