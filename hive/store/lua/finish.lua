#!lua flags=allow-oom
-- Ends deliveries that are current: the messages are done. What beside them was theirs goes with them.
-- KEYS: for each queue: consumers ZSET, counters HASH, deaths HASH, inflight:<consumer> HASH, started:<consumer> HASH,
--   deaths:expiry ZSET, unique HASH, unique:expiry ZSET
-- ARGV: 1 consumer, then for each delivery: place of its queue from 1, token
-- Reply: for each delivery 1 finished, 0 ended before, -1 stale
-- Cost: O(deliveries), O(log deaths) for each that had died, published or held a key
--include standing
local reply, queues = {}, {}
for place = 2, #ARGV, 2 do
  local first = (ARGV[place] - 1) * 8 + 1
  local queue = queues[first]
  if not queue then
    -- The same for all of a queue's deliveries; hardly ever is there anything beside them to forget.
    local beside = redis.call('EXISTS', KEYS[first + 2]) == 1
      and { deaths = KEYS[first + 2], expiry = KEYS[first + 5], unique = KEYS[first + 6], unique_expiry = KEYS[first + 7] }
    queue = { is_ours = registered(KEYS[first], ARGV[1]), beside = beside or nil }
    queues[first] = queue
  end
  if queue.is_ours then
    reply[#reply + 1] = forget(KEYS[first + 3], KEYS[first + 4], queue.beside, ARGV[place + 1])
  else
    redis.call('HINCRBY', KEYS[first + 1], 'refused', 1)
    reply[#reply + 1] = -1
  end
end
return reply
