#!lua flags=allow-oom
-- Ends deliveries that are current: the messages are done. What beside them was theirs goes with them.
-- KEYS: for each queue: consumers ZSET, counters HASH, deaths HASH, inflight:<consumer> HASH, started:<consumer> HASH
-- ARGV: 1 consumer, then for each delivery: place of its queue from 1, token
-- Reply: for each delivery 1 finished, 0 ended before, -1 stale
-- Cost: O(deliveries)
--include standing
local reply, queues = {}, {}
for place = 2, #ARGV, 2 do
  local first = (ARGV[place] - 1) * 5 + 1
  local queue = queues[first]
  if not queue then
    -- The same for all of a queue's deliveries; hardly ever are there deaths to forget.
    queue = { is_ours = registered(KEYS[first], ARGV[1]), deaths = redis.call('EXISTS', KEYS[first + 2]) == 1 and KEYS[first + 2] or nil }
    queues[first] = queue
  end
  if queue.is_ours then
    reply[#reply + 1] = forget(KEYS[first + 3], KEYS[first + 4], queue.deaths, ARGV[place + 1])
  else
    redis.call('HINCRBY', KEYS[first + 1], 'refused', 1)
    reply[#reply + 1] = -1
  end
end
return reply
