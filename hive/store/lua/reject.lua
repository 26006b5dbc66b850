#!lua flags=allow-oom
-- Counts the death of a started delivery and sends the message where that leads; one never started goes back uncounted.
-- KEYS: 1 consumers ZSET, 2 counters HASH, 3 wake LIST, 4 suspects LIST, 5 deaths HASH, 6 deaths:expiry ZSET, 7 dead ZSET,
--   8 dead:records HASH, 9 dead:messages HASH, 10 inflight:<consumer> HASH, 11 started:<consumer> HASH,
--   12 consumers:info HASH, 13 dead:untold ZSET, 14.. ready LIST of each priority step
-- ARGV: 1 now ms or '', 2 consumer, 3 token, 4 how it died, 5 max deliveries, 6 how long a count is kept ms, 7 queue name,
--   8.. priority steps
-- Reply: 1 ready, 2 suspects, 3 dead letters, 0 ended before, -1 stale
-- Cost: O(log dead)
--include record
--include now
--include standing
--include wake
--include lists
--include put_back
--include worker
--include expire
--include death
--include bury
--include after_death
local code = standing(KEYS[1], KEYS[2], KEYS[10], ARGV[2], ARGV[3])
if code ~= 1 then
  return code
end
local ready = ready_lists(14, 8, #ARGV - 7)
local record, id = redis.call('HGET', KEYS[10], ARGV[3]), redis.call('HGET', KEYS[11], ARGV[3])
local fate = 1
if id then
  local keys = { counters = KEYS[2], suspects = KEYS[4], deaths = KEYS[5], expiry = KEYS[6], dead = KEYS[7],
    records = KEYS[8], messages = KEYS[9], untold = KEYS[13] }
  local limits = { max_deliveries = tonumber(ARGV[5]), kept_ms = tonumber(ARGV[6]) }
  local death = { now_ms = clock(ARGV[1]), consumer = ARGV[2], worker = worker_of(KEYS[12], ARGV[2]), how = ARGV[4], queue = ARGV[7] }
  fate = after_death(keys, ready, limits, death, ARGV[3], id, record)
else
  put_back(record, ready, KEYS[4])
end
forget(KEYS[10], KEYS[11], nil, ARGV[3])
wake(KEYS[3])
return fate
