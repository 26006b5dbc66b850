#!lua flags=allow-oom
-- Records that the bodies of deliveries are about to run; only these count when the worker dies.
-- KEYS: for each queue: consumers ZSET, counters HASH, deaths HASH, inflight:<consumer> HASH, started:<consumer> HASH
-- ARGV: 1 consumer, then for each delivery: place of its queue from 1, token, message id
-- Reply: for each delivery {1 current | 0 ended | -1 stale, deaths so far, put back by its task before 1|0}
-- Cost: O(deliveries)
--include standing
local reply = {}
for place = 2, #ARGV, 3 do
  local first = (ARGV[place] - 1) * 5 + 1
  local token, id = ARGV[place + 1], ARGV[place + 2]
  local code, deaths, put_back = standing(KEYS[first], KEYS[first + 1], KEYS[first + 3], ARGV[1], token), 0, 0
  if code == 1 then
    redis.call('HSET', KEYS[first + 4], token, id)
    local known = redis.call('HGET', KEYS[first + 2], id)
    if known then
      local record = cjson.decode(known)
      deaths, put_back = record.count, record.put_back and 1 or 0
    end
  end
  reply[#reply + 1] = { code, deaths, put_back }
end
return reply
