#!lua flags=allow-oom
-- Records that the bodies of deliveries are about to run; only these count when the worker dies.
-- KEYS: for each queue: consumers ZSET, counters HASH, deaths HASH, inflight:<consumer> HASH, started:<consumer> HASH
-- ARGV: 1 consumer, then for each delivery: place of its queue from 1, token, message id
-- Reply: for each delivery {1 current | 0 ended | -1 stale, deaths so far, put back by its task before 1|0}
-- Cost: O(deliveries)
--include standing
local reply, queues = {}, {}
for place = 2, #ARGV, 3 do
  local first = (ARGV[place] - 1) * 5 + 1
  local token, id = ARGV[place + 1], ARGV[place + 2]
  local queue = queues[first]
  if not queue then
    -- The same for all of a queue's deliveries; hardly ever has any of them died before.
    queue = { is_ours = registered(KEYS[first], ARGV[1]), has_deaths = redis.call('EXISTS', KEYS[first + 2]) == 1 }
    queues[first] = queue
  end
  local code, deaths, put_back = -1, 0, 0
  if queue.is_ours then
    code = redis.call('HEXISTS', KEYS[first + 3], token)
  else
    redis.call('HINCRBY', KEYS[first + 1], 'refused', 1)
  end
  if code == 1 then
    redis.call('HSET', KEYS[first + 4], token, id)
    local known = queue.has_deaths and redis.call('HGET', KEYS[first + 2], id)
    if known then
      local record = cjson.decode(known)
      deaths, put_back = record.count, record.put_back and 1 or 0
    end
  end
  reply[#reply + 1] = { code, deaths, put_back }
end
return reply
